"""TFN, tensor fusion network: the outer product of all modalities with 1 appended."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..seeds import Dropout, Linear, Streams
from .base import Batch, Model, Output
from .blocks import MeanSubnet, OuterLinear, TextSubnet, with_one


class TfnNet(Model):
    """Embed each modality, append 1, take the outer product, two hidden layers, a score a task.

    The first layer after the product is shared by the tasks. A missing modality is the embedding
    (0, ..., 0, 1), so what is left is the product of the others.

    Source:
        Zadeh et al. (2017), EMNLP, arXiv:1707.07250, for two or three modalities. Text: LSTM and
        a linear layer; audio and vision: means and three ReLU layers. Theirs squashes the score
        into [-3, 3] by a sigmoid; ours is linear, as labels differ in range. They drop entries of
        the product, we of the layer after it. Widths 128 / 32 / 128 are ours.
    """

    def build(self, settings: Any, streams: Streams) -> None:
        """A subnet a modality and the layers after the product."""
        self.subnets = nn.ModuleList()
        sizes = []
        for spec in self.inputs:
            units = getattr(settings, f"{spec.modality}_units")
            dropout = getattr(settings, f"{spec.modality}_dropout")
            sizes.append(units + 1)
            self.subnets.append(
                TextSubnet(spec.width, units, units, dropout, streams)
                if spec.modality == "text"
                else MeanSubnet(spec.width, units, dropout, streams)
            )
        post = settings.post_units
        self.first = OuterLinear(sizes, post, streams)
        self.drop = Dropout(settings.post_dropout, streams)
        self.second = nn.ModuleList(Linear(post, post, streams) for _ in self.tasks)
        self.score = nn.ModuleList(Linear(post, 1, streams) for _ in self.tasks)

    def forward(self, batch: Batch) -> Output:
        """Scores (S, B, K) and the last task's second hidden layer (S, B, post_units)."""
        embedded = [
            with_one(subnet(batch.values[spec.name], batch.mask[spec.name]))
            for spec, subnet in zip(self.inputs, self.subnets, strict=True)
        ]
        fused = self.drop(torch.relu(self.first(*embedded)))
        hidden = [torch.relu(layer(fused)) for layer in self.second]
        scores = [layer(h) for layer, h in zip(self.score, hidden, strict=True)]
        return Output(torch.cat(scores, dim=-1), hidden[-1])
