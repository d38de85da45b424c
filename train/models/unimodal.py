"""A head on one modality: what a modality can say alone."""

from __future__ import annotations

from typing import Any

from ..seeds import Streams
from .base import Batch, Model, Output
from .blocks import Heads


class UnimodalNet(Model):
    """Mean over an input's real rows, a three-layer predictor for each task.

    An utterance without this modality is scored by the biases alone.

    Source:
        The unimodal prediction blocks of "Boosting multimodal sentiment analysis" (PAPERS.md,
        section 1), which gives no widths; those here are ours.
    """

    def build(self, settings: Any, streams: Streams) -> None:
        """One block of heads."""
        (spec,) = self.inputs
        self.heads = Heads(spec.width, settings.units, settings.dropout, self.sizes, streams)

    def forward(self, batch: Batch) -> Output:
        """Scores (S, B, K) and the hidden layer (S, B, units)."""
        return Output(*self.heads(batch.values[self.inputs[0].name]))
