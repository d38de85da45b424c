"""Keys of a corpus' utterances at one node, as a column."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import overload

import numpy as np

from ..cache.keys import KEY_BYTES
from ..cache.records import Array

#: Utterances that are looked at together wherever a whole corpus is gone through: so many Python
#: objects there are at once, however large the corpus is.
WAVE = 8192


class KeyColumn(Sequence[bytes | None]):
    """The key of each utterance, None where it has none: 17 bytes each, where objects take 60.

    Args:
        data: (n, 16) uint8, the keys; zeros where there is none.
        there: (n,) bool, the utterance has a key.
    """

    def __init__(self, data: Array, there: Array) -> None:
        self.data = data
        self.there = there

    @classmethod
    def of(cls, keys: Iterable[bytes | None], n: int | None = None) -> KeyColumn:
        """A column of keys that come one by one.

        Args:
            keys: of each utterance, in order.
            n: how many; None: ``keys`` can say so.
        """
        n = len(keys) if n is None else n  # type: ignore[arg-type]  # a Sequence then
        data, there = np.zeros((n, KEY_BYTES), np.uint8), np.zeros(n, bool)
        coming = iter(keys)
        for at in range(0, n, WAVE):
            wave = list(islice(coming, WAVE))
            image = b"".join(bytes(KEY_BYTES) if key is None else key for key in wave)
            data[at : at + WAVE] = np.frombuffer(image, np.uint8).reshape(-1, KEY_BYTES)
            there[at : at + WAVE] = [key is not None for key in wave]
        return cls(data, there)

    def __len__(self) -> int:
        return len(self.there)

    @overload
    def __getitem__(self, i: int) -> bytes | None: ...

    @overload
    def __getitem__(self, i: slice) -> Sequence[bytes | None]: ...

    def __getitem__(self, i: int | slice) -> bytes | None | Sequence[bytes | None]:
        if isinstance(i, slice):
            return KeyColumn(self.data[i], self.there[i])
        return self.data[i].tobytes() if self.there[i] else None

    def __iter__(self) -> Iterator[bytes | None]:
        for at in range(0, len(self), WAVE):
            image = self.data[at : at + WAVE].tobytes()
            for i, there in enumerate(self.there[at : at + WAVE].tolist()):
                yield image[i * KEY_BYTES : (i + 1) * KEY_BYTES] if there else None

    def some(self, rows: Array) -> list[bytes]:
        """Keys of utterances that have one.

        Args:
            rows: (m,) int, their numbers.
        """
        image = self.data[rows].tobytes()
        return [image[i : i + KEY_BYTES] for i in range(0, len(image), KEY_BYTES)]

    def first(self, rows: Array) -> Array:
        """Those of some utterances, in order, that are the first with their key.

        Args:
            rows: (m,) int, their numbers; each has a key.
        """
        halves = self.data[rows].view(">u8")  # (m, 2)
        order = np.lexsort((rows, halves[:, 1], halves[:, 0]))
        ordered = halves[order]
        again = np.zeros(len(rows), bool)
        again[1:] = (ordered[1:] == ordered[:-1]).all(axis=1)
        return np.sort(rows[order[~again]])
