"""What a model reads of an input: the mean over its real rows, or the rows; in memory or mapped.

Nothing here knows torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..cache.errors import TrainingError
from ..cache.mapped import MappedRows
from .dataset import Array, Input
from .normalize import Scaler, fit_scaler

#: Bytes of rows that are looked at in one go: they stay in the processor's cache.
BLOCK = 1 << 20


@dataclass(frozen=True, eq=False)
class Reading:
    """What a model reads of one input, normalised, float32.

    Args:
        values: (n, D) means, or (n_rows, D) rows one after another; masked ones are zeros.
        mask: (n,) bool: the utterance has a real row; or (n_rows,) bool: the row is real.
        offsets: (n + 1,) int64 for rows; None for means.
    """

    values: Array
    mask: Array
    offsets: Array | None = None

    def select(self, chosen: Array) -> Reading:
        """Only these utterances, by number."""
        if self.offsets is None:
            return Reading(self.values[chosen], self.mask[chosen])
        lengths = np.diff(self.offsets)[chosen]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        rows = np.repeat(self.offsets[chosen] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return Reading(self.values[rows], self.mask[rows], offsets)


@dataclass(frozen=True, eq=False)
class MappedReading:
    """The same of a mapped table: rows that are read and normalised when a batch asks for them.

    Args:
        given: the input.
        chosen: (n,) utterances, by their number in its table.
        length: rows kept of each, the first ones.
        scaler: its normaliser.
    """

    given: Input
    chosen: Array
    length: int
    scaler: Scaler

    @cached_property
    def lengths(self) -> Array:
        """Rows kept of each utterance, (n,) int64."""
        return np.minimum(self.given.table.lengths[self.chosen], self.length)

    def select(self, chosen: Array) -> MappedReading:
        """Only these utterances, by number."""
        return replace(self, chosen=self.chosen[chosen])

    def announce(self, i: int) -> None:
        """Have the rows of utterance i read from the disk, without waiting for them."""
        values, rows = self.given.table.values, self._rows(i)
        if isinstance(values, MappedRows):
            values.announce(rows.start, rows.stop)

    def fill(self, i: int, values: Array, mask: Array) -> None:
        """Read utterance i to the front of ``values`` (T, D) float32 and ``mask`` (T,), zeros.

        Raises:
            TrainingError: a real row holds a value that is not finite.
        """
        rows = self._rows(i)
        own = values[: rows.stop - rows.start]
        mask[: len(own)] = real = self.given.table.mask[rows]
        stored = flat(self.given, rows)
        _check_rows(self.given, stored, rows)
        own[:] = stored
        normalised(own, None if real.all() else real, self.scaler)

    def _rows(self, i: int) -> slice:
        start = int(self.given.table.offsets[self.chosen[i]])
        return slice(start, start + int(self.lengths[i]))


def flat(given: Input, rows: slice) -> Array:
    """Some rows of an input, (n_rows, width)."""
    values: Array = given.table.values[rows]
    return values.reshape(len(values), given.width)


def normalised(values: Array, mask: Array | None, scaler: Scaler) -> None:
    """Normalise float32 rows (n, D) in place; masked ones (None: there are none) become zeros."""
    if mask is not None:
        values[~mask] = 0  # may hold anything, NaN included
    scaler.apply(values)
    if mask is not None:
        values[~mask] = 0


def real_rows(given: Input, length: int, chosen: Array) -> Iterator[tuple[int, Array]]:
    """The real ones of each chosen utterance's first ``length`` rows: its number, (n, width)."""
    offsets, mask = given.table.offsets, given.table.mask
    for i in chosen:
        span = slice(int(offsets[i]), int(min(offsets[i + 1], offsets[i] + length)))
        rows, real = flat(given, span), mask[span]
        yield int(i), rows if real.all() else rows[real]


def check_finite(given: Input) -> None:
    """See that every real row holds finite values.

    Raises:
        TrainingError: one does not; names the input, the first such utterance and column.
    """
    if given.table.values.dtype.kind in "iu":  # pictures: nothing else can be in them
        return
    for _, _, rows in _blocks(given):
        _check_rows(given, flat(given, rows), rows)


def checked_when_read(given: Input, reads: str) -> bool:
    """Whether ``check_finite`` may be left out: its rows are looked at whenever a batch is read.

    A table that is mapped since it is larger than memory is not read twice for that.
    """
    return reads != "mean" and isinstance(given.table.values, MappedRows)


def _check_rows(given: Input, values: Array, rows: slice) -> None:
    """The same of some rows, whose values (n_rows, width) were read."""
    if values.dtype.kind in "iu" or _all_finite(values):
        return
    table, names = given.table, given.table.columns
    bad = ~np.isfinite(values) & table.mask[rows, None]
    if not bad.any():
        return
    row, column = np.argwhere(bad)[0]
    utterance = int(np.searchsorted(table.offsets, rows.start + row, side="right")) - 1
    raise TrainingError(
        f"input '{given.name}' holds a value that is not finite ({values[row, column]}): "
        f"utterance '{table.ids[utterance]}', "
        f"column {repr(names[column]) if names else int(column)}"
    )


def _all_finite(values: Array) -> bool:
    """Whether all values are finite; of float16 by their bits, as no processor computes on them."""
    if values.dtype != np.float16:
        return bool(np.isfinite(values).all())
    size = values.view(np.uint16) & 0x7FFF
    return bool(size.max(initial=0) < 0x7C00)  # an exponent of ones alone: infinity and NaN


def _blocks(given: Input) -> Iterator[tuple[int, int, slice]]:
    """Utterances whose rows take about ``BLOCK`` bytes: from number, to number, their rows."""
    offsets = given.table.offsets
    share = max(BLOCK // (given.width * given.table.values.dtype.itemsize), 1)
    start = 0
    while start < len(given.table):
        full = int(np.searchsorted(offsets, offsets[start] + share, side="right")) - 1
        end = min(max(full, start + 1), len(given.table))
        yield start, end, slice(int(offsets[start]), int(offsets[end]))
        start = end


def scaler_of(given: Input, length: int, train: Array) -> Scaler:
    """Normaliser of an input from the training split's real rows, within ``length``."""
    return fit_scaler((rows for _, rows in real_rows(given, length, train)), given.width)


def read(given: Input, reads: str, length: int, scaler: Scaler) -> Reading | MappedReading:
    """Make what a model reads: the first ``length`` rows, or the mean of the real ones."""
    if reads == "mean":
        return _means(given, length, scaler)
    table = given.table
    if isinstance(table.values, MappedRows):
        return MappedReading(given, np.arange(len(table)), length, scaler)
    kept = np.minimum(table.lengths, length)
    offsets = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
    if offsets[-1] == len(table.values):  # nothing is cut off
        values, mask = table.values, table.mask.astype(bool)
    else:
        rows = np.repeat(table.offsets[:-1] - offsets[:-1], kept) + np.arange(offsets[-1])
        values, mask = table.values[rows], table.mask[rows].astype(bool)
    values = values.reshape(len(values), given.width).astype(np.float32)
    normalised(values, None if mask.all() else mask, scaler)
    return Reading(values, mask, offsets)


def _means(given: Input, length: int, scaler: Scaler) -> Reading:
    n = len(given.table)
    means, present = np.zeros((n, given.width)), np.zeros(n, bool)
    for i, rows in real_rows(given, length, np.arange(n)):
        if len(rows):
            present[i] = True
            rows.mean(axis=0, dtype=np.float64, out=means[i])
    means[present] = scaler(means[present])
    return Reading(means.astype(np.float32), present)
