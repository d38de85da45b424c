"""Losses that models share: task by task, with missing labels masked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


def _huber(e: Tensor) -> Tensor:
    size = e.abs()
    return torch.where(size < 1, 0.5 * e.square(), size - 0.5)


#: Loss of a single score by its error (prediction - truth), elementwise, and the loss's slope.
#: Huber's delta is 1.
ELEMENTWISE: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "l1": (torch.abs, torch.sign),
    "mse": (torch.square, lambda e: 2 * e),
    "huber": (_huber, lambda e: e.clamp(-1, 1)),
}


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


@torch.no_grad()
def masked_loss(
    kind: str, truth: Tensor, weights: Tensor, predictions: Tensor
) -> tuple[Tensor, Tensor]:
    """Loss of each seed, and its slope by the predictions.

    Args:
        kind: one of ``ELEMENTWISE``.
        truth: (S, B, K).
        weights: (S, B, K), see ``label_weights``.
        predictions: (S, B, K).

    Returns:
        (S,) loss, and (S, B, K) slope: a backward pass starts with it at the predictions, which
        costs half of what it takes autograd to find it again.
    """
    loss, slope = ELEMENTWISE[kind]
    error = predictions - truth
    return (loss(error) * weights).sum(dim=(1, 2)), slope(error) * weights


@dataclass(frozen=True, eq=False)
class Objective:
    """What a model learns by in one step: its loss, and the labels behind it.

    Args:
        kind, truth, weights: see ``masked_loss``.
    """

    kind: str
    truth: Tensor
    weights: Tensor

    def __call__(self, predictions: Tensor) -> tuple[Tensor, Tensor]:
        """Predictions (S, B, K) to each seed's loss (S,) and its slope by them (S, B, K)."""
        return masked_loss(self.kind, self.truth, self.weights, predictions)


def masked_mae(predictions: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """Mean absolute error of each seed over what is labelled: (S, n), (n,), (n,) bool to (S,)."""
    return (predictions - truth).abs()[:, known].mean(dim=1)
