"""Attention with dropout of its weights: against the formula, on the weights that were kept."""

import math

import pytest
import torch

from affectflow.train.models import attending
from affectflow.train.models.attending import attend

S, B, HEADS, T, U, D = 2, 3, 4, 5, 7, 3


def inputs(dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    query = torch.randn(S, B, HEADS, T, D, generator=generator, dtype=dtype)
    key, value = (torch.randn(S, B, HEADS, U, D, generator=generator, dtype=dtype) for _ in "kv")
    away = torch.zeros(S, B, 1, U, dtype=dtype)
    away[:, 1, :, 4:] = -1e9
    return query, key, value, away


def generators():
    return [torch.Generator().manual_seed(seed) for seed in range(S)]


def kept_by(away, p):
    """Which weights are kept, (S, B, heads, T, U): read off with keys alike and values one-hot."""
    zeros = torch.zeros(S, B, HEADS, T, U, dtype=torch.float64)
    answers = torch.zeros(S, B, HEADS, U, U, dtype=torch.float64)
    hot = torch.eye(U, dtype=torch.float64).expand_as(answers).contiguous()
    return attend(zeros, answers, hot, torch.zeros_like(away), p, generators()) > 0


@pytest.mark.parametrize("block", [1, 2 * U, 2 * T * U, 9 * T * U, 1 << 18])
@pytest.mark.parametrize("rows", [1, T])
def test_is_the_formula_and_its_gradient(monkeypatch, block, rows):
    monkeypatch.setattr(attending, "BLOCK", block)
    p = 0.25
    *lines, away = inputs()
    away = away.expand(S, B, rows, U).contiguous()
    kept = kept_by(away, p)
    slope = torch.randn(S, B, HEADS, T, D, dtype=torch.float64)
    ours, plain = ([line.clone().requires_grad_() for line in lines] for _ in "ab")

    found = attend(*ours, away, p, generators())
    query, key, value = plain
    scores = query @ key.transpose(-1, -2) / math.sqrt(D) + away.unsqueeze(2)
    wanted = (scores.softmax(-1) * kept / (1 - p)) @ value

    torch.testing.assert_close(found, wanted)
    found.backward(slope)
    wanted.backward(slope)
    for line, other in zip(ours, plain, strict=True):
        torch.testing.assert_close(line.grad, other.grad)


def test_drops_the_share_it_is_told_and_goes_on_drawing():
    query, key = torch.zeros(1, 1, 1, 200, 4), torch.zeros(1, 1, 1, 300, 4)
    value, away = torch.ones(1, 1, 1, 300, 4), torch.zeros(1, 1, 1, 300)
    (generator, *_) = generators()
    first, second = (attend(query, key, value, away, 0.1, [generator]) for _ in "ab")
    assert first.mean().item() == pytest.approx(1, abs=0.005)  # what is kept grows to match
    assert first.std().item() == pytest.approx(math.sqrt(0.1 / 0.9 / 300), rel=0.2)
    assert not torch.equal(first, second)


def test_a_seed_in_a_stack_has_the_numbers_of_one_alone():
    *lines, away = inputs(torch.float32)
    both = attend(*lines, away, 0.3, generators())
    alone = attend(*[line[1:] for line in lines], away[1:], 0.3, generators()[1:])
    torch.testing.assert_close(both[1:], alone)


def test_mixed_precision_does_not_reach_the_weights():
    *lines, away = inputs(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = attend(*lines, away, 0.3, generators())
    torch.testing.assert_close(mixed, attend(*lines, away, 0.3, generators()))
