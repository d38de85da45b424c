"""FACET as iMotions exports it: a folder of tab-separated text, one file an utterance."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...cache.errors import BadInput
from ...cache.records import Array
from .library import Table, files_below, first_below, from_tables, head_of, increasing, spans
from .records import Foreign

SUFFIXES = (".txt", ".tsv")
#: How names of FACET's own columns end; the others tell of the study.
ENDS = ("Evidence", "Intensity", "Probability", "Degrees", " X", " Y", "Width", "Height")
#: Milliseconds of a picture; how many faces are in it.
TIME, FACES = "FrameTime", "NoOfFaces"
LEAK = (
    "FACET's columns of emotions (Joy Evidence ...) are predictions of what such corpora label: "
    "results with them are not those of a face alone"
)


def knows(path: Path, head: bytes) -> bool:
    """Whether a file, or the first one of a folder, has FACET's header."""
    head = head_of(first_below(path, SUFFIXES))
    return b"\tNoOfFaces\t" in head and b" Evidence\t" in head


def read(path: Path, array: str = "", modality: str = "vision") -> Foreign:
    """Read such a folder; pictures without a face, or with an empty cell, are masked rows.

    Args:
        path: the folder, or a file.
        array: what to call the array; empty: after its modality.
        modality: of what is read.

    Raises:
        BadInput: a file has no header or row, or its times do not grow.
    """
    files, notes = files_below(path, SUFFIXES)
    root = path if path.is_dir() else path.parent
    names = [file.relative_to(root).with_suffix("").as_posix() for file in files]
    masks: dict[int, Array] = {}

    def table(i: int) -> Table:
        values, times, columns, masks[i] = _table(files[i])
        return values, times, columns

    notes.append(LEAK)
    return from_tables("facet", path, names, table, array, modality, notes, lambda i: masks.pop(i))


def _table(file: Path) -> tuple[Array, Array, tuple[str, ...], Array]:
    text = file.read_bytes().decode("utf-8-sig", "replace")
    lines = [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
    if len(lines) < 2 or TIME not in lines[0] or FACES not in lines[0]:
        raise BadInput(f"'{file}' has no row, or no columns '{TIME}' and '{FACES}'")
    names, rows = [name.strip() for name in lines[0]], lines[1:]
    columns = tuple(name for name in names if name.endswith(ENDS))
    if len(set(columns)) < len(columns):
        raise BadInput(f"'{file}' has columns of one name")
    picked = [names.index(name) for name in (TIME, FACES, *columns)]
    short = [i for i, row in enumerate(rows, 1) if len(row) <= max(picked)]
    if short:
        raise BadInput(f"'{file}': row {short[0]} has fewer cells than the header: it was cut off")
    try:
        cells = [[row[k].strip() or "nan" for k in picked] for row in rows]
        numbers = np.array(cells).astype(np.float64)
    except ValueError as error:
        raise BadInput(f"'{file}' holds something else than numbers: {error}") from error
    times = increasing(numbers[:, 0] / 1000, f"'{file}'")
    return numbers[:, 2:], spans(times), columns, numbers[:, 1] != 1
