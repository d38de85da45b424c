"""The GRU of all models: a stack of seeds, no padding.

Shapes: S seeds, B utterances, T rows of a sequence, P rows of the packing, D columns, H hidden.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .packing import Packing
from .rows import Rows
from .seeds import Streams


class Gru(nn.Module):
    """One-layer GRU.

    Masked rows, whether inside a sequence or after it, leave the state as it is, so the result
    does not depend on padding.

    Source:
        Cho et al. (2014), EMNLP, arXiv:1406.1078; gates and first weights as in ``torch.nn.GRU``:
        the reset gate multiplies what the state gives to the candidate, that one's bias included.
        The two biases of the other gates, which are only ever added, are one.
    """

    def __init__(self, n_in: int, hidden: int, streams: Streams) -> None:
        super().__init__()
        bound = 1 / math.sqrt(hidden)
        self.hidden = hidden
        # columns: reset and update gate, then the candidate, H each
        self.from_input = nn.Parameter(streams.uniform((n_in, 3 * hidden), bound))
        self.from_state = nn.Parameter(streams.uniform((hidden, 3 * hidden), bound))
        self.bias = nn.Parameter(streams.uniform((1, 3 * hidden), bound))
        self.state_bias = nn.Parameter(streams.uniform((1, hidden), bound))

    def rows(self, x: Tensor | Rows, mask: Tensor) -> Tensor:
        """Map rows (S, B, T, D) and mask (S, B, T) to the state after each row, (S, B, T, H)."""
        packing = Packing(mask)
        given = torch.baddbmm(self.bias, packing.pack(x), self.from_input)  # (S, P, 3 H)
        state = given.new_zeros(*mask.shape[:2], self.hidden)
        made = [given[..., : self.hidden][:, :0]]
        for now in given.split(packing.sizes, dim=1):
            state = self._step(now, state[:, : now.shape[1]])
            made.append(state)
        return packing.after(torch.cat(made, dim=1), mask.cumsum(dim=2))

    def _step(self, given: Tensor, state: Tensor) -> Tensor:
        """One time step of its sequences: (S, n, 3 H) and states (S, n, H) to states."""
        of_input, of_candidate = given.split([2 * self.hidden, self.hidden], dim=-1)
        to_gates, to_candidate = self.from_state.split([2 * self.hidden, self.hidden], dim=-1)
        reset, keep = (of_input + torch.bmm(state, to_gates)).sigmoid().chunk(2, dim=-1)
        heard = torch.baddbmm(self.state_bias, state, to_candidate)
        candidate = torch.tanh(of_candidate + reset * heard)
        done: Tensor = candidate + keep * (state - candidate)
        return done
