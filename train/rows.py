"""Rows of a batch as they lie in their input: nobody copies or pads them until they are asked for.

Shapes: S seeds, B utterances, T rows of the longest, D columns, N rows of the whole input.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, eq=False)
class Rows:
    """Where the rows of a batch lie.

    Utterances are far shorter than the longest of a batch: padded, they are several times as many
    rows, which a recurrent layer would only pick the real ones out of again.

    Args:
        given: (N + 1, D), the last row zeros.
        place: (S, B, T) number of each row, that of the last one past an utterance's end.
    """

    given: Tensor
    place: Tensor

    def padded(self) -> Tensor:
        """Copied to (S, B, T, D); once where all seeds have the same (``expand``)."""
        once = self.place[:1] if self.place.stride(0) == 0 else self.place
        found = self.at(once.reshape(-1)).view(*once.shape, self.given.shape[1])
        return found.expand(*self.place.shape, -1)

    def at(self, place: Tensor) -> Tensor:
        """Those of some numbers (n,), (n, D)."""
        return self.given.index_select(0, place)

    def longer(self, missing: int) -> Rows:
        """So many rows of padding more."""
        return Rows(self.given, functional.pad(self.place, (0, missing), value=len(self.given) - 1))

    def both_ways(self) -> Rows:
        """Each seed's in order, then in reverse: (2 S, B, T)."""
        return Rows(self.given, both_ways(self.place))

    def expand(self, n_seeds: int) -> Rows:
        """The same for every seed."""
        return Rows(self.given, self.place.expand(n_seeds, *self.place.shape[1:]))


class Padded(Mapping[str, Tensor]):
    """Inputs of a batch by name, tensors (S, B, ...); rows are padded when first asked for.

    Args:
        given: means (S, B, D), rows as they lie, or rows that are padded already.
    """

    def __init__(self, given: Mapping[str, Tensor | Rows]) -> None:
        self.given = given
        self._made: dict[str, Tensor] = {}

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._made:
            self._made[name] = padded(self.given[name])
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.given)

    def __len__(self) -> int:
        return len(self.given)

    def expand(self, n_seeds: int) -> Padded:
        """The same for every seed, one copy in memory."""
        return Padded(
            {
                name: x.expand(n_seeds) if isinstance(x, Rows) else x.expand(n_seeds, *x.shape[1:])
                for name, x in self.given.items()
            }
        )


def padded(x: Tensor | Rows) -> Tensor:
    """Rows as a tensor (S, B, T, D)."""
    return x.padded() if isinstance(x, Rows) else x


def both_ways(x: Tensor) -> Tensor:
    """(S, B, T, ...) to (2 S, B, T, ...): each seed's rows in order, then in reverse."""
    return torch.stack([x, x.flip(2)], dim=1).flatten(0, 1)
