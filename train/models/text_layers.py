"""What stands above a text's rows: layers of its own model, or small ones from random weights.

Both let rows (S, B, T, D) enter as (S, B, T, ``width``), map those and a mask (S, B, T) to rows of
that width, and these to what stands for each utterance.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..seeds import LayerNorm, Linear, Streams
from .aligned import rows_at, summary_place, with_first
from .attention import AttentionLayer, positions
from .copies import Copies
from .mag import real_mean


class TrainedLayers(nn.Module):
    """The first layers above the cached one of a pretrained model, a copy for each seed.

    Args:
        encoder: layers of a model, as an input comes with them (``Input.encoder``).
        layers: how many of them, the lowest.
        streams: random numbers of the seeds.
    """

    def __init__(self, encoder: Any, layers: int, streams: Streams) -> None:
        super().__init__()
        self.copies = Copies(encoder.first(layers), streams)
        self.width: int = encoder.width
        self.from_end = encoder.summary == "last"

    def enter(self, rows: Tensor) -> Tensor:
        """The cached states, as they are."""
        return rows

    def forward(self, rows: Tensor, mask: Tensor) -> Tensor:
        """States of the last layer; an utterance without text is one empty token."""
        states: Tensor = self.copies(rows, with_first(mask))
        return states

    def summary(self, states: Tensor, mask: Tensor) -> Tensor:
        """The state (S, B, width) of the token that stands for the text: [CLS]."""
        return rows_at(states, summary_place(mask, self.from_end))


class OwnLayers(nn.Module):
    """A linear map and attention layers with position encodings, from random weights.

    Args:
        columns: of the text's rows.
        width: of the layers; a multiple of ``heads``.
        heads: of the attention.
        layers: how many.
        dropout: inside them.
        streams: random numbers of the seeds.
    """

    def __init__(
        self, columns: int, width: int, heads: int, layers: int, dropout: float, streams: Streams
    ) -> None:
        super().__init__()
        self.width = width
        self.enter = Linear(columns, width, streams)
        self.layers = nn.ModuleList(
            AttentionLayer(width, heads, dropout, dropout, dropout, streams) for _ in range(layers)
        )
        self.last = LayerNorm(width, streams)

    def forward(self, rows: Tensor, mask: Tensor) -> Tensor:
        """Rows of the last layer, which look at real ones alone."""
        x = rows + positions(rows)
        for layer in self.layers:
            x = layer(x, None, mask.unsqueeze(2))
        done: Tensor = self.last(x)
        return done

    def summary(self, states: Tensor, mask: Tensor) -> Tensor:
        """The mean (S, B, width) of the real rows."""
        return real_mean(states, mask)
