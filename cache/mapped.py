"""Rows of many utterances that stay in their shards: read from the disk where they are touched."""

from __future__ import annotations

import math
import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .files import LazyFile

Array = npt.NDArray[Any]


class MappedRows:
    """Rows of utterances one after another, as an array of them is read, without its memory.

    ``rows[a:b]`` inside one utterance is a read-only view of the mapped file; every other index
    (across utterances, row numbers, a boolean mask) copies what it asks for, and
    ``numpy.asarray(rows)`` copies everything. The pages that were touched belong to the operating
    system, which takes them back when memory is short.

    Args:
        files: the shards' files.
        file_of: (n,) which of them holds utterance i.
        begins: (n,) int64, byte of the utterance's first row in it.
        offsets: (n + 1,) int64; utterance i owns rows ``offsets[i]:offsets[i + 1]``.
        dtype: of the values.
        row: shape of one row.

    A disk that fails under a mapped page ends the process (SIGBUS): that is how operating systems
    tell it. Rows are read through the file, and so with a proper error, when they are checked.
    """

    def __init__(
        self,
        files: Sequence[LazyFile],
        file_of: Array,
        begins: Array,
        offsets: Array,
        dtype: np.dtype[Any],
        row: tuple[int, ...],
    ) -> None:
        self._files, self._file_of, self._begins = tuple(files), file_of, begins
        self._offsets = offsets
        self._row_items = math.prod(row)
        self.dtype = dtype
        self.shape: tuple[int, ...] = (int(offsets[-1]), *row)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """Dimensions, those of a row and one more."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that all rows would take in memory."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __getitem__(self, rows: Any) -> Array:
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            if step == 1:
                return self._span(start, max(start, stop))
        return self._gather(np.arange(len(self))[rows])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("rows that lie in several files are one array only as a copy")
        return np.asarray(self[:], dtype)

    def select(self, chosen: Array) -> MappedRows:
        """Only these utterances, by number, in this order."""
        lengths = np.diff(self._offsets)[chosen]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return MappedRows(
            self._files,
            self._file_of[chosen],
            self._begins[chosen],
            offsets,
            self.dtype,
            self.shape[1:],
        )

    def announce(self, start: int, stop: int) -> None:
        """Have the operating system read rows ``start:stop`` of one utterance; returns at once.

        Where all utterances of a batch are announced first, a cold disk has them to do at once.
        """
        if start < stop and self._row_items:
            i = self._owner(start)
            row_bytes = self._row_items * self.dtype.itemsize
            begin = int(self._begins[i]) + (start - int(self._offsets[i])) * row_bytes
            page = begin // mmap.PAGESIZE * mmap.PAGESIZE
            end = begin + (stop - start) * row_bytes
            self._files[self._file_of[i]].file.map.madvise(mmap.MADV_WILLNEED, page, end - page)

    def __repr__(self) -> str:
        return f"MappedRows: {self.shape} {self.dtype} in {len(self._files)} files"

    def _owner(self, row: int) -> int:
        return int(self._offsets.searchsorted(row, "right")) - 1

    def _view(self, i: int, start: int, stop: int) -> Array:
        """Rows of the table that utterance i owns, where they lie."""
        first = int(self._offsets[i])
        skip = (start - first) * self._row_items * self.dtype.itemsize
        flat = np.frombuffer(
            self._files[self._file_of[i]].file.map,
            self.dtype,
            (stop - start) * self._row_items,
            int(self._begins[i]) + skip,
        )
        return flat.reshape(stop - start, *self.shape[1:])

    def _span(self, start: int, stop: int) -> Array:
        if start == stop or not self._row_items:
            return np.empty((stop - start, *self.shape[1:]), self.dtype)
        i = self._owner(start)
        if stop <= self._offsets[i + 1]:
            return self._view(i, start, stop)
        found = np.empty((stop - start, *self.shape[1:]), self.dtype)
        at = start
        while at < stop:
            end = min(int(self._offsets[i + 1]), stop)
            if at < end:
                found[at - start : end - start] = self._view(i, at, end)
            at, i = end, i + 1
        return found

    def _gather(self, numbers: Array) -> Array:
        """Rows by number, of any shape; neighbours of one utterance are copied at once."""
        flat = numbers.reshape(-1)
        found = np.empty((len(flat), *self.shape[1:]), self.dtype)
        owners = self._offsets.searchsorted(flat, "right") - 1
        cuts = np.flatnonzero(np.diff(owners)) + 1
        for part in np.split(np.arange(len(flat)), cuts) if len(flat) else ():
            i = int(owners[part[0]])
            first, last = int(self._offsets[i]), int(self._offsets[i + 1])
            found[part] = self._span(first, last)[flat[part] - first]
        return found.reshape(*numbers.shape, *self.shape[1:])
