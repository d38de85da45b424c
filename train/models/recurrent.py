"""An LSTM that reads rows in both directions. S seeds, B utterances, T rows, D columns, H state."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..lstm import Lstm
from ..rows import Rows, both_ways
from ..seeds import LayerNorm, Streams


class BiLstm(Lstm):
    """One-layer LSTM over the rows in order and one in reverse, as one stack of 2 S.

    Masked rows leave either state as it is, so the reverse one starts at the last real row.
    """

    def __init__(self, n_in: int, hidden: int, streams: Streams) -> None:
        nn.Module.__init__(self)
        bound = 1 / math.sqrt(hidden)
        self.hidden = hidden
        self.from_input = nn.Parameter(streams.uniform((2, n_in, 4 * hidden), bound))
        self.from_state = nn.Parameter(streams.uniform((2, hidden, 4 * hidden), bound))
        self.bias = nn.Parameter(streams.uniform((2, 1, 4 * hidden), bound))

    def _stacked(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.from_input.flatten(0, 1), self.from_state.flatten(0, 1), self.bias.flatten(0, 1)

    def forward(self, x: Tensor | Rows, mask: Tensor) -> Tensor:
        """Map rows (S, B, T, D) and mask (S, B, T) to both last states, (S, B, 2 H)."""
        return _beside(super().forward(_twice(x), both_ways(mask)))

    def both(self, x: Tensor | Rows, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Both last states (S, B, 2 H), and those after each row, (S, B, T, 2 H)."""
        states = super().rows(_twice(x), both_ways(mask))
        last = states[:, :, -1]
        forth, back = states.unflatten(0, (-1, 2)).unbind(1)
        return _beside(last), torch.cat([forth, back.flip(2)], dim=-1)


def _twice(x: Tensor | Rows) -> Tensor | Rows:
    return x.both_ways() if isinstance(x, Rows) else both_ways(x)


def _beside(states: Tensor) -> Tensor:
    """(2 S, B, H) to (S, B, 2 H)."""
    forth, back = states.unflatten(0, (-1, 2)).unbind(1)
    return torch.cat([forth, back], dim=-1)


class DeepBiLstm(nn.Module):
    """Two BiLSTMs, a layer normalisation between; the last states of both, side by side.

    Source:
        The audio and vision encoders of Hazarika et al. (2020), MISA, and of Liu et al. (2022),
        AV-MC, in their published code.
    """

    def __init__(self, n_in: int, hidden: int, streams: Streams) -> None:
        super().__init__()
        self.first = BiLstm(n_in, hidden, streams)
        self.between = LayerNorm(2 * hidden, streams)
        self.second = BiLstm(2 * hidden, hidden, streams)

    def forward(self, x: Tensor | Rows, mask: Tensor) -> Tensor:
        """Map rows (S, B, T, D) and mask (S, B, T) to (S, B, 4 H)."""
        last, rows = self.first.both(x, mask)
        return torch.cat([last, self.second(self.between(rows), mask)], dim=-1)
