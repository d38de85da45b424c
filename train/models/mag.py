"""MAG on cached text features: shift the words' rows, let them look at each other, predict."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..seeds import Dropout, LayerNorm, Linear, Streams
from .adaptation import AdaptationGate
from .aligned import aligned_rows
from .attention import AttentionLayer, positions
from .base import Batch, Model, Output


class MagNet(Model):
    """The adaptation gate on word-aligned rows, attention layers of its own, the mean, a layer.

    Where the paper's gate stands inside BERT, whose layers above it are fine-tuned, the text here
    is what any encoder left in the cache, and the layers above are small and start from random
    weights: ``units`` columns with position encodings. Rows without text are not looked at, nor do
    they count in the mean over what the last layer makes; rows without sound or sight are shifted
    by the other.

    Source:
        Rahman et al. (2020); see ``AdaptationGate``. What comes after the gate is ours.
    """

    #: Dropout among the rows that attend and those attended to goes by how many there are in the
    #: longest utterance of a batch, of all seeds: a stack would not learn what one seed does.
    stackable: ClassVar[bool] = False

    def build(self, settings: Any, streams: Streams) -> None:
        """The gate, the attention layers, the read-out."""
        units, dropout = settings.units, settings.attention_dropout
        self.text = [spec.modality for spec in self.inputs].index("text")
        widths = [spec.width for spec in self.inputs]
        width = widths.pop(self.text)
        self.gate = AdaptationGate(
            width, widths, settings.largest_shift, settings.shift_dropout, streams
        )
        self.enter = Linear(width, units, streams)
        self.layers = nn.ModuleList(
            AttentionLayer(units, settings.heads, dropout, dropout, dropout, streams)
            for _ in range(settings.layers)
        )
        self.last = LayerNorm(units, streams)
        self.hidden = Linear(units, units, streams)
        self.drop = Dropout(settings.post_dropout, streams)
        self.score = Linear(units, sum(self.sizes), streams)

    def forward(self, batch: Batch) -> Output:
        """Scores (S, B, K), the layer before them (S, B, units), what the layers made as rows."""
        rows, masks, _ = aligned_rows(batch, self.inputs)
        text, mask = rows.pop(self.text), masks.pop(self.text)
        x = self.enter(self.gate(text, rows, masks))
        x = x + positions(x)
        for layer in self.layers:
            x = layer(x, None, mask.unsqueeze(2))
        x = self.last(x)
        hidden = torch.relu(self.hidden(real_mean(x, mask)))
        return Output(self.score(self.drop(hidden)), hidden, rows=x, rows_mask=mask)


def real_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean (S, B, D) of the real rows of (S, B, T, D); zeros where there is none."""
    share = mask / mask.sum(dim=-1, keepdim=True).clamp(min=1)
    return (x * share.unsqueeze(-1)).sum(dim=2)
