"""HDF5 with one array an utterance: the array's path is the utterance's id."""

from __future__ import annotations

from pathlib import Path

from ...cache.errors import BadInput
from ...cache.hdf5_foreign import ForeignHdf5, is_hdf5
from .library import Table, from_tables, two_dimensional
from .records import Foreign


def knows(path: Path, head: bytes) -> bool:
    """Whether a file is HDF5."""
    return path.is_file() and is_hdf5(head)


def read(path: Path, array: str = "", modality: str = "") -> Foreign:
    """Read such a file; rows have no times.

    Args:
        path: the file.
        array: what to call the array; empty: after its modality.
        modality: empty: told from the file's name.

    Raises:
        BadInput: something in it is no table of numbers, or leads elsewhere.
    """
    with ForeignHdf5(path) as file:
        names = file.names()
    if not names:
        raise BadInput(f"there is no array in '{path}'")

    def table(i: int) -> Table:
        with ForeignHdf5(path) as file:
            return two_dimensional(file.read(names[i]), f"'{names[i]}'"), None, ()

    return from_tables("hdf5", path, [name.strip("/") for name in names], table, array, modality)
