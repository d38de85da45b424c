"""Attention with dropout of its weights, a few heads or rows at a time; no weights are kept.

What autograd would keep of it, weights and which of them were dropped, grows with the square of the
rows and costs more to write and read than to make again (``benchmarks/baselines.py mult``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

#: Weights that are worked on at once on a CPU, so that they stay in its cache; a GPU takes more.
BLOCK, BLOCK_GPU = 1 << 18, 1 << 26
#: Parts that a probability is counted in: those of 16 random bits.
PARTS = 1 << 16


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    away: Tensor,
    p: float,
    generators: Sequence[torch.Generator],
) -> Tensor:
    """Values weighted by softmax(query key' / sqrt(d) + away), weights dropped by ``p``.

    Args:
        query: (S, B, heads, T, d).
        key: (S, B, heads, U, d).
        value: as ``key``.
        away: (S, B, 1 or T, U), added to the scores of every head.
        p: probability in [0, 1) that a weight is dropped, to 1 / 65536; the others grow to match.
        generators: one a seed.

    Returns:
        (S, B, heads, T, d), float32 under mixed precision.
    """
    with torch.autocast(query.device.type, enabled=False):
        lines = [x.float() if x.dtype == torch.bfloat16 else x for x in (query, key, value, away)]
        found: Tensor = _Attend.apply(*lines, p, generators)
    return found


class _Attend(torch.autograd.Function):
    """Weights are made once forward and once more, with the same draws, backward."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        away: Tensor,
        p: float,
        generators: Sequence[torch.Generator],
    ) -> Tensor:
        ctx.p, ctx.states = p, [generator.get_state() for generator in generators]
        ctx.save_for_backward(query, key, value, away)
        found = torch.empty_like(query)
        for seed, rows, asks, weights, kept in _blocks(query, key, away, p, generators):
            made = torch.bmm(weights.mul_(kept), _heads(value, seed)[rows])
            _heads(found, seed)[rows, asks] = made
        return found.mul_(_growth(p))

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, away = ctx.saved_tensors
        generators = [torch.Generator(query.device) for _ in ctx.states]
        for generator, state in zip(generators, ctx.states, strict=True):
            generator.set_state(state)
        slope = (slope * _growth(ctx.p)).contiguous()
        slopes = tuple(torch.zeros_like(x) for x in (query, key, value))
        with torch.autocast(query.device.type, enabled=False):
            for seed, rows, asks, weights, kept in _blocks(query, key, away, ctx.p, generators):
                q, s = (_heads(x, seed)[rows, asks] for x in (query, slope))
                k, v = (_heads(x, seed)[rows] for x in (key, value))
                by_query, by_key, by_value = (_heads(x, seed)[rows] for x in slopes)
                by_weights = torch.bmm(s, v.transpose(1, 2)).mul_(kept)
                by_value.baddbmm_(kept.mul_(weights).transpose(1, 2), s)
                by_scores = torch.ops.aten._softmax_backward_data(
                    by_weights, weights, -1, weights.dtype
                )
                by_query[:, asks] = torch.bmm(by_scores, k)
                by_key.baddbmm_(by_scores.transpose(1, 2), q)
        scale = 1 / math.sqrt(query.shape[-1])
        return slopes[0].mul_(scale), slopes[1].mul_(scale), slopes[2], None, None, None


def _blocks(
    query: Tensor, key: Tensor, away: Tensor, p: float, generators: Sequence[torch.Generator]
) -> Iterator[tuple[int, slice, slice, Tensor, Tensor]]:
    """Seed, its heads and their queries at work; weights and what is kept of them, (n, T', U)."""
    n_heads, n_rows, width = query.shape[2:]
    n_answers = key.shape[3]
    most = BLOCK if query.device.type == "cpu" else BLOCK_GPU
    step = _step(n_heads, n_rows * n_answers, most)
    n_asks = n_rows if step * n_rows * n_answers <= most else max(1, most // n_answers)
    for seed, generator in enumerate(generators):
        q, k = _heads(query, seed), _heads(key, seed).transpose(1, 2)
        for first in range(0, len(q), step):
            rows = slice(first, min(first + step, len(q)))
            utterances = away[seed, rows.start // n_heads : -(-rows.stop // n_heads)]
            for start in range(0, n_rows, n_asks):
                asks = slice(start, min(start + n_asks, n_rows))
                hidden = utterances if away.shape[2] == 1 else utterances[:, asks]
                hidden = hidden[:, None].expand(-1, n_heads, -1, -1).flatten(0, 1)
                scores = torch.baddbmm(
                    hidden[: rows.stop - rows.start],
                    q[rows, asks],
                    k[rows],
                    alpha=1 / math.sqrt(width),
                )
                weights = scores.softmax(dim=-1)
                yield seed, rows, asks, weights, _kept(weights, p, generator)


def _step(n_heads: int, size: int, most: int) -> int:
    """Heads at work at once: of whole utterances, or an equal part of one's."""
    fit = max(1, most // max(size, 1))
    if fit >= n_heads:
        return fit // n_heads * n_heads
    return max(part for part in range(1, fit + 1) if n_heads % part == 0)


def _heads(x: Tensor, seed: int) -> Tensor:
    """All heads of a seed's utterances, (B * heads, rows, d)."""
    return x[seed].flatten(0, 1)


def _kept(like: Tensor, p: float, generator: torch.Generator) -> Tensor:
    """1 where an entry is kept, 0 where not; a random number for four of them: it costs most."""
    n = like.numel()
    drawn = torch.empty(-(-n // 4), dtype=torch.int64, device=like.device)
    drawn.random_(-(2**63), None, generator=generator)
    parts = drawn.view(torch.int16)[:n].view(like.shape)
    return torch.ge(parts, round(p * PARTS) - PARTS // 2, out=torch.empty_like(like))


def _growth(p: float) -> float:
    return 1 / (1 - round(p * PARTS) / PARTS)
