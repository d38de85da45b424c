"""Blocks that several models share. S seeds, B utterances, T rows, D columns, H hidden."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from ..lstm import Lstm
from ..objectives import Objective
from ..rows import Rows
from ..seeds import Dropout, Linear, Streams
from ..wide import WideParameter, WideProduct
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


class Projection(nn.Module):
    """Dropout, then one linear layer on a mean; zeros where it is masked."""

    def __init__(self, n_in: int, n_out: int, dropout: float, streams: Streams) -> None:
        super().__init__()
        self.drop = Dropout(dropout, streams)
        self.out = Linear(n_in, n_out, streams)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Map (S, B, D) to (S, B, n_out)."""
        return masked(self.out(self.drop(x)), mask)


class TextSubnet(nn.Module):
    """Last state of an LSTM, dropout, one linear layer; zeros where there is no text."""

    def __init__(
        self, n_in: int, hidden: int, n_out: int, dropout: float, streams: Streams
    ) -> None:
        super().__init__()
        self.lstm = Lstm(n_in, hidden, streams)
        self.drop = Dropout(dropout, streams)
        self.out = Linear(hidden, n_out, streams)

    def forward(self, x: Tensor | Rows, mask: Tensor | None) -> Tensor:
        """Map rows (S, B, T, D) and their mask (S, B, T) to (S, B, n_out)."""
        assert mask is not None
        return masked(self.out(self.drop(self.lstm(x, mask))), mask.any(dim=-1))


class Predictor(nn.Module):
    """Three layers, ReLU on the first two: a task's scores, the second layer's activations."""

    def __init__(
        self, n_in: int, units: int, dropout: float, streams: Streams, size: int = 1
    ) -> None:
        super().__init__()
        self.drop = Dropout(dropout, streams)
        self.first = Linear(n_in, units, streams)
        self.second = Linear(units, units, streams)
        self.score = Linear(units, size, streams)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (S, B, n_in) to scores (S, B, size) and hidden (S, B, units)."""
        x = torch.relu(self.first(self.drop(x)))
        hidden = torch.relu(self.second(x))
        return self.score(hidden), hidden

    @torch.no_grad()
    def kept(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What ``differentiate`` needs: input after dropout, both hidden layers, scores."""
        x = self.drop(x)
        first = self.first(x).relu_()
        second = self.second(first).relu_()
        return x, first, second, self.score(second)

    @torch.no_grad()
    def differentiate(self, kept: tuple[Tensor, Tensor, Tensor, Tensor], slope: Tensor) -> None:
        """Set the parameters' gradients, in place, from the slope (S, B, size) by the scores.

        What autograd does, without its graph, which is half of a step of the smallest model.
        """
        x, first, second, _ = kept
        _differentiate(self.score, second, slope)
        slope = _through_relu(torch.bmm(slope, self.score.weight.transpose(1, 2)), second)
        _differentiate(self.second, first, slope)
        slope = _through_relu(torch.bmm(slope, self.second.weight.transpose(1, 2)), first)
        _differentiate(self.first, x, slope)


def _differentiate(layer: Linear, given: Tensor, slope: Tensor) -> None:
    torch.bmm(given.transpose(1, 2), slope, out=layer.weight.grad)
    torch.sum(slope, dim=1, keepdim=True, out=layer.bias.grad)


def _through_relu(slope: Tensor, made: Tensor) -> Tensor:
    """The slope (S, B, n) before a ReLU that made (S, B, n)."""
    before: Tensor = torch.ops.aten.threshold_backward(slope, made, 0)
    return before


class Heads(nn.Module):
    """A predictor of its own for each task on one shared representation.

    What is encoded is the hidden layer of the last task's predictor.
    """

    def __init__(
        self, n_in: int, units: int, dropout: float, sizes: Sequence[int], streams: Streams
    ) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        self.heads = nn.ModuleList(Predictor(n_in, units, dropout, streams, k) for k in self.sizes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (S, B, n_in) to scores (S, B, K) and hidden (S, B, units)."""
        done = [head(x) for head in self.heads]
        return _side_by_side([score for score, _ in done]), done[-1][1]

    def learn(self, x: Tensor, objective: Objective) -> Tensor:
        """Set the gradients of all heads, in place; return the loss of each seed, (S,)."""
        heads = cast(Sequence[Predictor], self.heads)
        kept = [head.kept(x) for head in heads]
        losses, slope = objective(_side_by_side([scores for *_, scores in kept]))
        for head, its, own in zip(heads, kept, slope.split(self.sizes, dim=-1), strict=True):
            head.differentiate(its, own)
        return losses


def _side_by_side(scores: Sequence[Tensor]) -> Tensor:
    return scores[0] if len(scores) == 1 else torch.cat(list(scores), dim=-1)


class OuterLinear(nn.Module):
    """A linear layer on the outer product of several vectors, which is never laid out as a whole.

    Equal to ``Linear`` on ``outer(...)``. The weights are contracted with the outer product of all
    vectors but the longest, then with that one: of the ways to do it, this one puts the least
    between both products. With the longest vector first, a step on three of 33, 33 and 129 takes
    1.4 times as long, and lays out 70,000 numbers an utterance in place of 8,000.
    """

    def __init__(self, sizes: Sequence[int], n_out: int, streams: Streams) -> None:
        super().__init__()
        self.order = sorted(range(len(sizes)), key=lambda i: -sizes[i])
        longest, *others = (sizes[i] for i in self.order)
        bound = 1 / math.sqrt(math.prod(sizes))
        self.weight = WideParameter(streams.uniform((longest * n_out, math.prod(others)), bound))
        self.bias = nn.Parameter(streams.uniform((1, n_out), bound))

    def forward(self, *embeddings: Tensor) -> Tensor:
        """Map vectors (S, B, H_i) to (S, B, n_out)."""
        longest, *others = (embeddings[i] for i in self.order)
        left: Tensor = WideProduct.apply(outer(*others), self.weight)  # (S, B, longest H * n_out)
        vector = longest.reshape(-1, 1, longest.shape[-1])  # (S * B, 1, longest H)
        made = torch.bmm(vector, left.view(len(vector), longest.shape[-1], -1))
        return made.view(*longest.shape[:2], -1) + self.bias


class LowRankLinear(nn.Module):
    """A linear layer on the outer product of several vectors, with weights of a given rank.

    The weights of output k are the sum over ranks r of the outer products of one column a vector,
    ``factors[i][:, r, k]``; so the map is a sum of products of ordinary linear maps.
    """

    def __init__(self, sizes: Sequence[int], n_out: int, rank: int, streams: Streams) -> None:
        super().__init__()
        self.rank, self.n_out = rank, n_out
        # maps to unit variance, so that the products keep theirs however many vectors there are
        self.factors = nn.ParameterList(
            nn.Parameter(streams.uniform((size, rank * n_out), math.sqrt(3 / size)))
            for size in sizes
        )
        self.bias = nn.Parameter(streams.uniform((1, n_out), 1 / math.sqrt(math.prod(sizes))))

    def shares(self, *embeddings: Tensor) -> Tensor:
        """Map vectors (S, B, H_i) to what each rank adds to each output, (S, B, rank * n_out)."""
        product = torch.bmm(embeddings[0], self.factors[0])
        for x, factor in zip(embeddings[1:], self.factors[1:], strict=True):
            product = product * torch.bmm(x, factor)
        return product / math.sqrt(self.rank)

    def total(self, shares: Tensor) -> Tensor:
        """The outputs, (S, B, n_out)."""
        by_rank = shares.view(*shares.shape[:2], self.rank, self.n_out)
        return by_rank.sum(dim=2) + self.bias


def outer(*embeddings: Tensor) -> Tensor:
    """Outer product of vectors (S, B, H_i), flattened to (S, B, H_1 * H_2 * ...)."""
    product = embeddings[0]
    for embedding in embeddings[1:]:
        product = (product.unsqueeze(-1) * embedding.unsqueeze(-2)).flatten(2)
    return product


def with_one(x: Tensor) -> Tensor:
    """Append a column of ones: (S, B, H) to (S, B, H + 1)."""
    return torch.cat([x, x.new_ones(*x.shape[:-1], 1)], dim=-1)
