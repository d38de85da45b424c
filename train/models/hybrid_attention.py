"""Hybrid-modal attention on cached text features, with small attention layers of its own."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..seeds import LayerNorm, Linear, Streams
from .attention import AttentionLayer, positions
from .hybrid import HybridNet
from .mag import real_mean


class HybridAttentionNet(HybridNet):
    """The paper's gates and adjustments on rows of words, or of any rows that are aligned.

    Where the paper's MSG-T stands inside BERT, whose layers are fine-tuned, the text here is what
    any encoder left in the cache, and the layers above the gate are small and start from random
    weights: ``text_units`` columns with position encodings. There is no [CLS]: the mean of the
    rows is read. Without text, sound and sight shift each other.

    Source:
        Lin and Hu (2024); see ``HybridNet``. The layers above MSG-T and the mean are ours.
    """

    def build_upper(self, settings: Any, streams: Streams) -> int:
        """Attention among the words."""
        text = next(spec for spec in self.inputs if spec.modality == "text")
        self.above = WordAttention(text.width, settings, streams)
        return int(settings.text_units)

    def upper(self, rows: Tensor, mask: Tensor) -> Tensor:
        """Text rows (S, B, T, D) to (S, B, T, text_units)."""
        done: Tensor = self.above(rows, mask)
        return done

    def summed(self, rows: Tensor, real: Tensor) -> Tensor:
        """The mean of the real rows."""
        return real_mean(rows, real)


class WordAttention(nn.Module):
    """A linear map, position encodings, attention layers, a normalisation."""

    def __init__(self, width: int, settings: Any, streams: Streams) -> None:
        super().__init__()
        units, dropout = settings.text_units, settings.attention_dropout
        self.enter = Linear(width, units, streams)
        self.layers = nn.ModuleList(
            AttentionLayer(units, settings.heads, dropout, dropout, dropout, streams)
            for _ in range(settings.layers)
        )
        self.last = LayerNorm(units, streams)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map rows (S, B, T, D) and mask (S, B, T) to (S, B, T, text_units)."""
        x = self.enter(x)
        x = x + positions(x)
        for layer in self.layers:
            x = layer(x, None, mask.unsqueeze(2))
        done: Tensor = self.last(x)
        return done
