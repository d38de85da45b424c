"""The folder layout of CH-SIMS, in which CH-SIMS v2, MOSI and MOSEI are passed on as well.

Source:
    Yu et al. (2020), "CH-SIMS: A Chinese Multimodal Sentiment Analysis Dataset with Fine-grained
    Annotation of Modality", ACL, section 3; the bimodal labels are those of our demo corpus.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ...cache.corpus import FAMILIES, Corpus
from ...cache.errors import BadCorpus, unknown
from ...cache.validation import count, listing, show
from .media_folder import MediaFolder, Unusable
from .sheet import Sheet, nearest, read_sheet, read_splits

TABLES = ("label.csv", "meta.csv")
MEDIA = "Raw"
REQUIRED = ("video_id", "clip_id", "text", "label", "mode")
#: Label column of ours -> theirs.
LABELS = {
    "M": "label",
    "T": "label_T",
    "A": "label_A",
    "V": "label_V",
    "TA": "label_TA",
    "TV": "label_TV",
    "AV": "label_AV",
}
#: Columns that need not be there.
OPTIONAL = (*list(LABELS.values())[1:], "speaker")
#: Columns that are known and say nothing new: the label as a word, and who set it.
IGNORED = ("annotation", "label_by")


def read(
    root: str | Path,
    *,
    name: str = "",
    family: str = "sims",
    label_range: Sequence[float] | None = None,
    media_root: str = "",
    encoding: str = "",
    language: str = "",
    note: str = "",
) -> Corpus:
    """Read a folder with ``label.csv`` (or ``meta.csv``) and ``Raw/<video_id>/<clip_id>.mp4``.

    Clip ids that lost their leading zeros are repaired from the files' names, ``val`` and ``dev``
    are read as ``valid``; the corpus' ``notes`` say so. Nothing outside the folder is looked at.

    Args:
        root: the folder, or the table inside it.
        name: empty: the folder's name.
        family: metric family; CH-SIMS is ``sims``, MOSI and MOSEI are ``mosi``.
        label_range: lowest and highest label; None: that of the family.
        media_root: folder of the media where it is not ``Raw``; may lie anywhere.
        encoding: of the table; empty: UTF-8, or cp1252 with a note where it is not.
        language: of all transcripts, such as ``zh``.
        note: shown wherever the corpus is shown.

    Raises:
        BadCorpus: there is no table, or columns are missing in it.
        UnknownName: no metric family is called so.
    """
    if family not in FAMILIES:
        raise unknown("metric family", family, FAMILIES)
    table, notes = _table(Path(root))
    sheet = read_sheet(table, encoding)
    sheet.require(REQUIRED)
    folder = os.path.abspath(table.parent)
    names = zip(sheet.columns["video_id"], sheet.columns["clip_id"], strict=True)
    stems = [f"{video}/{clip}" for video, clip in names]
    ids, media, faults, repairs = _find(stems, folder, media_root)
    splits, renamed = read_splits(sheet.columns["mode"])
    columns: dict[str, Sequence[Any]] = {
        "id": ids,
        "media": media,
        "text": sheet.columns["text"],
        "split": splits,
    }
    columns["language"] = [language] * len(ids)
    if "speaker" in sheet.columns:
        columns["speaker"] = sheet.columns["speaker"]
    for ours, theirs in LABELS.items():
        if theirs in sheet.columns:
            columns[ours] = sheet.columns[theirs]
    return Corpus.from_columns(
        columns,
        name=name or os.path.basename(folder),
        family=family,
        label_range=FAMILIES[family] if label_range is None else label_range,
        note=note,
        notes=(*notes, *sheet.notes, *_unused(sheet), *renamed, *repairs),
        reading_faults=(*sheet.faults, *faults),
    )


def _table(root: Path) -> tuple[Path, list[str]]:
    if root.is_file():
        return root, []
    if not root.is_dir():
        raise BadCorpus(f"no corpus at '{root}': there is no such folder")
    found = [name for name in TABLES if (root / name).is_file()]
    if not found:
        inside = sorted(os.listdir(root))
        raise BadCorpus(
            f"'{root}' has neither 'label.csv' nor 'meta.csv'. "
            f"In it: {listing([show(name) for name in inside]) or 'nothing'}."
        )
    notes = [f"'{found[0]}' read, '{found[1]}' not"] if len(found) > 1 else []
    return root / found[0], notes


def _find(
    stems: Iterable[str], folder: str, media_root: str
) -> tuple[list[str], list[str], list[str], list[str]]:
    """Ids, media paths (empty where it is forbidden), faults, notes on repaired ids."""
    top = os.path.join(folder, media_root or MEDIA)
    place = MediaFolder(top, top if media_root else folder)
    ids, media, outside, repaired = [], [], [], []
    for stem in stems:
        try:
            path, real = place.find(stem)
        except Unusable as error:
            path, real = "", stem
            outside.append(f"{show(stem)} ({error})")
        if real != stem:
            repaired.append(f"{show(stem)} is {show(real)}")
        ids.append(real)
        media.append(path)
    faults, notes = [], []
    if outside:
        faults.append(
            f"{count(len(outside), 'clip')} not to be found inside '{top}': {listing(outside)}; "
            f"give media_root if the media lie elsewhere"
        )
    if repaired:
        n = count(len(repaired), "clip id")
        notes.append(f"{n} without leading zeros repaired: {listing(repaired)}")
    return ids, media, faults, notes


def _unused(sheet: Sheet) -> list[str]:
    used = {*REQUIRED, *OPTIONAL, *IGNORED}
    absent = [name for name in OPTIONAL if name not in sheet.columns]
    rest = [f"'{name}'{nearest(name, absent)}" for name in sheet.columns if name not in used]
    return [f"{count(len(rest), 'column')} not used: {', '.join(rest)}"] if rest else []
