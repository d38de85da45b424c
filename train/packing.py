"""Ragged sequences time step by time step, the longest first, without their padding.

Shapes: S seeds, B utterances, T rows of a sequence, P rows of the packing, D columns, H hidden.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from .rows import Rows


class Place(NamedTuple):
    """Where a time step lies in ``Packing.flat``, and the one before it.

    Attributes:
        n_seeds: seeds, whose sequences lie one seed's after the other's.
        begin: its first row.
        n: its sequences, of each seed.
        before: first row of the time step before it.
        n_before: sequences of that one, of which the first n go on; 0: there is none.
    """

    n_seeds: int
    begin: int
    n: int
    before: int
    n_before: int


class Packing:
    """Where each real row lies once the sequences stand by length, row after row of all of them.

    The first rows of all sequences come first, then the second ones of all that have two, and so
    on: what is recurrent then works on ever fewer sequences, and on no padding. Of a stack, as many
    are carried on as the seed with the most long ones has; what is made of the others' rows past
    their end is asked for by nobody.

    Args:
        mask: bool (S, B, T), True on real rows, wherever they are.

    Attributes:
        sizes: sequences at each time step, falling.
        real: bool (S, P), False on rows past the end of a seed's own.
    """

    def __init__(self, mask: Tensor) -> None:
        n_seeds, n, n_rows = mask.shape
        device = mask.device
        lengths, order = mask.sum(dim=2).sort(dim=1, descending=True, stable=True)  # (S, B)
        steps = torch.arange(int(lengths.max()) if n else 0, device=device)
        sizes = (lengths.unsqueeze(2) > steps).sum(dim=1).amax(dim=0)  # (T',)
        self.sizes: list[int] = sizes.tolist()
        starts = functional.pad(sizes.cumsum(0), (1, 0))
        step = steps.repeat_interleave(sizes)  # (P,)
        place = torch.arange(len(step), device=device)
        rank = place - starts[step]  # (P,), by length
        self._seed = torch.arange(n_seeds, device=device).unsqueeze(1)
        self.real = lengths[:, rank] > step
        utterance, row = order[:, rank], step.expand(n_seeds, -1)  # (S, P)
        if (mask[..., 1:] & ~mask[..., :-1]).any():  # real rows after masked ones
            places = mask.to(torch.uint8).argsort(dim=2, descending=True, stable=True)
            row = places[self._seed, utterance, row]
        self._rows = (self._seed * n + utterance) * n_rows + row
        later = step > 0
        self._before = (place - sizes[step - 1])[later] + len(step) * self._seed  # (S, P - n)
        # place of each row of (S, P) where a time step's lie side by side, and the other way
        self._stacked = (n_seeds * starts[step] + rank + sizes[step] * self._seed).reshape(-1)
        self._flat = self._stacked.argsort()
        self._starts = starts
        self._rank = torch.empty_like(order)  # (S, B)
        self._rank.scatter_(1, order, torch.arange(n, device=device).expand_as(order))

    def pack(self, x: Tensor | Rows) -> Tensor:
        """Rows (S, B, T, D) as (S, P, D)."""
        chosen = self._rows.reshape(-1)
        if isinstance(x, Rows):
            packed = x.at(x.place.reshape(-1)[chosen])
        else:
            packed = x.flatten(0, 2).index_select(0, chosen)
        return packed.view(*self._rows.shape, packed.shape[-1])

    def flat(self, packed: Tensor) -> Tensor:
        """A copy of (S, P, D) as (S * P, D), all rows of a time step side by side."""
        if len(packed) == 1:
            return packed.flatten(0, 1).clone()
        return packed.flatten(0, 1).index_select(0, self._flat)

    def stacked(self, flat: Tensor) -> Tensor:
        """What ``flat`` made, as (S, P, D) again."""
        n_seeds = len(self._seed)
        rows = flat if n_seeds == 1 else flat.index_select(0, self._stacked)
        return rows.view(n_seeds, -1, *flat.shape[1:])

    def steps(self, flat: Tensor) -> Sequence[Tensor]:
        """Views (S, n, ...) of the time steps of (S * P, ...); each lies in one piece."""
        n_seeds = len(self._seed)
        parts = flat.split([n_seeds * n for n in self.sizes])
        return [part.unflatten(0, (n_seeds, -1)) for part in parts]

    def places(self) -> Iterator[Place]:
        """Where each time step lies."""
        n_seeds, begin, before, n_before = len(self._seed), 0, 0, 0
        for n in self.sizes:
            yield Place(n_seeds, begin, n, before, n_before)
            begin, before, n_before = begin + n_seeds * n, begin, n

    def earlier(self, flat: Tensor) -> list[Tensor]:
        """Of each time step, its sequences at the one before, (S, n, ...); first, a zeroed tensor.

        All but the first are views.
        """
        steps = self.steps(flat)
        first = [torch.zeros_like(step) for step in steps[:1]]
        return first + [step[:, :n] for step, n in zip(steps, self.sizes[1:], strict=False)]

    def before(self, packed: Tensor) -> Tensor:
        """Each row's (S, P, H) of the time step before it, zeros before the first."""
        n_seeds, n_rows, width = packed.shape
        found = packed.flatten(0, 1).index_select(0, self._before.reshape(-1))
        found = found.view(*self._before.shape, width)
        return torch.cat([packed.new_zeros(n_seeds, n_rows - found.shape[1], width), found], dim=1)

    def after(self, packed: Tensor, n_read: Tensor) -> Tensor:
        """What (S, P, H) has after ``n_read`` (S, B, N) real rows, (S, B, N, H); 0: zeros."""
        if not self.sizes:
            return packed.new_zeros(*n_read.shape, packed.shape[-1])
        place = self._starts[(n_read - 1).clamp(min=0)] + self._rank.unsqueeze(2)
        place = place.clamp(max=packed.shape[1] - 1)  # of sequences without a row
        place = place + packed.shape[1] * self._seed.unsqueeze(2)
        found = packed.flatten(0, 1).index_select(0, place.reshape(-1))
        return found.view(*n_read.shape, packed.shape[-1]) * (n_read > 0).unsqueeze(-1)

    def last(self, packed: Tensor, mask: Tensor) -> Tensor:
        """What (S, P, H) has after the last real row of ``mask``, (S, B, H); without one, zeros."""
        return self.after(packed, mask.sum(dim=2, keepdim=True)).squeeze(2)
