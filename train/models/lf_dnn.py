"""LF-DNN, late fusion: a deep network an input, joined before the prediction layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..seeds import Streams
from .base import Batch, Model, Output
from .blocks import Heads, MeanSubnet


class LfDnnNet(Model):
    """Each input's mean through three ReLU layers; their outputs side by side to the predictors.

    Source:
        Yu et al. (2020), ACL, "CH-SIMS", whose text subnet in published code is an LSTM; here it
        is a deep network like the others, as FmlMSN's section 5.2 describes it. Widths and
        dropouts are those commonly used on CH-SIMS; the learning rate is ``Training``'s, as
        theirs (0.005) was tuned on test scores.
    """

    def build(self, settings: Any, streams: Streams) -> None:
        """A subnet an input, as wide as its modality's setting says."""
        widths = [getattr(settings, f"{spec.modality}_units") for spec in self.inputs]
        self.subnets = nn.ModuleList(
            MeanSubnet(spec.width, n, getattr(settings, f"{spec.modality}_dropout"), streams)
            for spec, n in zip(self.inputs, widths, strict=True)
        )
        self.heads = Heads(
            sum(widths), settings.post_units, settings.post_dropout, self.tasks, streams
        )

    def forward(self, batch: Batch) -> Output:
        """Scores (S, B, K) and the hidden layer (S, B, post_units)."""
        done = [
            subnet(batch.values[spec.name], batch.mask[spec.name])
            for spec, subnet in zip(self.inputs, self.subnets, strict=True)
        ]
        return Output(*self.heads(torch.cat(done, dim=-1)))
