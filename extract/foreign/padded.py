"""Arrays padded with zeros to one length: how many rows of each utterance are real."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from ...cache.records import Array, ArraySpec, Features
from ...cache.validation import count
from .records import ForeignArray, Tally, features_of, kept_dtype, unmeasured

#: Bytes that are looked at in one go: few calls, and they still lie in the processor's cache.
_BLOCK = 1 << 20


class Padded:
    """One padded array over several splits, with the length of each utterance.

    All of it is looked at when it is made: which rows hold zeros alone, which NaN or infinity.

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
        looks = [_looked_at(part) for part in parts]
        self._blank = [blank for blank, _ in looks]
        self._infinite = [infinite for _, infinite in looks]
        self._ends = np.concatenate([_ends(blank) for blank in self._blank])
        self.given = lengths
        self.front = lengths is None and self._padded_in_front()
        self.beyond: set[int] = set()
        self.clipped: set[int] = set()
        self.tally = Tally()

    @property
    def longest(self) -> tuple[int, ...]:
        """Rows of an utterance with its padding, by split."""
        return tuple(part.shape[1] for part in self.parts)

    def own_lengths(self) -> Array:
        """Rows of each utterance by the file's word for it, or up to its padding, (n_all,) int."""
        most = np.repeat(self.longest, [len(part) for part in self.parts])
        if self.given is not None:
            return np.clip(self.given, 0, most)
        if self.front:
            return np.concatenate([_ends(blank[:, ::-1]) for blank in self._blank])
        return self._ends

    def rows(self, i: int, length: int) -> Features:
        """The real rows of utterance i, with those without a measurement masked.

        They are a view of the file, where they may begin at any byte.
        """
        split = bisect_right(self.starts, i) - 1
        within = i - self.starts[split]
        block = self.parts[split][within]  # (L, D)
        if self.given is not None:
            if self.given[i] > len(block):
                self.clipped.add(i)
            if self._ends[i] > length:
                self.beyond.add(i)
        own = slice(len(block) - length, None) if self.front else slice(length)
        values = np.ascontiguousarray(block[own], self.dtype)
        blank, infinite = self._blank[split][within, own], self._infinite[split][within, own]
        if block.dtype.kind != "f":  # a whole number of zero is one like any other
            blank = np.zeros(length, bool)
        return features_of(i, values, self.tally, odd=(infinite, blank))

    def _padded_in_front(self) -> bool:
        """Whether more utterances begin with a row of zeros than end with one."""
        blank = [part for part in self._blank if part.shape[1]]
        begin = sum(int(np.count_nonzero(part[:, 0])) for part in blank)
        end = sum(int(np.count_nonzero(part[:, -1])) for part in blank)
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


def _looked_at(part: Array) -> tuple[Array, Array]:
    """Which rows of (n, L, D) hold zeros alone, and which NaN or infinity: (n, L) bool each."""
    n, longest, width = part.shape
    blank, infinite = np.ones((n, longest), bool), np.zeros((n, longest), bool)
    step = max(1, _BLOCK // max(1, longest * width * part.dtype.itemsize))
    for i in range(0, n, step):
        own = slice(i, i + step)
        rows = part[own].reshape(-1, width)
        if part.dtype.kind == "f":
            odd, zero = unmeasured(rows)
            infinite[own], blank[own] = odd.reshape(-1, longest), zero.reshape(-1, longest)
        else:
            blank[own] = ~np.any(rows, axis=1).reshape(-1, longest)
    return blank, infinite


def _ends(blank: Array) -> Array:
    """Rows up to the last one that is not blank, (n,) int; of (n, L) bool."""
    if not blank.shape[1]:
        return np.zeros(len(blank), np.int64)
    after: Array = np.argmin(blank[:, ::-1], axis=1)  # blank ones after it; 0 where all are
    return np.where(blank.all(axis=1), 0, blank.shape[1] - after)


class Together:
    """Arrays of one file whose lengths belong together.

    Word-aligned ones have one length, that of the longest: a word without a face has a row too.
    """

    def __init__(self, arrays: Sequence[Padded], aligned: bool) -> None:
        self.arrays = arrays
        self.aligned = aligned
        if aligned:
            fronts = [array.front for array in arrays]
            for array in arrays:  # one of them may have hardly any padding
                array.front = sum(fronts) * 2 > len(fronts)
        lengths = [array.own_lengths() for array in arrays]
        if aligned:
            lengths = [np.max(lengths, axis=0)] * len(lengths)
        self._lengths = {array.name: own for array, own in zip(arrays, lengths, strict=True)}

    def lengths(self, array: Padded) -> Array:
        """Rows of each utterance in one of the arrays, (n_all,) int."""
        return self._lengths[array.name]

    def foreign(self, array: Padded, modality: str) -> ForeignArray:
        """One of the arrays, as the file's reader hands it out."""
        lengths = self.lengths(array).tolist()
        return ForeignArray(
            modality,
            ArraySpec((array.width,), array.dtype.name),
            lambda i: array.rows(i, lengths[i]),
            array.told,
        )


def is_aligned(arrays: Sequence[Padded]) -> bool:
    """Whether several arrays have one length, and none says otherwise."""
    return (
        len(arrays) > 1
        and all(array.given is None for array in arrays)
        and len({array.longest for array in arrays}) == 1
    )
