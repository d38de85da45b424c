"""The four recurrent readers of rows: LSTM or GRU, in order or both ways."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from ..gru import Gru
from ..lstm import Lstm
from ..seeds import Streams


class TimeReader(nn.Module):
    """``sLSTM``, ``bLSTM``, ``sGRU`` or ``bGRU``: the state after each row.

    Args:
        kind: one of them; s: single, in order; b: another one reads in reverse, whose
            states stand beside.
        n_in: columns of the rows.
        units: columns of a state, one way.
        streams: random numbers of the seeds.
    """

    def __init__(self, kind: str, n_in: int, units: int, streams: Streams) -> None:
        super().__init__()
        cell = {"LSTM": Lstm, "GRU": Gru}[kind[1:]]
        ways = {"s": 1, "b": 2}[kind[0]]
        self.ways = nn.ModuleList(cell(n_in, units, streams) for _ in range(ways))
        self.width = ways * units

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map rows (S, B, T, D) and mask (S, B, T) to states (S, B, T, width).

        A masked row has the state of the row before it, and in reverse of the one after it.
        """
        forth, *back = cast(Sequence[Lstm | Gru], self.ways)
        made = [forth.rows(x, mask)]
        made += [way.rows(x.flip(2), mask.flip(2)).flip(2) for way in back]
        return torch.cat(made, dim=-1)
