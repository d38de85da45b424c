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
from collections import deque
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


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
        drawn = [torch.empty(*shape).uniform_(-bound, bound, generator=g) for g in self.weights]
        return torch.stack(drawn)

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
    CPU), for how many there are depends on the other seeds of a stack.
    """

    def __init__(self, p: float, streams: Streams) -> None:
        super().__init__()
        self.p = p
        self.streams = streams

    @property
    def active(self) -> bool:
        """Whether anything is zeroed now."""
        return self.training and self.p > 0

    def forward(self, x: Tensor) -> Tensor:
        """Any shape (S, ...)."""
        return x * self.kept(x) if self.active else x

    def kept(self, x: Tensor) -> Tensor:
        """What entries like those of x are multiplied by: 0, or 1 / (1 - p)."""
        rows = x.ndim == 4
        shape = x.transpose(1, 2).shape if rows else x.shape  # the first rows first
        kept = x.new_empty(shape, requires_grad=False)
        for own, generator in zip(kept, self.streams.noise, strict=True):
            own.bernoulli_(1 - self.p, generator=_apart(generator) if rows else generator)
        kept.mul_(1 / (1 - self.p))
        return kept.transpose(1, 2) if rows else kept


def _apart(generator: torch.Generator) -> torch.Generator:
    """A generator for one draw of any size, of which the next draw is not to depend."""
    if generator.device.type != "cpu":
        return generator  # its first number would have to be waited for
    seed = torch.randint(1 << 62, (), generator=generator)
    return torch.Generator().manual_seed(int(seed))


#: Columns of a row up to which torch's own LSTM, one call a seed, is quicker on a CPU: up to three
#: times for long rows and small states (``benchmarks/lstm.py``).
FUSED_COLUMNS = 256


class Lstm(nn.Module):
    """One-layer LSTM.

    Masked rows, whether inside a sequence or after it, leave the state as it is, so the result
    does not depend on padding. ``torch.nn.LSTM`` cannot be stacked over seeds (``torch.func`` has
    no rule for it); where its kernel is quicker nevertheless, it runs seed by seed.

    Source:
        Hochreiter and Schmidhuber (1997); gates and first weights as in ``torch.nn.LSTM``, with
        one bias instead of two that are only ever added.
    """

    def __init__(self, n_in: int, hidden: int, streams: Streams) -> None:
        super().__init__()
        bound = 1 / math.sqrt(hidden)
        self.hidden = hidden
        # columns: input, forget and output gate, then the candidate, H each
        self.from_input = nn.Parameter(streams.uniform((n_in, 4 * hidden), bound))
        self.from_state = nn.Parameter(streams.uniform((hidden, 4 * hidden), bound))
        self.bias = nn.Parameter(streams.uniform((1, 4 * hidden), bound))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map rows (S, B, T, D) and mask (S, B, T) to the last state (S, B, H)."""
        if self._fuses(x):
            return self._fused(x, mask, mask.sum(dim=2, keepdim=True)).squeeze(2)
        state, _ = deque(self._steps(x, mask), maxlen=1).pop()
        return state

    def rows(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map rows (S, B, T, D) and mask (S, B, T) to the state after each row, (S, B, T, H)."""
        if self._fuses(x):
            return self._fused(x, mask, mask.cumsum(dim=2))
        return torch.stack([state for state, _ in self._steps(x, mask)], dim=2)

    def _fuses(self, x: Tensor) -> bool:
        """Whether torch's LSTM is quicker: on a CPU, where a row's arithmetic is little."""
        return (
            x.device.type == "cpu"
            and x.shape[-1] <= FUSED_COLUMNS
            and not torch.is_autocast_enabled("cpu")
        )

    def _fused(self, x: Tensor, mask: Tensor, n_read: Tensor) -> Tensor:
        """The states (S, B, N, H) after so many real rows each, ``n_read`` (S, B, N)."""
        if (mask[..., 1:] & ~mask[..., :-1]).any():  # real rows to the front
            order = mask.to(torch.uint8).argsort(dim=2, descending=True, stable=True)
            x = x.gather(2, order.unsqueeze(-1).expand_as(x))
        start, grad = x.new_zeros(1, x.shape[1], self.hidden), torch.is_grad_enabled()
        made = []
        for rows, *weights in zip(x, *self._stacked(), strict=True):
            parts = [torch.cat([w.chunk(4, -1)[i] for i in (0, 1, 3, 2)], -1).T for w in weights]
            bias = parts[2].reshape(-1)
            given = [parts[0], parts[1], bias, torch.zeros_like(bias)]
            found = torch.lstm(rows, (start, start), given, True, 1, 0.0, grad, False, True)
            made.append(found[0])
        index = (n_read - 1).clamp(min=0).unsqueeze(-1).expand(-1, -1, -1, self.hidden)
        return torch.stack(made).gather(2, index) * (n_read > 0).unsqueeze(-1)

    def memories(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The last state (S, B, H), and the memory cells after each row, (S, B, T, H)."""
        steps = list(self._steps(x, mask))
        return steps[-1][0], torch.stack([memory for _, memory in steps], dim=2)

    def _steps(self, x: Tensor, mask: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """State and memory (S, B, H) after each row."""
        n_seeds, n, length, _ = x.shape
        from_input, from_state, bias = self._stacked()
        gates = _project(x.flatten(1, 2), mask.flatten(1, 2), from_input, bias)  # (S, B * T, 4 H)
        gates = gates.view(n_seeds, n, length, 4 * self.hidden)
        state = x.new_zeros(n_seeds, n, self.hidden)
        memory = torch.zeros_like(state)
        whole = mask.all(dim=1).all(dim=0).tolist()  # no row of this time step is masked
        for t, step in enumerate(gates.unbind(2)):
            step = torch.baddbmm(step, state, from_state)  # (S, B, 4 H)
            opened = torch.sigmoid(step[..., : 3 * self.hidden])
            keep_new, keep_old, show = opened.chunk(3, dim=-1)
            new_memory = keep_old * memory + keep_new * torch.tanh(step[..., 3 * self.hidden :])
            new_state = show * torch.tanh(new_memory)
            if whole[t]:
                state, memory = new_state, new_memory
            else:
                real = mask[:, :, t, None]  # (S, B, 1)
                state = torch.where(real, new_state, state)
                memory = torch.where(real, new_memory, memory)
            yield state, memory

    def _stacked(self) -> tuple[Tensor, Tensor, Tensor]:
        """Weights (S, n_in, 4 H), (S, H, 4 H) and bias (S, 1, 4 H)."""
        return self.from_input, self.from_state, self.bias


def _project(rows: Tensor, real: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """An LSTM's gates' share of the input, (S, R, D) to (S, R, 4 H); whatever on masked rows.

    It is nearly all of the arithmetic, so only as many rows are multiplied as the seed with the
    most real ones has.
    """
    most = int(real.sum(dim=1).max())
    if most > 0.9 * real.shape[1]:
        return torch.baddbmm(bias, rows, weight)
    order = real.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, :most]
    packed = rows.gather(1, order.unsqueeze(-1).expand(-1, -1, rows.shape[2]))
    done = torch.baddbmm(bias, packed, weight)  # (S, most, 4 H)
    gates = done.new_zeros(*rows.shape[:2], done.shape[2])
    return gates.scatter(1, order.unsqueeze(-1).expand_as(done), done)
