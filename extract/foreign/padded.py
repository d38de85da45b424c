"""Arrays padded with zeros to one length: how many rows of each utterance are real."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from ...cache.records import Array, ArraySpec, Features
from ...cache.validation import count
from .records import ForeignArray, Tally, features_of, kept_dtype, unmeasured


class Padded:
    """One padded array over several splits, with the length of each utterance.

    Args:
        name: for messages.
        parts: (n, L, D) of each split, in order; L may differ.
        lengths: rows of each utterance as the file gives them, (n_all,) int; None: it does not.
    """

    def __init__(self, name: str, parts: Sequence[Array], lengths: Array | None) -> None:
        self.name = name
        self.parts = parts
        self.starts = [0, *accumulate(map(len, parts))]
        self.width = parts[0].shape[2]
        dtypes = {part.dtype for part in parts}
        self.dtype = np.dtype(kept_dtype(np.result_type(*dtypes)))
        self.given = lengths
        self.front = lengths is None and self._padded_in_front()
        self.beyond: set[int] = set()
        self.clipped: set[int] = set()
        self.tally = Tally()
        self._last = (-1, np.empty(0), np.empty(0), np.empty(0))

    @property
    def longest(self) -> tuple[int, ...]:
        """Rows of an utterance with its padding, by split."""
        return tuple(part.shape[1] for part in self.parts)

    def block(self, i: int) -> Array:
        """Utterance i with its padding, (L, D)."""
        split = bisect_right(self.starts, i) - 1
        found: Array = self.parts[split][i - self.starts[split]]
        return found

    def own_length(self, i: int) -> int:
        """Rows of utterance i by the file's word for it, or up to its padding."""
        if self.given is not None:
            return int(min(max(self.given[i], 0), len(self.block(i))))
        real = np.flatnonzero(self._looked_at(i)[0])
        if not len(real):
            return 0
        return len(self.block(i)) - int(real[0]) if self.front else int(real[-1]) + 1

    def rows(self, i: int, length: int) -> Features:
        """The real rows of utterance i, with those without a measurement masked.

        They are a view of the file, where they may begin at any byte.
        """
        block = self.block(i)
        real, infinite, zero = self._looked_at(i)
        if self.given is not None:
            if self.given[i] > len(block):
                self.clipped.add(i)
            if real[length:].any():
                self.beyond.add(i)
        own = slice(len(block) - length, None) if self.front else slice(length)
        values = np.ascontiguousarray(block[own], self.dtype)
        return features_of(i, values, self.tally, odd=(infinite[own], zero[own]))

    def _looked_at(self, i: int) -> tuple[Array, Array, Array]:
        """Which rows of utterance i hold anything but zeros, NaN or infinity, only zeros."""
        if self._last[0] != i:
            block = self.block(i)
            infinite, zero = unmeasured(block)
            real = ~zero if block.dtype.kind == "f" else np.any(block, axis=1)
            self._last = (i, real, infinite, zero)
        return self._last[1:]

    def _padded_in_front(self) -> bool:
        """Whether more utterances begin with a row of zeros than end with one."""
        begin = sum(int((~_any(part[:, 0])).sum()) for part in self.parts if part.shape[1])
        end = sum(int((~_any(part[:, -1])).sum()) for part in self.parts if part.shape[1])
        return begin > end

    def told(self) -> list[str]:
        """What is to be known of its lengths and rows."""
        by = "in front" if self.front else "at the end"
        found = [] if self.given is not None else [f"'{self.name}': zeros {by} taken as padding"]
        if self.clipped:
            n = count(len(self.clipped), "utterance")
            found.append(f"'{self.name}': {n} said to be longer than the array: cut to it")
        if self.beyond:
            n = count(len(self.beyond), "utterance")
            found.append(f"'{self.name}': {n} with values beyond their length: left out")
        return found + self.tally.told(self.name)


def _any(rows: Array) -> Array:
    """Which rows (n, D) hold anything but zeros, (n,) bool."""
    return ~unmeasured(rows)[1] if rows.dtype.kind == "f" else np.any(rows, axis=1)


class Together:
    """Arrays of one file whose lengths belong together.

    Word-aligned ones have one length, that of the longest: a word without a face has a row too.
    """

    def __init__(self, arrays: Sequence[Padded], aligned: bool) -> None:
        self.arrays = arrays
        self.aligned = aligned
        self._known: dict[int, int] = {}
        if aligned:
            fronts = [array.front for array in arrays]
            for array in arrays:  # one of them may have hardly any padding
                array.front = sum(fronts) * 2 > len(fronts)

    def length(self, array: Padded, i: int) -> int:
        """Rows of utterance i in one of the arrays."""
        if not self.aligned:
            return array.own_length(i)
        if i not in self._known:
            self._known[i] = max(array.own_length(i) for array in self.arrays)
        return self._known[i]

    def foreign(self, array: Padded, modality: str) -> ForeignArray:
        """One of the arrays, as the file's reader hands it out."""
        return ForeignArray(
            modality,
            ArraySpec((array.width,), array.dtype.name),
            lambda i: array.rows(i, self.length(array, i)),
            array.told,
        )


def is_aligned(arrays: Sequence[Padded]) -> bool:
    """Whether several arrays have one length, and none says otherwise."""
    return (
        len(arrays) > 1
        and all(array.given is None for array in arrays)
        and len({array.longest for array in arrays}) == 1
    )
