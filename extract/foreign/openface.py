"""OpenFace 1 and 2: a folder of CSV files, one an utterance, a row a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...cache.errors import BadInput
from ...cache.records import Array
from ..vision.openface2_csv import parsed
from .library import Table, files_below, first_below, from_tables, head_of, increasing, spans
from .records import Foreign

SUFFIXES = (".csv",)
#: Columns that say which picture, which face and how sure; what else there is, are features.
HEAD = ("frame", "face_id", "timestamp", "confidence", "success")


def knows(path: Path, head: bytes) -> bool:
    """Whether a file, or the first one of a folder, has OpenFace's header."""
    names = head_of(first_below(path, SUFFIXES)).split(b"\n")[0].split(b",")
    plain = {name.strip() for name in names}
    return {b"frame", b"timestamp", b"confidence", b"success"} <= plain


def read(path: Path, array: str = "", modality: str = "vision") -> Foreign:
    """Read such a folder; pictures without a face are masked rows.

    Args:
        path: the folder, or a file.
        array: what to call the array; empty: after its modality.
        modality: of what is read.

    Raises:
        BadInput: a file is cut off, has other columns than the first, or several faces a picture.
    """
    files, notes = files_below(path, SUFFIXES)
    root = path if path.is_dir() else path.parent
    names = [file.relative_to(root).with_suffix("").as_posix() for file in files]
    masks: dict[int, Array] = {}

    def table(i: int) -> Table:
        values, times, columns, masks[i] = _table(files[i])
        return values, times, columns

    kind = "openface"
    return from_tables(kind, path, names, table, array, modality, notes, lambda i: masks.pop(i))


def _table(file: Path) -> tuple[Array, Array, tuple[str, ...], Array]:
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"'{file}' cannot be read: {error}") from error
    names, numbers = parsed(file.name, text)
    missing = [name for name in HEAD if name not in names and name != "face_id"]
    if missing:
        raise BadInput(f"'{file}' lacks OpenFace's column '{missing[0]}'")
    if len(set(names)) < len(names):
        raise BadInput(f"'{file}' has columns of one name")
    times = numbers[:, names.index("timestamp")]
    if len(np.unique(times)) < len(times):
        raise BadInput(f"'{file}' holds several faces a picture: keep one of them")
    columns = tuple(name for name in names if name not in HEAD)
    values = numbers[:, [names.index(name) for name in columns]]
    lost = numbers[:, names.index("success")] != 1
    return values, spans(increasing(times, f"'{file}'")), columns, lost
