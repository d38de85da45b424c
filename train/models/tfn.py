"""TFN, tensor fusion network: the outer product of all modalities with 1 appended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..dataset import InputSpec
from ..seeds import Dropout, Linear, Streams
from .blocks import OuterLinear, Projection, with_one
from .late import LateFusion


class TfnNet(LateFusion):
    """Embed each modality, append 1, take the outer product, two hidden layers, a score a task.

    The first layer after the product is shared by the tasks. A missing modality is the embedding
    (0, ..., 0, 1), so what is left is the product of the others.

    Source:
        Zadeh et al. (2017), EMNLP, arXiv:1707.07250, for two or three modalities. Text: LSTM and
        a linear layer; audio and vision: means and three ReLU layers. Theirs squashes the score
        into [-3, 3] by a sigmoid; ours is linear, as labels differ in range. They drop entries of
        the product, we of the layer after it. Widths 128 / 32 / 128 are ours. ``projected``: as
        "Boosting Modality Representation with Pre-trained Models and Multi-task Training" uses it,
        on global embeddings; theirs would be a product of 769^3 values, so ours are made narrower
        first, each by one linear layer.
    """

    def subnet(self, spec: InputSpec, units: int, dropout: float, streams: Streams) -> nn.Module:
        """One linear layer where embeddings are to be projected."""
        if self.settings.projected:
            return Projection(spec.width, units, dropout, streams)
        return super().subnet(spec, units, dropout, streams)

    def build_fusion(
        self, settings: Any, widths: Sequence[int], sizes: Sequence[int], streams: Streams
    ) -> None:
        """The layers after the product."""
        post = settings.post_units
        self.first = OuterLinear([width + 1 for width in widths], post, streams)
        self.drop = Dropout(settings.post_dropout, streams)
        self.second = nn.ModuleList(Linear(post, post, streams) for _ in sizes)
        self.score = nn.ModuleList(Linear(post, size, streams) for size in sizes)

    def fuse(self, embedded: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Scores (S, B, K) and the last task's second hidden layer (S, B, post_units)."""
        fused = self.drop(torch.relu(self.first(*[with_one(x) for x in embedded])))
        hidden = [torch.relu(layer(fused)) for layer in self.second]
        scores = [layer(h) for layer, h in zip(self.score, hidden, strict=True)]
        return torch.cat(scores, dim=-1), hidden[-1]
