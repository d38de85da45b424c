"""SF, simple fusion: global embeddings side by side, fully connected layers."""

from __future__ import annotations

from typing import Any

import torch

from ..seeds import Dropout, Linear, Streams
from .base import Batch, Model, Output
from .blocks import Heads


class SfNet(Model):
    """Concatenate the masked means of all inputs; a three-layer predictor for each task.

    Any number of inputs of any modality, so it runs Table 4's subsets (T, A, V, TA, TV, AV, TAV)
    unchanged. A missing modality's mean is zeros, which is what a normalised column has on
    average.

    Source:
        "Boosting multimodal sentiment analysis" (PAPERS.md, section 1). Its global text embedding
        is [CLS]; a node that stores one row an utterance gives exactly that, a node that stores
        tokens their mean. Widths are ours.
    """

    def build(self, settings: Any, streams: Streams) -> None:
        """One block of heads on the concatenation, or one linear layer."""
        width = sum(spec.width for spec in self.inputs)
        if settings.linear:
            self.drop = Dropout(settings.dropout, streams)
            self.score = Linear(width, sum(self.sizes), streams)
        else:
            self.heads = Heads(width, settings.units, settings.dropout, self.sizes, streams)

    def forward(self, batch: Batch) -> Output:
        """Scores (S, B, K) and the hidden layer (S, B, units); where linear, the concatenation."""
        whole = torch.cat([batch.values[spec.name] for spec in self.inputs], dim=-1)
        if self.settings.linear:
            return Output(self.score(self.drop(whole)), whole)
        return Output(*self.heads(whole))
