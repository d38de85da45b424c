"""EASUM: what its two phases share, from rows of each modality to what the heads read."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..dataset import InputSpec
from ..seeds import Dropout, Linear, Streams
from ..settings.base import LETTERS
from .adaptation import Displacement
from .aligned import spread
from .base import Batch, Model
from .text_layers import OwnLayers, TrainedLayers


class EasumNet(Model):
    """Text (t), sound (a) and sight (v) of B utterances, T tokens each.

    =========================================  ==============================================
    X_a, X_v to 64 columns                     ``features``
    a row of them beside each token            ``aligned.spread``
    R = g_a (W_a X_a) + g_v (W_v X_v) + b      ``adaptation.Displacement``, gamma its largest
    F = X_t + lambda R                         the same
    M = ConvBERT(F), M = DeBERTa(F)            ``text_layers``; [CLS] is read
    y = W M + b                                ``heads``, one a task
    =========================================  ==============================================

    Where the paper says nothing, or what cannot be so:

    - Text has 40 tokens, sound 157 rows, sight 32, and R needs one row of each: here each token
      gets the mean of its share of the rows, in order; nothing is aligned by time.
    - M is said to have l rows and y one: the heads and the moment distance read [CLS].
    - The bias of a gate is printed outside its ReLU; here it is inside, as in MAG.
    - Embeddings are trained there; here they are what the cache holds of layer 0, the positions
      and their normalisation included, and only what stands above learns.
    - Without layers that come with its text (``layer: last``: the ``frozen`` variant), a linear map
      of the text's last states is shifted, and read by small attention layers from random weights,
      whose mean over the tokens stands for [CLS].

    Source:
        Hwang and Kim (2024), "EASUM: Enhancing Affective State Understanding through Joint
        Sentiment and Emotion Modeling for Multimodal Tasks", WACV. Patience, weight decay
        and dropout are ours.
    """

    #: A pretrained encoder is large: what a step costs is arithmetic.
    stackable: ClassVar[bool] = False
    #: Name of the layers above the text: the phases' differ, so that none starts from the other's.
    upper: ClassVar[str]

    def build(self, settings: Any, streams: Streams) -> None:
        """Features, the displacement, the layers above, a head a task."""
        self.text = next(spec for spec in self.inputs if spec.modality == "text")
        of_each = {
            name: [spec for spec in self.inputs if spec.modality == name]
            for name in LETTERS
            if name != "text"
        }
        self.others: dict[str, list[InputSpec]] = {name: s for name, s in of_each.items() if s}
        units = settings.feature_units
        self.features = nn.ModuleDict(
            {
                f"of_{spec.name}": Linear(spec.width, units, streams)
                for specs in self.others.values()
                for spec in specs
            }
        )
        upper = self._layers(settings, streams)
        self.add_module(self.upper, upper)
        self.displacement = Displacement(
            upper.width, [units] * len(self.others), settings.largest_shift, streams
        )
        self.drop = Dropout(settings.post_dropout, streams)
        self.heads = nn.ModuleDict(
            {task: Linear(upper.width, n, streams) for task, n in self.head_sizes().items()}
        )

    def _layers(self, settings: Any, streams: Streams) -> TrainedLayers | OwnLayers:
        """The layers above the text: those that come with it, or some of its own."""
        encoder = self.pretrained.get(self.text.name)
        if encoder is not None:
            return TrainedLayers(encoder, settings.layers, streams)
        sizes = settings.units, settings.heads, settings.layers
        return OwnLayers(self.text.width, *sizes, settings.attention_dropout, streams)

    def head_sizes(self) -> dict[str, int]:
        """Task -> columns of its head."""
        return dict(zip(self.tasks, self.sizes, strict=True))

    def noisy(self, rows: Tensor, modality: str, batch: Batch) -> Tensor:
        """Rows (S, B, T, D) of a modality as they are learned from; here as they are."""
        return rows

    def represent(self, batch: Batch) -> Tensor:
        """What the heads read, (S, B, D): the summary of the fused text."""
        mask = batch.mask[self.text.name]
        assert mask is not None  # it is read as rows
        text = self.noisy(batch.values[self.text.name], "text", batch)
        beside = [self._beside(name, batch, mask) for name in self.others]
        rows, masks = [x for x, _ in beside], [real for _, real in beside]
        upper = getattr(self, self.upper)
        states = upper(self.displacement(upper.enter(text), rows, masks), mask)
        found: Tensor = self.drop(upper.summary(states, mask))
        return found

    def _beside(self, modality: str, batch: Batch, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Of sound or sight, a row (S, B, T, units) beside each token, and which are real."""
        n = getattr(self.settings, f"{modality}_rows")
        rows, masks = [], []
        for spec in self.others[modality]:
            real = batch.mask[spec.name]
            assert real is not None
            x = self.noisy(batch.values[spec.name][:, :, :n], modality, batch)
            x, real = spread(x, real[:, :, :n], tokens)
            rows.append(self.features[f"of_{spec.name}"](x))
            masks.append(real)
        found, there = rows[0], masks[0]
        for x, real in zip(rows[1:], masks[1:], strict=True):
            found, there = torch.where(there.unsqueeze(-1), found, x), there | real
        return found, there

    def score(self, found: Tensor) -> Tensor:
        """Scores (S, B, K) of the tasks, from what the heads read."""
        return torch.cat([self.heads[task](found) for task in self.tasks], dim=-1)
