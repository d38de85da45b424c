"""Blocks that several models share. S seeds, B utterances, T rows, D columns, H hidden."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..seeds import Dropout, Linear, Lstm, Streams
from .base import masked


class MeanSubnet(nn.Module):
    """Dropout, then three fully connected ReLU layers on a mean; zeros where it is masked."""

    def __init__(self, n_in: int, hidden: int, dropout: float, streams: Streams) -> None:
        super().__init__()
        self.drop = Dropout(dropout, streams)
        self.first = Linear(n_in, hidden, streams)
        self.second = Linear(hidden, hidden, streams)
        self.third = Linear(hidden, hidden, streams)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Map (S, B, D) to (S, B, H)."""
        x = torch.relu(self.first(self.drop(x)))
        return masked(torch.relu(self.third(torch.relu(self.second(x)))), mask)


class TextSubnet(nn.Module):
    """Last state of an LSTM, dropout, one linear layer; zeros where there is no text."""

    def __init__(
        self, n_in: int, hidden: int, n_out: int, dropout: float, streams: Streams
    ) -> None:
        super().__init__()
        self.lstm = Lstm(n_in, hidden, streams)
        self.drop = Dropout(dropout, streams)
        self.out = Linear(hidden, n_out, streams)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Map rows (S, B, T, D) and their mask (S, B, T) to (S, B, n_out)."""
        assert mask is not None
        return masked(self.out(self.drop(self.lstm(x, mask))), mask.any(dim=-1))


class Predictor(nn.Module):
    """Three layers, ReLU on the first two: one score, and the second layer's activations."""

    def __init__(self, n_in: int, units: int, dropout: float, streams: Streams) -> None:
        super().__init__()
        self.drop = Dropout(dropout, streams)
        self.first = Linear(n_in, units, streams)
        self.second = Linear(units, units, streams)
        self.score = Linear(units, 1, streams)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (S, B, n_in) to scores (S, B, 1) and hidden (S, B, units)."""
        x = torch.relu(self.first(self.drop(x)))
        hidden = torch.relu(self.second(x))
        return self.score(hidden), hidden


class Heads(nn.Module):
    """A predictor of its own for each task on one shared representation.

    What is encoded is the hidden layer of the last task's predictor.
    """

    def __init__(
        self, n_in: int, units: int, dropout: float, tasks: Sequence[str], streams: Streams
    ) -> None:
        super().__init__()
        self.heads = nn.ModuleList([Predictor(n_in, units, dropout, streams) for _ in tasks])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (S, B, n_in) to scores (S, B, K) and hidden (S, B, units)."""
        done = [head(x) for head in self.heads]
        scores = done[0][0] if len(done) == 1 else torch.cat([score for score, _ in done], dim=-1)
        return scores, done[-1][1]


class OuterLinear(nn.Module):
    """A linear layer on the outer product of several vectors, which is never laid out.

    Equal to ``Linear`` on ``outer(...)``, in half the time for three vectors of 129, 33, 129: the
    weights are contracted with one vector after another, the longest first: what is left then is
    smallest (with a vector of 33 first, a step takes 1.7 of the time).
    """

    def __init__(self, sizes: Sequence[int], n_out: int, streams: Streams) -> None:
        super().__init__()
        self.order = sorted(range(len(sizes)), key=lambda i: -sizes[i])
        first, *others = (sizes[i] for i in self.order)
        bound = 1 / math.sqrt(math.prod(sizes))
        self.weight = nn.Parameter(streams.uniform((first, math.prod(others) * n_out), bound))
        self.bias = nn.Parameter(streams.uniform((1, n_out), bound))

    def forward(self, *embeddings: Tensor) -> Tensor:
        """Map vectors (S, B, H_i) to (S, B, n_out)."""
        first, *others = (embeddings[i] for i in self.order)
        left = torch.bmm(first, self.weight)  # (S, B, the others' H multiplied * n_out)
        for other in others:
            vector = other.reshape(-1, 1, other.shape[-1])  # (S * B, 1, H_i)
            left = torch.bmm(vector, left.view(len(vector), other.shape[-1], -1))
        return left.view(*first.shape[:2], -1) + self.bias


def outer(*embeddings: Tensor) -> Tensor:
    """Outer product of vectors (S, B, H_i), flattened to (S, B, H_1 * H_2 * ...)."""
    product = embeddings[0]
    for embedding in embeddings[1:]:
        product = (product.unsqueeze(-1) * embedding.unsqueeze(-2)).flatten(2)
    return product


def with_one(x: Tensor) -> Tensor:
    """Append a column of ones: (S, B, H) to (S, B, H + 1)."""
    return torch.cat([x, x.new_ones(*x.shape[:-1], 1)], dim=-1)
