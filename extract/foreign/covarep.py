"""COVAREP's output: a folder of ``.mat`` files (versions 5 and 7.3), one an utterance."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...cache.errors import BadInput
from ...cache.hdf5_foreign import ForeignHdf5, is_hdf5
from ...cache.records import Array, frame_times
from ..audio.covarep_features import Covarep
from .library import Table, first_below, head_of, read_files, two_dimensional
from .mat5 import is_mat5, read_mat5
from .records import Foreign

SUFFIXES = (".mat",)
#: Seconds from row to row.
HOP = 0.01


def knows(path: Path, head: bytes) -> bool:
    """Whether a file, or the first one of a folder, is MATLAB's."""
    head = head_of(first_below(path, SUFFIXES))
    return is_mat5(head) or is_hdf5(head)


def read(path: Path, array: str = "", modality: str = "audio") -> Foreign:
    """Read such a folder: the matrix ``features``, with ``names`` where they can be read.

    Args:
        path: the folder, or a file.
        array: what to call the array; empty: after its modality.
        modality: of what is read.

    Raises:
        BadInput: a file holds no matrix ``features``, is cut off, or has other columns.
    """
    return read_files("covarep", path, SUFFIXES, _table, array, modality)


def _table(file: Path) -> Table:
    names: tuple[str, ...] = ()
    values: Array | None
    if is_hdf5(head_of(file)):
        with ForeignHdf5(file) as opened:
            values = opened.read("features").T  # MATLAB's first dimension is HDF5's last
    else:
        found = read_mat5(file.read_bytes())
        values = found.get("features")
        given = found.get("names")
        names = tuple(map(str, given)) if isinstance(given, list) else ()
    if not isinstance(values, np.ndarray):
        raise BadInput(f"'{file}' has no matrix 'features', as COVAREP writes")
    values = two_dimensional(values, f"'{file}': 'features'")
    return values, frame_times(len(values), HOP), _columns(values, names)


def _columns(values: Array, names: tuple[str, ...]) -> tuple[str, ...]:
    known = Covarep().spec["values"].columns
    if len(names) == values.shape[1] and len(set(names)) == len(names):
        return names
    return known if len(known) == values.shape[1] else ()
