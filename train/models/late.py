"""What late fusion models share: embed each input, then fuse the embeddings."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..dataset import InputSpec
from ..seeds import Streams
from ..settings.base import LETTERS
from .base import Batch, Model, Output
from .blocks import MeanSubnet, Predictor, TextSubnet


class LateFusion(Model):
    """A subnet an input, as wide as ``<modality>_units``, then ``fuse`` on their outputs.

    An input that is read as rows goes through an LSTM with a state of that width, one that is read
    as a mean through three ReLU layers. A missing modality is an embedding of zeros.
    """

    @abstractmethod
    def build_fusion(
        self, settings: Any, widths: Sequence[int], sizes: Sequence[int], streams: Streams
    ) -> None:
        """Make the layers that ``fuse`` uses: embeddings of these widths, scores of these sizes."""

    @abstractmethod
    def fuse(self, embedded: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Map embeddings (S, B, H_i) to scores (S, B, K) and hidden (S, B, H)."""

    @property
    def fused_sizes(self) -> tuple[int, ...]:
        """Columns of the tasks that are scored from the fused embeddings."""
        return self.sizes

    def build(self, settings: Any, streams: Streams) -> None:
        """Subnets, then the fusion."""
        self.widths = [getattr(settings, f"{spec.modality}_units") for spec in self.inputs]
        self.subnets = nn.ModuleList()
        for spec, units in zip(self.inputs, self.widths, strict=True):
            dropout = getattr(settings, f"{spec.modality}_dropout")
            self.subnets.append(self.subnet(spec, units, dropout, streams))
        self.build_fusion(settings, self.widths, self.fused_sizes, streams)

    def subnet(self, spec: InputSpec, units: int, dropout: float, streams: Streams) -> nn.Module:
        """What embeds an input: maps what is read of it, and the mask, to (S, B, units)."""
        if spec.reads == "sequence":
            return TextSubnet(spec.width, units, units, dropout, streams)
        return MeanSubnet(spec.width, units, dropout, streams)

    def embed(self, batch: Batch) -> list[Tensor]:
        """The embedding (S, B, units) of each input."""
        return [
            subnet(batch.given(spec.name), batch.mask[spec.name])
            for spec, subnet in zip(self.inputs, self.subnets, strict=True)
        ]

    def forward(self, batch: Batch) -> Output:
        """Scores (S, B, K) and the fusion's hidden layer (S, B, H)."""
        return Output(*self.fuse(self.embed(batch)))


class MultiTaskFusion(LateFusion):
    """Late fusion for the last task; each task before it (T, A, V) from its own embedding alone.

    Source:
        Yu et al. (2020), "CH-SIMS: A Chinese Multimodal Sentiment Analysis Dataset with
        Fine-grained Annotation of Modality", ACL, section 4: the unimodal tasks steer the
        subnets. Weights of the tasks: ``task_weights`` of the training.
    """

    @property
    def fused_sizes(self) -> tuple[int, ...]:
        """Those of the last task."""
        return self.sizes[-1:]

    def build(self, settings: Any, streams: Streams) -> None:
        """Subnets, fusion, and a predictor for each unimodal task."""
        super().build(settings, streams)
        letters = [LETTERS[spec.modality] for spec in self.inputs]
        self.sides = [letters.index(task) for task in self.tasks[:-1]]
        self.alone = nn.ModuleList(
            Predictor(
                self.widths[side],
                getattr(settings, f"{self.inputs[side].modality}_post_units"),
                settings.post_dropout,
                streams,
                size,
            )
            for side, size in zip(self.sides, self.sizes, strict=False)
        )

    def forward(self, batch: Batch) -> Output:
        """Scores (S, B, K) in the order of the tasks, and the fusion's hidden layer."""
        embedded = self.embed(batch)
        fused, hidden = self.fuse(embedded)
        alone = [head(embedded[side])[0] for side, head in zip(self.sides, self.alone, strict=True)]
        return Output(torch.cat([*alone, fused], dim=-1), hidden)
