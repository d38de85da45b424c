"""EF-LSTM, early fusion: the rows of all modalities side by side through one LSTM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast

import torch
from torch import nn

from ..lstm import Lstm
from ..packing import Packing
from ..seeds import Dropout, Linear, Streams
from .aligned import aligned
from .base import Batch, Model, Output


class EfLstmNet(Model):
    """Aligned rows side by side, LSTM layers with dropout between, two linear layers.

    A row counts if it is real in any modality; where it is not in one, that one's columns are
    zeros. The LSTM's last state is that after the last such row.

    Source:
        The early fusion baseline of Zadeh et al. (2017), "Memory Fusion Network", and of CH-SIMS,
        whose widths are the defaults; they normalise batches of the input over time, here inputs
        are normalised by the training split.
    """

    #: Five seeds of CH-SIMS' settings took 1.1 times as long in one stack as in a row: products of
    #: a step cost more than its calls (``benchmarks/baselines.py ef-lstm``).
    stackable: ClassVar[bool] = False

    def build(self, settings: Any, streams: Streams) -> None:
        """LSTM layers and the read-out."""
        units = settings.units
        widths = [sum(spec.width for spec in self.inputs), *[units] * (settings.layers - 1)]
        self.layers = nn.ModuleList(Lstm(width, units, streams) for width in widths)
        self.drop = Dropout(settings.dropout, streams)
        self.hidden = Linear(units, units, streams)
        self.score = Linear(units, sum(self.sizes), streams)

    def forward(self, batch: Batch) -> Output:
        """Scores (S, B, K) and the layer before them (S, B, units)."""
        rows, _, mask = aligned(batch, self.inputs)
        packing = Packing(mask)
        x = torch.cat([packing.pack(own) for own in rows], dim=-1)
        *between, last = cast(Sequence[Lstm], self.layers)
        for layer in between:
            x = self.drop(layer.packed(x, packing)[0], packing.real)
        state = packing.last(last.packed(x, packing)[0], mask)
        hidden = torch.relu(self.hidden(self.drop(state)))
        return Output(self.score(hidden), hidden)
