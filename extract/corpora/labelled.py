"""The layout that several corpora are passed on in: ``label.csv`` beside the clips in ``Raw``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...cache.corpus import FAMILIES, Corpus
from ...cache.errors import BadCorpus, unknown
from ...cache.labels import SENTIMENT
from ...cache.validation import count, listing, show
from .kind import Kind
from .media_folder import MediaFolder, Unusable
from .repairs import spreadsheet_faults, windows_characters, without_doubles
from .sheet import Sheet, nearest, read_sheet, read_splits

TABLES = ("label.csv", "meta.csv")
MEDIA = "Raw"
LAYOUT = """\
label.csv    (or meta.csv: video_id, clip_id, text, label, mode, and label_T, label_A, label_V)
Raw/<video_id>/<clip_id>.mp4"""
REQUIRED = ("video_id", "clip_id", "text", "label", "mode")
#: Label column of ours -> theirs.
LABELS = {"M": "label", **{task: f"label_{task}" for task in SENTIMENT[1:]}}
#: Columns that need no word: the split is read wherever it stands, the label as a word and who set
#: it say nothing new.
IGNORED = ("mode", "annotation", "label_by")


@dataclass(frozen=True)
class Given:
    """What the caller of a reader says of a corpus; as the options of ``ch_sims.read``."""

    name: str = ""
    family: str = "sims"
    label_range: Sequence[float] | None = None
    media_root: str = ""
    encoding: str = ""
    language: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise unknown("metric family", self.family, FAMILIES)


def find_table(root: Path, kind: Kind) -> tuple[Path, list[str]]:
    """The table of a corpus' folder, and a note on another one that is not read.

    Args:
        root: the folder, or the table itself.
        kind: its ``marks`` are what the table may be called; the first that is there is taken.

    Raises:
        BadCorpus: there is none.
    """
    if root.is_file():
        return root, []
    kind.require(root)
    found = [name for name in kind.marks if (root / name).is_file()]
    if not found:
        raise BadCorpus(f"what lies in '{root}' of {listing(kind.marks)} is no file")
    return root / found[0], [f"'{found[0]}' read, '{found[1]}' not"] if len(found) > 1 else []


def read_labelled(
    table: Path,
    given: Given,
    *,
    tasks: Sequence[str] = SENTIMENT,
    required: Sequence[str] = REQUIRED,
    notes: Iterable[str] = (),
) -> Corpus:
    """Read a table of clips and find their media.

    Args:
        table: the file; its folder is that of the corpus.
        given: what the caller says.
        tasks: the label columns that are taken, by our names.
        required: columns that must be there; but for ``label``, which a table without labels lacks
            (where none is called nearly so).
        notes: what was said already.

    Raises:
        BadCorpus: the table cannot be read, or columns are missing in it.
    """
    sheet = read_sheet(table, given.encoding, header=required)
    label = LABELS["M"]
    bare = label not in sheet.columns and not nearest(label, sheet.columns)
    sheet.require([column for column in required if not (bare and column == label)])
    folder = os.path.abspath(table.parent)
    names = zip(sheet.columns["video_id"], sheet.columns["clip_id"], strict=True)
    ids, media, faults, repairs = _find(
        [f"{video}/{clip}" for video, clip in names], folder, given.media_root
    )
    splits, renamed = read_splits(sheet.columns.get("mode", [""] * len(ids)))
    texts, mended = windows_characters([str(t or "") for t in sheet.columns["text"]], ids)
    columns: dict[str, Sequence[Any]] = {"id": ids, "media": media, "text": texts, "split": splits}
    columns["language"] = [given.language] * len(ids)
    own = {"speaker": "speaker"} | {task: LABELS[task] for task in tasks}
    columns |= {ours: sheet.columns[o] for ours, o in own.items() if o in sheet.columns}
    columns, doubled = without_doubles(columns)
    lost = spreadsheet_faults({n: sheet.columns[n] for n in ("video_id", "clip_id")})
    unused = _unused(sheet, {*required, *own.values(), *IGNORED}, own.values())
    family, labels = given.family, given.label_range
    return Corpus.from_columns(
        columns,
        name=given.name or os.path.basename(folder),
        family=family,
        label_range=FAMILIES[family] if labels is None else labels,
        note=given.note,
        notes=(
            *notes,
            *sheet.notes,
            *([f"no column '{label}': features can be extracted, nothing trained"] if bare else []),
            *unused,
            *renamed,
            *repairs,
            *mended,
            *doubled,
        ),
        reading_faults=(*sheet.faults, *lost, *faults),
    )


def _find(
    stems: Sequence[str], folder: str, media_root: str
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


def _unused(sheet: Sheet, known: set[str], wanted: Iterable[str]) -> list[str]:
    """A note on columns that nobody reads; label columns without a single label are none."""
    absent = [name for name in wanted if name not in sheet.columns]
    blank = {n for n in LABELS.values() if not any(sheet.columns.get(n, ()))}
    left = [name for name in sheet.columns if name not in known | blank]
    rest = [f"'{name}'{nearest(name, absent)}" for name in left]
    return [f"{count(len(rest), 'column')} not used: {', '.join(rest)}"] if rest else []
