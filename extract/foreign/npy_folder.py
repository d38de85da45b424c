"""A folder of ``.npy`` files, one an utterance, named after it."""

from __future__ import annotations

from pathlib import Path
from tokenize import TokenError

import numpy as np

from ...cache.errors import BadInput
from .library import Table, first_below, head_of, read_files, two_dimensional
from .records import Foreign

SUFFIXES = (".npy",)
#: What numpy raises at a header that is none.
UNREADABLE = (ValueError, OSError, EOFError, TypeError, SyntaxError, OverflowError, TokenError)


def knows(path: Path, head: bytes) -> bool:
    """Whether a file, or the first one of a folder, is numpy's."""
    return head_of(first_below(path, SUFFIXES)).startswith(b"\x93NUMPY")


def read(path: Path, array: str = "", modality: str = "") -> Foreign:
    """Read such a folder; rows have no times, an array of one dimension is one row.

    Args:
        path: the folder, or a file.
        array: what to call the array; empty: after its modality.
        modality: empty: told from the folder's name.

    Raises:
        BadInput: a file holds objects or text, or is not whole.
    """
    return read_files("npy", path, SUFFIXES, _table, array, modality)


def _table(file: Path) -> Table:
    try:
        # Mapped: a header that declares more than the file holds is told before memory is taken.
        values = np.load(file, mmap_mode="r", allow_pickle=False)
    except UNREADABLE as error:
        raise BadInput(f"'{file}' cannot be read as .npy: {str(error)[:200]}") from error
    if not isinstance(values, np.ndarray):
        raise BadInput(f"'{file}' is an archive of arrays, not one array")
    return two_dimensional(np.asarray(values), f"'{file}'"), None, ()
