"""FmlMSN, step 2: the multimodal score from what the three pairs' predictors have encoded."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..objectives import Objective
from ..seeds import Streams
from .base import Batch, Model, Output
from .blocks import Heads


class FmlmsnMetaNet(Model):
    """Concatenate the encoded pairs (eq. 7), a predictor of three layers.

    Run alone on cached encodings this is FmlMSN-L.

    Source:
        Peng et al. (2023), section 4.3; width and dropout from the CH-SIMS column of Table 3.
        Any number of inputs, so that subsets of the pairs can be compared.
    """

    def build(self, settings: Any, streams: Streams) -> None:
        """One block of heads on the concatenation."""
        width = sum(spec.width for spec in self.inputs)
        self.heads = Heads(width, settings.units, settings.dropout, self.sizes, streams)

    def forward(self, batch: Batch) -> Output:
        """Scores (S, B, K) and the second hidden layer (S, B, units)."""
        assert batch.means is not None  # all its inputs are read so
        return Output(*self.heads(batch.means))

    def learn(self, batch: Batch, objective: Objective) -> Tensor:
        """The same gradients as by autograd, in half of the time."""
        assert batch.means is not None
        if torch.is_autocast_enabled(batch.means.device.type):
            return super().learn(batch, objective)
        return self.heads.learn(batch.means, objective)
