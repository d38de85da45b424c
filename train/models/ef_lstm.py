"""EF-LSTM, early fusion: the rows of all modalities side by side through one LSTM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..seeds import Dropout, Linear, Lstm, Streams
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

    def build(self, settings: Any, streams: Streams) -> None:
        """LSTM layers and the read-out."""
        units = settings.units
        widths = [sum(spec.width for spec in self.inputs), *[units] * (settings.layers - 1)]
        self.layers = nn.ModuleList(Lstm(width, units, streams) for width in widths)
        self.drop = Dropout(settings.dropout, streams)
        self.hidden = Linear(units, units, streams)
        self.score = Linear(units, len(self.tasks), streams)

    def forward(self, batch: Batch) -> Output:
        """Scores (S, B, K) and the layer before them (S, B, units)."""
        x, mask = side_by_side(batch, [spec.name for spec in self.inputs])
        *between, last = cast(Sequence[Lstm], self.layers)
        for layer in between:
            x = self.drop(layer.rows(x, mask))
        hidden = torch.relu(self.hidden(self.drop(last(x, mask))))
        return Output(self.score(hidden), hidden)


def side_by_side(batch: Batch, names: list[str]) -> tuple[Tensor, Tensor]:
    """Aligned rows of several inputs: (S, B, T, sum of D), and which are real in any, (S, B, T)."""
    longest = max(batch.values[name].shape[2] for name in names)
    rows, real = [], []
    for name in names:
        mask = batch.mask[name]
        assert mask is not None
        missing = longest - mask.shape[2]  # where the longest utterance lacks this modality
        rows.append(functional.pad(batch.values[name], (0, 0, 0, missing)))
        real.append(functional.pad(mask, (0, missing)))
    return torch.cat(rows, dim=-1), torch.stack(real).any(dim=0)
