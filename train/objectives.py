"""Losses that models share: task by task, with missing labels masked."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def _l1(p: Tensor, y: Tensor) -> Tensor:
    return (p - y).abs()


def _mse(p: Tensor, y: Tensor) -> Tensor:
    return (p - y).square()


def _huber(p: Tensor, y: Tensor) -> Tensor:
    return functional.huber_loss(p, y, reduction="none")


#: Loss of a single score, elementwise: prediction and truth of one shape. Huber's delta is 1.
ELEMENTWISE = {"l1": _l1, "mse": _mse, "huber": _huber}


def label_weights(known: Tensor, task_weights: Tensor) -> Tensor:
    """Weight of each score so that a weighted sum is the sum over tasks of weight x mean loss.

    The mean of a task runs over those utterances of the batch that have its label; a task without
    any in the batch adds nothing.

    Args:
        known: (..., B, K) bool, True where there is a label.
        task_weights: (K,).

    Returns:
        (..., B, K) float32, 0 where there is no label.

    Source:
        Peng et al. (2023), eq. 6, with L1 as phi; they have all labels.
    """
    real = known.to(torch.float32)
    return real * task_weights / real.sum(dim=-2, keepdim=True).clamp_(min=1.0)


def masked_loss(kind: str, predictions: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """Loss of each seed, (S,): predictions, truth and weights are (S, B, K)."""
    return (ELEMENTWISE[kind](predictions, truth) * weights).sum(dim=(1, 2))


def masked_mae(predictions: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """Mean absolute error of each seed over what is labelled: (S, n), (n,), (n,) bool to (S,)."""
    return (predictions - truth).abs()[:, known].mean(dim=1)
