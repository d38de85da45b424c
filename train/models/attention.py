"""Attention over rows with masks. S seeds, B utterances, T rows, D columns."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..seeds import Dropout, LayerNorm, Linear, Streams
from .attending import attend

#: What a masked key adds to a score; finite, so that a sequence without a key gives no NaN.
NEVER = -1e9


def positions(x: Tensor) -> Tensor:
    """Sinusoidal encodings of the rows of ``x``, (T, D): sines, then cosines.

    Source:
        Vaswani et al. (2017), "Attention Is All You Need", section 3.5; halves side by side
        instead of in turns, which is the same up to the order of columns.
    """
    n_rows, width = x.shape[-2:]
    half = (width + 1) // 2
    rates = torch.exp(torch.arange(half, device=x.device) * (-math.log(10_000) / max(half - 1, 1)))
    angles = torch.arange(n_rows, device=x.device).unsqueeze(1) * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)[:, :width].to(x.dtype)


class Attention(nn.Module):
    """Rows of one sequence ask, rows of another (or of the same one) answer.

    Args:
        width: columns of both.
        heads: how many; must divide ``width``.
        dropout: of the weights.
        streams: random numbers of the seeds.
    """

    def __init__(self, width: int, heads: int, dropout: float, streams: Streams) -> None:
        super().__init__()
        self.heads = heads
        self.query = Linear(width, width, streams)
        self.key = Linear(width, width, streams)
        self.value = Linear(width, width, streams)
        self.out = Linear(width, width, streams)
        self.drop = Dropout(dropout, streams)

    def forward(self, asks: Tensor, answers: Tensor, seen: Tensor) -> Tensor:
        """Map rows (S, B, T, D) that ask and (S, B, U, D) that answer to (S, B, T, D).

        Args:
            asks: the queries.
            answers: the keys and values.
            seen: bool (S, B, 1 or T, U), True where a row that asks may look at one that answers.
        """
        query, key, value = self.query(asks), self.key(answers), self.value(answers)
        found = self._weighted(self._split(query), self._split(key), self._split(value), seen)
        # who may look nowhere gets nothing
        found = found * seen.any(dim=-1)[:, :, None, :, None]
        done: Tensor = self.out(found.transpose(2, 3).flatten(3))
        return done

    def looks_at(self, asks: Tensor, answers: Tensor, seen: Tensor) -> Tensor:
        """Mean weights of the heads of ``forward``, (S, B, T, U), no dropout; 0 where not seen."""
        query, key = self._split(self.query(asks)), self._split(self.key(answers))
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        scores = scores.masked_fill(~seen.unsqueeze(2), NEVER)
        weights: Tensor = scores.softmax(dim=-1).mean(dim=2) * seen
        return weights

    def _weighted(self, query: Tensor, key: Tensor, value: Tensor, seen: Tensor) -> Tensor:
        """All of (S, B, heads, rows, D / heads), ``seen`` (S, B, 1 or T, U)."""
        away = torch.zeros_like(seen, dtype=query.dtype).masked_fill_(~seen, NEVER)
        if self.drop.active:
            return attend(query, key, value, away, self.drop.p, self.drop.streams.noise)
        found = functional.scaled_dot_product_attention(
            query.flatten(0, 1), key.flatten(0, 1), value.flatten(0, 1), away.flatten(0, 1)[:, None]
        )
        return found.view_as(query)

    def _split(self, x: Tensor) -> Tensor:
        """(S, B, T, D) to (S, B, heads, T, D / heads)."""
        return x.view(*x.shape[:-1], self.heads, -1).transpose(2, 3).contiguous()


class AttentionLayer(nn.Module):
    """Attention and two fully connected layers, each after a normalisation and with a bypass.

    Source:
        Tsai et al. (2019), "Multimodal Transformer for Unaligned Multimodal Language Sequences",
        ACL, eq. 4; normalisation before each part, as in their published code.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        attention_dropout: float,
        relu_dropout: float,
        residual_dropout: float,
        streams: Streams,
    ) -> None:
        super().__init__()
        self.attention = Attention(width, heads, attention_dropout, streams)
        self.before = LayerNorm(width, streams)
        self.between = LayerNorm(width, streams)
        self.first = Linear(width, 4 * width, streams)
        self.second = Linear(4 * width, width, streams)
        self.relu_drop = Dropout(relu_dropout, streams)
        self.residual_drop = Dropout(residual_dropout, streams)

    def forward(self, x: Tensor, answers: Tensor | None, seen: Tensor) -> Tensor:
        """Map rows (S, B, T, D) to (S, B, T, D).

        Args:
            x: the rows that ask.
            answers: (S, B, U, D) those that answer; None: ``x`` itself.
            seen: as in ``Attention``.
        """
        asks = self.before(x)
        answers = asks if answers is None else self.before(answers)
        x = x + self.residual_drop(self.attention(asks, answers, seen))
        between = self.relu_drop(torch.relu(self.first(self.between(x))))
        done: Tensor = x + self.residual_drop(self.second(between))
        return done
