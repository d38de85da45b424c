"""Several seeds at once: every layer holds the weights of S seeds, stacked along dimension 0.

A step of a small model costs what its calls cost, not its arithmetic: five seeds of FmlMSN's
meta-learner in one step take about twice the time of one (``benchmarks/train_seeds.py``). From
some hundred thousand weights on a stack gains nothing. Each seed has its own random streams for
its first weights, its order of utterances and its dropout, so that it ends with the same numbers
(up to rounding of matrix products) whichever others run beside it. No global random state is read
or changed.

Shapes: S seeds, B utterances, T rows of a sequence, D columns, H hidden.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from .large_pages import zeros


class Streams:
    """Random numbers of S seeds, apart by purpose.

    Args:
        seeds: one number a seed.
        device: where dropout noise is drawn; weights and orders are always drawn on the CPU, so
            that a fit starts from the same numbers on every device.
    """

    def __init__(self, seeds: Sequence[int], device: str | torch.device = "cpu") -> None:
        self.seeds = tuple(seeds)
        self.weights = [_generator(seed, "weights", "cpu") for seed in self.seeds]
        self.orders = [_generator(seed, "order", "cpu") for seed in self.seeds]
        self.noise = [_generator(seed, "noise", device) for seed in self.seeds]

    def __len__(self) -> int:
        return len(self.seeds)

    @property
    def generators(self) -> list[torch.Generator]:
        """All of them, in an order."""
        return [*self.weights, *self.orders, *self.noise]

    def uniform(self, shape: Sequence[int], bound: float) -> Tensor:
        """First weights (S, *shape), each seed's drawn from [-bound, bound)."""
        drawn = zeros((len(self), *shape))
        for own, generator in zip(drawn, self.weights, strict=True):
            own.uniform_(-bound, bound, generator=generator)
        return drawn

    def permutations(self, n: int) -> Tensor:
        """An order of n utterances for each seed, (S, n)."""
        return torch.stack([torch.randperm(n, generator=g) for g in self.orders])


def _generator(seed: int, purpose: str, device: str | torch.device) -> torch.Generator:
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:7], "big"))


class Linear(nn.Module):
    """S linear maps side by side; first weights as in ``torch.nn.Linear``."""

    def __init__(self, n_in: int, n_out: int, streams: Streams) -> None:
        super().__init__()
        bound = 1 / math.sqrt(n_in)
        self.weight = nn.Parameter(streams.uniform((n_in, n_out), bound))  # (S, n_in, n_out)
        self.bias = nn.Parameter(streams.uniform((1, n_out), bound))  # (S, 1, n_out)

    def forward(self, x: Tensor) -> Tensor:
        """Map (S, B, n_in), or (S, B, T, n_in), to the same with n_out columns."""
        if x.ndim == 3:
            return torch.baddbmm(self.bias, x, self.weight)
        rows = torch.baddbmm(self.bias, x.flatten(1, -2), self.weight)
        return rows.view(*x.shape[:-1], -1)


class LayerNorm(nn.Module):
    """Bring each row to mean 0 and deviation 1, then S scales and shifts a column."""

    def __init__(self, width: int, streams: Streams) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(len(streams), width))
        self.shift = nn.Parameter(torch.zeros(len(streams), width))

    def forward(self, x: Tensor) -> Tensor:
        """Any shape (S, ..., width)."""
        sides = (len(x), *[1] * (x.ndim - 2), -1)
        row = functional.layer_norm(x, x.shape[-1:])
        return torch.addcmul(self.shift.view(sides), row, self.scale.view(sides))


class Dropout(nn.Module):
    """Zero entries with probability ``p`` while training, each seed from its own stream.

    Of rows (S, B, T, D), what is zeroed does not depend on how many rows of padding follow (on a
    CPU), for how many there are depends on the other seeds of a stack; nor does it of packed rows.
    """

    def __init__(self, p: float, streams: Streams) -> None:
        super().__init__()
        self.p = p
        self.streams = streams

    @property
    def active(self) -> bool:
        """Whether anything is zeroed now."""
        return self.training and self.p > 0

    def forward(self, x: Tensor, real: Tensor | None = None) -> Tensor:
        """Any shape (S, ...); or packed rows (S, P, D) and which are a seed's own, (S, P)."""
        return x * self.kept(x, real) if self.active else x

    def kept(self, x: Tensor, real: Tensor | None = None) -> Tensor:
        """What entries like those of x are multiplied by: 0, or the inverse of the share kept."""
        if real is not None and len(real) > 1:
            return self._of_packed(x, real)
        rows = x.ndim == 4
        shape = x.transpose(1, 2).shape if rows else x.shape  # the first rows first
        noise = self.streams.noise
        kept = self._drawn([_apart(g) for g in noise] if rows else noise, math.prod(shape[1:]))
        kept = kept.to(x.dtype)  # in mixed precision the product stays as narrow as x is
        return kept.view(shape).transpose(1, 2) if rows else kept.view(shape)

    def _of_packed(self, x: Tensor, real: Tensor) -> Tensor:
        """What a seed draws does not depend on how many rows the others of its stack have."""
        kept = x.new_zeros(x.shape, requires_grad=False)
        for own, mine, generator in zip(kept, real, self.streams.noise, strict=True):
            drawn = self._drawn([generator], int(mine.sum()) * x.shape[2])
            own[mine] = drawn.view(-1, x.shape[2]).to(x.dtype)
        return kept

    def _drawn(self, generators: Sequence[torch.Generator], n: int) -> Tensor:
        """What n entries of each generator are multiplied by, (S, n).

        Sixteen random bits decide about an entry, which takes a third of the time of a draw of its
        own (that was half of a step of SF on 1500 columns); so ``p`` is as near as 65536ths come.
        """
        size, device = (len(generators), -(-n // 4)), generators[0].device
        bits = torch.empty(size, dtype=torch.int64, device=device)
        for own, generator in zip(bits, generators, strict=True):
            own.random_(-(1 << 63), None, generator=generator)
        zeroed = min(round(self.p * (1 << 16)), (1 << 16) - 1)
        kept = bits.view(torch.int16)[:, :n] >= zeroed - (1 << 15)
        return kept * (1 / (1 - zeroed / (1 << 16)))


def _apart(generator: torch.Generator) -> torch.Generator:
    """A generator for one draw of any size, of which the next draw is not to depend."""
    if generator.device.type != "cpu":
        return generator  # its first number would have to be waited for
    seed = torch.randint(1 << 62, (), generator=generator)
    return torch.Generator().manual_seed(int(seed))
