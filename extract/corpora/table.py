"""Any CSV, TSV or Parquet table with named columns."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...cache.corpus import FAMILIES, Corpus
from ...cache.corpus_columns import COLUMNS, TASKS
from ...cache.corpus_file import is_ours
from ...cache.errors import BadCall, BadCorpus, unknown
from ...cache.labels import CLASSES, DIMENSIONS
from ...cache.validation import count, listing, show
from .kind import Kind
from .media_folder import MediaFolder, Unusable
from .repairs import without_doubles
from .sheet import Sheet, nearest, read_sheet, read_splits


def read(
    root: str | Path,
    *,
    columns: Mapping[str, str | None] | None = None,
    name: str = "",
    family: str = "",
    label_range: Sequence[float] | None = None,
    media_root: str = "",
    encoding: str = "",
    delimiter: str = "",
    note: str = "",
) -> Corpus:
    """Read a table, one row an utterance.

    Columns that have our names (``id media start end text speaker language dialogue turn split``,
    labels ``M T A V TA TV AV valence arousal dominance``) are taken as they are; others are given
    by ``columns``. Times are seconds. ``val`` and ``dev`` are read as ``valid``, with a note.

    Args:
        root: the file; ``.parquet``, ``.tsv``, ``.tab``, or CSV.
        columns: our name to theirs: ``{"id": "utt", "media": "file", "M": "sentiment"}``; None
            instead of their name: do not take the column that has our name.
        name: empty: the file's name without its ending.
        family: metric family of the labels, ``sims``, ``mosi`` or ``mag``; needed with labels.
        label_range: lowest and highest label; None: that of the family.
        media_root: folder that media paths start from and must lie in; empty: the table's folder.
        encoding: of CSV and TSV; empty: UTF-8, or cp1252 with a note where it is not.
        delimiter: between cells; empty: comma, or tab in a TSV.
        note: shown wherever the corpus is shown.

    Raises:
        BadCorpus: the table cannot be read, or has neither media nor text.
        UnknownName: a column is unknown, on either side, or the family is.
        BadCall: labels without a family.
    """
    path = Path(root)
    if path.is_dir():
        raise BadCorpus(f"'{path}' is a folder; kind 'table' reads a CSV, TSV or Parquet file")
    if path.suffix == ".parquet" and is_ours(path):
        raise BadCorpus(f"'{path}' is a corpus of affectflow: read it with kind 'affectflow'")
    sheet = read_sheet(path, encoding, delimiter)
    taken, notes = _mapping(sheet, columns)
    found: dict[str, Sequence[Any]] = {o: sheet.columns[t] for o, t in taken.items()}
    _check_family(path, [t for t in TASKS if t in taken and t not in DIMENSIONS], family)
    faults: list[str] = []
    if "split" in found:
        found["split"], renamed = read_splits(found["split"])
        notes += renamed
    if "media" in found:
        folder = os.path.abspath(path.parent)
        found["media"], faults = _media(found["id"], found["media"], folder, media_root)
    found, doubled = without_doubles(found)
    return Corpus.from_columns(
        found,
        name=name or path.stem,
        family=family,
        label_range=FAMILIES.get(family) if label_range is None else label_range,
        note=note,
        notes=(*sheet.notes, *notes, *doubled),
        reading_faults=(*sheet.faults, *faults),
    )


def _mapping(
    sheet: Sheet, given: Mapping[str, str | None] | None
) -> tuple[dict[str, str], list[str]]:
    """Our column names to theirs, and notes on what was taken and left."""
    ours = (*COLUMNS, *TASKS, *CLASSES)
    given = {} if given is None else given
    if not isinstance(given, Mapping):
        raise BadCall(f"columns must map our names to theirs, such as id: utt, not {given!r}")
    for mine, theirs in given.items():
        if mine not in ours:
            raise unknown("column of a corpus", str(mine), ours)
        if theirs is not None and (type(theirs) is not str or theirs not in sheet.columns):
            raise unknown(f"column (for '{mine}') of '{sheet.path}'", str(theirs), sheet.columns)
    taken = {mine: theirs for mine, theirs in given.items() if theirs is not None}
    own = [n for n in ours if n in sheet.columns and n not in given and n not in taken.values()]
    taken |= {name: name for name in own}
    if "id" not in taken and {"video_id", "clip_id"} <= set(sheet.columns):
        raise BadCorpus(
            f"'{sheet.path}' has the columns of CH-SIMS (video_id, clip_id), and none called 'id'. "
            f"Name the folder that it lies in instead, which is read with kind 'ch-sims': "
            f"'{Path(sheet.path).parent}'. Where its media do not lie as there "
            "(Raw/video_id/clip_id), add a column 'id', and 'media' with the files"
        )
    if "id" not in taken:
        hint = nearest("id", sheet.columns)
        raise BadCorpus(
            f"'{sheet.path}' has no column 'id'{hint}; say which one it is: columns: {{id: NAME}}. "
            f"Found: {sheet.header}. (Features that another program made are no corpus: they come "
            "in by 'affectflow features import'.)"
        )
    if "media" not in taken and "text" not in taken:
        raise BadCorpus(
            f"'{sheet.path}' has neither a column 'media' nor 'text'; say which they are: "
            f"columns: {{media: NAME, text: NAME}}. Found: {sheet.header}."
        )
    rest = [show(name) for name in sheet.columns if name not in taken.values()]
    notes = [f"{count(len(rest), 'column')} not used: {', '.join(rest)}"] if rest else []
    if given and own:
        notes.insert(0, f"taken by their own name: {', '.join(own)}")
    return taken, notes


def _check_family(path: Path, labels: Sequence[str], family: str) -> None:
    if family and family not in FAMILIES:
        raise unknown("metric family", family, FAMILIES)
    if labels and not family:
        raise BadCall(
            f"'{path}' has labels ({', '.join(labels)}); say by which family's definitions they "
            f"are scored: family: {' | '.join(FAMILIES)} (where no option takes "
            "it, read the table in first: affectflow corpus import table "
            f"'{path}' --set family=NAME)"
        )


def _media(
    ids: Sequence[Any], cells: Sequence[Any], folder: str, media_root: str
) -> tuple[list[str], list[str]]:
    """Absolute paths, empty where they lead out of the folder, and the faults."""
    top = os.path.join(folder, media_root)
    place = MediaFolder(top, top)
    paths, outside = [], []
    for name, cell in zip(ids, cells, strict=True):
        given = "" if cell is None or cell != cell else str(cell)
        try:
            paths.append(place.path(given) if given else "")
        except Unusable as error:
            paths.append("")
            outside.append(f"{show(name)} ({error})")
    if not outside:
        return paths, []
    return paths, [
        f"{count(len(outside), 'media path')} outside '{place.top}': {listing(outside)}; "
        f"give media_root if the media lie elsewhere"
    ]


KIND = Kind(
    about="any CSV, TSV or Parquet table, one row an utterance",
    layout="""\
ROOT is the table; its columns id, media, start, end, text, speaker, language, dialogue, turn, split
and labels M T A V TA TV AV valence arousal dominance emotion polarity, or, where they are called
something else: --set columns.id=utt --set columns.M=score --set family=mosi""",
    read=read,
)
