"""FmlMSN, step 1: two modalities, each with its own task, and the task of the pair."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..seeds import Streams
from ..settings.base import LETTERS
from .base import Batch, Model, Output
from .blocks import MeanSubnet, Predictor, TextSubnet, outer


class FmlmsnPairNet(Model):
    """Embed two modalities, predict each one's task, and the pair's from their outer product.

    Text: last state of an LSTM, a linear layer to ``text_out``. Audio and vision: mean over the
    real frames, three ReLU layers. The pair is the outer product of the two embeddings (eq. 3),
    flattened; a missing modality is an embedding of zeros, so its pair is zeros too. Each task
    has a predictor of three layers (eq. 4-5); ``hidden`` is the *second* hidden layer's
    activations of the pair's predictor, which section 4.3 saves.

    Source:
        Peng et al. (2023), "A fine-grained modal label-based multi-stage network for multimodal
        sentiment analysis", Expert Systems with Applications 221, 119721; sections 4.1-4.2,
        defaults from the CH-SIMS column of Table 3. Inputs are normalised, which they do not say.
    """

    def build(self, settings: Any, streams: Streams) -> None:
        """Two subnets and a predictor a task; the last task is the pair's."""
        self.subnets = nn.ModuleList()
        widths = []
        for spec in self.inputs:
            dropout = getattr(settings, f"{spec.modality}_dropout")
            if spec.modality == "text":
                n_hidden, n_out = settings.text_hidden, settings.text_out
                subnet: nn.Module = TextSubnet(spec.width, n_hidden, n_out, dropout, streams)
            else:
                n_out = getattr(settings, f"{spec.modality}_hidden")
                subnet = MeanSubnet(spec.width, n_out, dropout, streams)
            self.subnets.append(subnet)
            widths.append(n_out)
        letters = [LETTERS[spec.modality] for spec in self.inputs]
        self.sides = [letters.index(task) for task in self.tasks[:-1]]
        self.alone = nn.ModuleList(
            Predictor(
                widths[side],
                getattr(settings, f"{self.inputs[side].modality}_units"),
                0.0,
                streams,
                size,
            )
            for side, size in zip(self.sides, self.sizes, strict=False)
        )
        self.pair = Predictor(
            widths[0] * widths[1],
            settings.pair_units,
            settings.pair_dropout,
            streams,
            self.sizes[-1],
        )

    def forward(self, batch: Batch) -> Output:
        """Scores (S, B, K) and the pair's second hidden layer (S, B, pair_units)."""
        embedded = [
            subnet(batch.given(spec.name), batch.mask[spec.name])
            for spec, subnet in zip(self.inputs, self.subnets, strict=True)
        ]
        score, hidden = self.pair(outer(*embedded))
        alone = [head(embedded[side])[0] for side, head in zip(self.sides, self.alone, strict=True)]
        return Output(torch.cat([*alone, score], dim=-1), hidden)
