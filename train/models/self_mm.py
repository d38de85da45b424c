"""Self-MM: unimodal tasks steer the subnets, with labels that the model makes from the fused one.

Shapes beside the usual: N utterances of the training split, M modalities.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..objectives import ELEMENTWISE, Objective
from ..seeds import Streams
from .base import Batch, Model, Output, there
from .blocks import Predictor, TextSubnet

#: Keeps a division by a distance finite.
TINY = 1e-8


class SelfMmNet(Model):
    """Embeddings side by side to one predictor, and a predictor on each embedding alone.

    The unimodal predictors learn from labels that are made while training. An utterance's unimodal
    label starts as its label y. From the second epoch on it moves, after each step, towards
    y + (d_s - d_m) / 2 * (d_m + y) / d_m, where d is how much nearer the utterance's
    representation lies to the mean of the positive ones than to that of the negative ones, in the
    modality (s) and fused (m); in epoch i by 2 / (i + 1) of the way. Its error weighs
    tanh |label - y|. A representation is the first hidden layer of a predictor; the latest of each
    utterance is remembered. An utterance whose own label is 0 belongs to neither mean.

    What is remembered is a buffer of each seed's own, by the utterance's place in the training
    split; an utterance's epoch is how often it was seen. A missing modality learns nothing and
    belongs to no mean; an utterance without a label changes nothing.

    Source:
        Yu et al. (2021), "Learning Modality-Specific Representations with Self-Supervised
        Multi-Task Learning for Multimodal Sentiment Analysis", AAAI, arXiv:2102.04830. Distances
        are not squared, as in their published code (eq. 9 squares them, over sqrt(width), which
        cancels). Their text is a fine-tuned BERT's [CLS], here the mean of cached rows, which is
        [CLS] where a node stores that alone. They train each part at its own rate and add up the
        gradients of four steps. Defaults: those commonly used on CH-SIMS.
    """

    labels: Tensor
    seen: Tensor

    def build(self, settings: Any, streams: Streams) -> None:
        """Subnets, and the predictors: the fused one first."""
        self.insist_on_values("makes labels")
        self.largest = settings.largest
        self.subnets = nn.ModuleDict()
        widths = []
        for spec in self.inputs:
            width = spec.width
            if spec.reads == "sequence":
                hidden, width = (
                    getattr(settings, f"{spec.modality}_{part}") for part in ("hidden", "units")
                )
                self.subnets[spec.modality] = TextSubnet(spec.width, hidden, width, 0.0, streams)
            widths.append(width)
        fields = ["", *(f"{spec.modality}_" for spec in self.inputs)]
        self.units = [getattr(settings, f"{field}post_units") for field in fields]
        dropouts = [getattr(settings, f"{field}post_dropout") for field in fields]
        self.heads = nn.ModuleList(
            Predictor(width, units, dropout, streams)
            for width, units, dropout in zip(
                [sum(widths), *widths], self.units, dropouts, strict=True
            )
        )

    def remember(self, n: int) -> None:
        """Labels (S, N, 1 + M), the fused one first; representations; how often each was seen."""
        parameter = next(self.parameters())
        self.register_buffer("labels", parameter.new_zeros(len(parameter), n, len(self.units)))
        self.register_buffer("seen", parameter.new_zeros(len(parameter), n))
        for i, units in enumerate(self.units):
            self.register_buffer(f"latest_{i}", parameter.new_zeros(len(parameter), n, units))

    def forward(self, batch: Batch) -> Output:
        """The fused score (S, B, 1) and the layer before it (S, B, post_units)."""
        embedded = self._embed(batch)
        score, hidden, _ = self._read(0, torch.cat(embedded, dim=-1))
        return Output(score, hidden)

    def learn(self, batch: Batch, objective: Objective) -> Tensor:
        """As in ``Model``, with the unimodal tasks' losses; then labels are made anew."""
        embedded = self._embed(batch)
        read = [self._read(i, x) for i, x in enumerate([torch.cat(embedded, dim=-1), *embedded])]
        score = read[0][0].float()  # of mixed precision
        losses, slope = objective(score)
        known = objective.weights > 0  # (S, B, 1)
        real = torch.cat(
            [known, *(known & there(batch, spec).unsqueeze(-1) for spec in self.inputs)], dim=-1
        )
        place = self._place(batch)
        labels = torch.where(
            self.seen[place].unsqueeze(-1) > 0, self.labels[place], objective.truth
        )
        labels = labels * real  # (S, B, 1 + M)
        weights = torch.tanh((labels - objective.truth).abs()) * objective.weights * real
        alone = torch.cat([own for own, *_ in read[1:]], dim=-1).float()  # (S, B, M)
        errors = ELEMENTWISE[objective.kind][0](alone - labels[..., 1:])
        extra = (errors * weights[..., 1:]).sum(dim=(1, 2))
        torch.autograd.backward((score, extra), (slope, torch.ones_like(extra)))
        with torch.no_grad(), torch.autocast(extra.device.type, enabled=False):
            representations = [first.float() for *_, first in read]
            self._renew(place, self._moved(place, labels, representations) * real, representations)
        return losses + extra.detach()

    def _place(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Where the batch's utterances lie in what is remembered."""
        assert batch.index is not None
        return torch.arange(len(batch.index), device=batch.index.device)[:, None], batch.index

    def _moved(
        self, place: tuple[Tensor, Tensor], labels: Tensor, representations: Sequence[Tensor]
    ) -> Tensor:
        """The labels (S, B, 1 + M) of the next epoch; in the first they stay."""
        nearer = torch.stack([self._nearer(i, x) for i, x in enumerate(representations)], dim=-1)
        truth, fused = labels[..., :1], nearer[..., :1]
        shift = 0.5 * truth * nearer / (fused + TINY) + 0.5 * (truth + nearer - fused)
        epoch = self.seen[place].unsqueeze(-1) + 1
        share = 2 / (epoch + 1)
        moved = labels + share * (shift.clamp(-self.largest, self.largest) - labels)
        moved = torch.where(epoch > 1, moved, labels)
        return torch.cat([truth, moved[..., 1:]], dim=-1)

    def _nearer(self, i: int, x: Tensor) -> Tensor:
        """How much nearer (S, B, units) lies to the positive mean than to the negative, (S, B)."""
        latest, labels = self.get_buffer(f"latest_{i}"), self.labels[..., i]
        far = []
        for side in (labels > 0, labels < 0):
            share = side / side.sum(dim=1, keepdim=True).clamp(min=1)  # (S, N)
            mean = share.unsqueeze(1) @ latest  # (S, 1, units)
            far.append(torch.linalg.vector_norm(x - mean, dim=-1))
        nearer: Tensor = (far[1] - far[0]) / (far[0] + TINY)
        return nearer

    def _renew(
        self, place: tuple[Tensor, Tensor], labels: Tensor, representations: Sequence[Tensor]
    ) -> None:
        self.labels[place] = labels
        self.seen[place] += 1
        for i, x in enumerate(representations):
            self.get_buffer(f"latest_{i}")[place] = x

    def _embed(self, batch: Batch) -> list[Tensor]:
        return [
            self.subnets[spec.modality](batch.given(spec.name), batch.mask[spec.name])
            if spec.modality in self.subnets
            else batch.values[spec.name]
            for spec in self.inputs
        ]

    def _read(self, i: int, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Score (S, B, 1), second and first hidden layer (S, B, units) of predictor i."""
        head = cast(Sequence[Predictor], self.heads)[i]
        first = torch.relu(head.first(head.drop(x)))
        second = torch.relu(head.second(first))
        return head.score(second), second, first
