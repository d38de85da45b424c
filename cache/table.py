"""One array of one node for many utterances: ragged rows, padded or averaged on demand."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .errors import BadInput
from .mapped import MappedRows
from .records import Array, ArraySpec, Features

if TYPE_CHECKING:
    import pandas as pd

#: Bytes of a table's values that are looked at at once, whatever the size of the table.
BLOCK = 16 << 20


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """One array of one node for many utterances: ragged rows, one after another.

    Args:
        ids: the n utterances, in order.
        values: (n_rows, ...) rows of all utterances: an array, or ``MappedRows`` that stay on the
            disk.
        offsets: (n + 1,) int64; utterance i owns rows ``offsets[i]:offsets[i + 1]``.
        mask: (n_rows,) bool, True on real rows.
        times: (n_rows, 2) float64 seconds.
        columns: names of the columns; may be empty.

    An utterance whose features could not be made has no rows; ``present`` says which have.
    """

    ids: tuple[str, ...]
    values: Array | MappedRows
    offsets: Array
    mask: Array
    times: Array
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.offsets) != len(self.ids) + 1 or self.offsets[-1] != len(self.values):
            raise BadInput(
                f"{len(self.ids)} utterances and {len(self.values)} rows do not fit offsets of "
                f"shape {self.offsets.shape} that end at {self.offsets[-1]}"
            )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> Array:
        """Rows of each utterance, (n,) int64, masked ones counted."""
        return np.diff(self.offsets)

    @property
    def present(self) -> Array:
        """(n,) bool: the utterance has at least one real row."""
        counts = np.concatenate([[0], np.cumsum(self.mask)])
        result: Array = (counts[self.offsets[1:]] - counts[self.offsets[:-1]]) > 0
        return result

    def __getitem__(self, i: int) -> Features:
        rows = slice(int(self.offsets[i]), int(self.offsets[i + 1]))
        return Features(self.values[rows], self.times[rows], self.columns, self.mask[rows])

    def frame(self, i: int) -> pd.DataFrame:
        """Utterance i as a pandas table."""
        return self[i].to_frame()

    def padded(self, length: int | None = None) -> tuple[Array, Array]:
        """All utterances at one length: values (n, length, ...) and mask (n, length).

        Shorter ones are filled with zeros under a False mask, longer ones keep their first rows;
        ``length=None`` is that of the longest.
        """
        longest = int(self.lengths.max(initial=0)) if length is None else length
        values = np.zeros((len(self), longest, *self.values.shape[1:]), self.values.dtype)
        mask = np.zeros((len(self), longest), bool)
        for first, last, rows in self._blocks():
            lengths = np.diff(self.offsets[first : last + 1])
            into = np.arange(longest) < np.minimum(lengths, longest)[:, None]  # (n, length)
            place = np.arange(rows.start, rows.stop) - np.repeat(self.offsets[first:last], lengths)
            kept = place < longest  # (n_rows,)
            values[first:last][into] = self.values[rows][kept]
            mask[first:last][into] = self.mask[rows][kept]
        values[~mask] = 0
        return values, mask

    def means(self) -> Array:
        """Mean over each utterance's real rows, (n, ...) float64; NaN where it has none."""
        sums = np.zeros((len(self), *self.values.shape[1:]))
        counts = np.full(len(self), np.nan)
        for first, last, rows in self._blocks():
            mask = self.mask[rows]
            lengths = np.diff(self.offsets[first : last + 1])
            owner = np.repeat(np.arange(last - first), lengths)[mask]
            np.add.at(sums[first:last], owner, self.values[rows][mask])
            n_real = np.bincount(owner, minlength=last - first)
            counts[first:last][n_real > 0] = n_real[n_real > 0]
        result: Array = sums / counts.reshape(-1, *[1] * (self.values.ndim - 1))
        return result

    def select(self, chosen: Array) -> FeatureTable:
        """Only these utterances, by number, in this order."""
        starts, lengths = self.offsets[chosen], self.lengths[chosen]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        rows = np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])
        values = self.values
        return FeatureTable(
            ids=tuple(self.ids[i] for i in chosen),
            values=values.select(chosen) if isinstance(values, MappedRows) else values[rows],
            offsets=offsets,
            mask=self.mask[rows],
            times=self.times[rows],
            columns=self.columns,
        )

    def _blocks(self) -> Iterator[tuple[int, int, slice]]:
        """Utterances ``first:last`` and their rows, some megabytes at a time."""
        row_bytes = max(1, math.prod(self.values.shape[1:]) * self.values.dtype.itemsize)
        first = 0
        while first < len(self):
            limit = int(self.offsets[first]) + BLOCK // row_bytes
            last = max(first + 1, int(self.offsets.searchsorted(limit, "right")) - 1)
            yield first, last, slice(int(self.offsets[first]), int(self.offsets[last]))
            first = last

    def __repr__(self) -> str:
        return (
            f"FeatureTable: {len(self)} utterances ({int(self.present.sum())} present), "
            f"{len(self.values)} rows of {self.values.shape[1:]} {self.values.dtype}"
        )

    def _repr_html_(self) -> str:
        return f"<p><b>{html.escape(repr(self))}</b></p>"


def concat(ids: Sequence[str], parts: Sequence[Features | None], like: ArraySpec) -> FeatureTable:
    """Join utterances' rows into one table; None stands for an utterance without features."""
    empty = np.empty((0, *like.shape), np.dtype(like.dtype))
    values = [empty if part is None else part.values for part in parts]
    offsets = np.concatenate([[0], np.cumsum([len(v) for v in values])]).astype(np.int64)
    return FeatureTable(
        ids=tuple(ids),
        values=np.concatenate([empty, *values]),
        offsets=offsets,
        mask=np.concatenate([np.empty(0, bool), *[p.mask for p in parts if p is not None]]),
        times=np.concatenate([np.empty((0, 2)), *[p.times for p in parts if p is not None]]),
        columns=like.columns,
    )
