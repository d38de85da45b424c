"""MISA: each modality seen twice, in a space that all share and in one of its own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn

from ..seeds import Dropout, LayerNorm, Linear, Streams
from .attention import AttentionLayer
from .base import Batch, Model, Output, there
from .recurrent import DeepBiLstm
from .subspaces import mean_square, moment_distance, overlap


class MisaNet(Model):
    """Embed each modality, split it into a private and a shared part, let the parts look around.

    Text is the mean over its tokens, audio and vision go through two BiLSTMs. A linear layer, ReLU
    and a normalisation bring each to ``units`` columns. Private parts have an encoder each, shared
    ones have one together, sigmoids both. All parts are the tokens of one transformer layer; what
    it makes of them stands side by side before two linear layers.

    Three losses join that of the tasks: the shared parts' moment distance (similarity), the
    overlap of private with shared and of private with private parts (difference), the error of a
    linear layer that rebuilds a modality from the sum of its parts (reconstruction). Utterances
    without a label take part in them; a missing modality does not, and is no token.

    Source:
        Hazarika et al. (2020), "MISA: Modality-Invariant and -Specific Representations for
        Multimodal Sentiment Analysis", ACM Multimedia, arXiv:2005.03545, with the CMD for
        similarity. Their text is a fine-tuned BERT's mean, here that of cached features; theirs
        averages over padding. Their LSTMs are as wide as the features. Their transformer
        normalises after its parts and has 2048 hidden units; ours normalises before, with 4 x
        ``units``. Their code has a classifier of parts that its loss leaves out; we have none.
        Defaults: those commonly used on CH-SIMS.
    """

    def build(self, settings: Any, streams: Streams) -> None:
        """Encoders, subspaces, transformer, read-out."""
        units, n = settings.units, len(self.inputs)
        self.encoders = nn.ModuleDict()
        self.project, self.normal = nn.ModuleList(), nn.ModuleList()
        for spec in self.inputs:
            width = spec.width
            if spec.reads == "sequence":
                hidden = getattr(settings, f"{spec.modality}_hidden")
                self.encoders[spec.modality] = DeepBiLstm(width, hidden, streams)
                width = 4 * hidden
            self.project.append(Linear(width, units, streams))
            self.normal.append(LayerNorm(units, streams))
        self.private = nn.ModuleList(Linear(units, units, streams) for _ in self.inputs)
        self.shared = Linear(units, units, streams)
        self.rebuild = nn.ModuleList(Linear(units, units, streams) for _ in self.inputs)
        dropout = settings.attention_dropout
        self.look = AttentionLayer(units, settings.heads, dropout, dropout, dropout, streams)
        self.first = Linear(2 * n * units, n * units, streams)
        self.drop = Dropout(settings.dropout, streams)
        self.score = Linear(n * units, sum(self.sizes), streams)

    def forward(self, batch: Batch) -> Output:
        """Scores (S, B, K), the layer before them (S, B, M * units), and the three losses."""
        whole = [self._embed(batch, i) for i in range(len(self.inputs))]
        private = [torch.sigmoid(p(x)) for p, x in zip(self.private, whole, strict=True)]
        shared = [torch.sigmoid(self.shared(x)) for x in whole]
        real = [there(batch, spec) for spec in self.inputs]
        seen = torch.stack([*real, *real], dim=2)  # (S, B, 2 M)
        tokens = torch.stack([*private, *shared], dim=2)  # (S, B, 2 M, units)
        joined = self.look(tokens, None, seen.unsqueeze(2)) * seen.unsqueeze(-1)
        hidden = torch.relu(self.drop(self.first(joined.flatten(2))))
        losses = self._losses(whole, private, shared, real) if self.training else {}
        return Output(self.score(hidden), hidden, losses)

    def _embed(self, batch: Batch, i: int) -> Tensor:
        """A modality as a whole, (S, B, units)."""
        spec = self.inputs[i]
        if spec.modality in self.encoders:
            x = self.encoders[spec.modality](batch.given(spec.name), batch.mask[spec.name])
        else:
            x = batch.values[spec.name]
        done: Tensor = self.normal[i](torch.relu(self.project[i](x)))
        return done

    def _losses(
        self,
        whole: Sequence[Tensor],
        private: Sequence[Tensor],
        shared: Sequence[Tensor],
        real: Sequence[Tensor],
    ) -> dict[str, Tensor]:
        """Each loss (S,) with its weight."""
        n = len(whole)
        # powers of small numbers are no matter for mixed precision
        whole, private, shared = ([x.float() for x in xs] for xs in (whole, private, shared))
        apart = [*((i, n + i) for i in range(n)), *combinations(range(n), 2)]
        errors = [
            mean_square(again(own + common) - x, seen)
            for again, own, common, x, seen in zip(
                self.rebuild, private, shared, whole, real, strict=True
            )
        ]
        settings = self.settings
        return {
            "similarity": settings.similarity_weight * moment_distance(shared, real),
            "difference": settings.difference_weight
            * overlap([*private, *shared], [*real, *real], apart),
            "reconstruction": settings.reconstruction_weight * torch.stack(errors).mean(dim=0),
        }
