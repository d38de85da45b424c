"""Losses that models share: task by task, with missing labels masked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .targets import Target, spans


def _huber(e: Tensor) -> Tensor:
    size = e.abs()
    return torch.where(size < 1, 0.5 * e.square(), size - 0.5)


#: Stands for a sum over nothing where it divides.
TINY = 1e-12
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
        known: (..., B, K) bool, True where there is a label; or float, how much it counts among
            those of its task (``targets.importance``), 0 where there is none.
        task_weights: (K,).

    Returns:
        (..., B, K) float32, 0 where there is no label.

    Source:
        Peng et al. (2023), eq. 6, with L1 as phi; they have all labels.
    """
    real = known.to(torch.float32)
    return real * task_weights / real.sum(dim=-2, keepdim=True).clamp_(min=TINY)


@torch.no_grad()
def masked_loss(
    kind: str,
    truth: Tensor,
    weights: Tensor,
    predictions: Tensor,
    targets: Sequence[Target] = (),
) -> tuple[Tensor, Tensor]:
    """Loss of each seed, and its slope by the predictions.

    Columns of one class out of several add their cross-entropy after a softmax, those of several
    at once their binary cross-entropy after a sigmoid.

    Args:
        kind: one of ``ELEMENTWISE``, for values.
        truth: (S, B, K).
        weights: (S, B, K), see ``label_weights``.
        predictions: (S, B, K), scores before softmax or sigmoid.
        targets: what the K columns are; none: all are values.

    Returns:
        (S,) loss, and (S, B, K) slope: a backward pass starts with it at the predictions, which
        costs half of what it takes autograd to find it again.
    """
    if all(target.kind == "value" for target in targets):
        loss, slope = ELEMENTWISE[kind]
        error = predictions - truth
        return (loss(error) * weights).sum(dim=(1, 2)), slope(error) * weights
    parts = [
        _LOSSES[target.kind](kind, truth[..., span], weights[..., span], predictions[..., span])
        for target, span in zip(targets, spans(targets), strict=True)
    ]
    losses = torch.stack([part for part, _ in parts]).sum(dim=0)
    return losses, torch.cat([slope for _, slope in parts], dim=-1)


def _one_class(kind: str, truth: Tensor, weights: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy; truth is 1 for the true class, all classes of an utterance weigh the same."""
    logs = functional.log_softmax(scores, dim=-1)
    counts = truth * weights
    return -(logs * counts).sum(dim=(1, 2)), logs.exp() * counts.sum(-1, keepdim=True) - counts


def _several(kind: str, truth: Tensor, weights: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Binary cross-entropy of each class by itself."""
    losses = functional.softplus(scores) - truth * scores
    return (losses * weights).sum(dim=(1, 2)), (torch.sigmoid(scores) - truth) * weights


_LOSSES: dict[str, Callable[[str, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    "value": masked_loss,
    "class": _one_class,
    "several": _several,
}


def column_weights(targets: Sequence[Target], task_weights: Sequence[float]) -> list[float]:
    """Weight of each column's loss: that of its task; of several at once, their mean counts."""
    weights = task_weights or (1.0,) * len(targets)
    return [
        weight / (target.size if target.kind == "several" else 1)
        for target, weight in zip(targets, weights, strict=True)
        for _ in range(target.size)
    ]


def as_predictions(targets: Sequence[Target], scores: Tensor) -> Tensor:
    """Scores (..., K) of a network as what they say: values as they are, else probabilities."""
    if all(target.kind == "value" for target in targets):
        return scores
    parts = []
    for target, span in zip(targets, spans(targets), strict=True):
        own = scores[..., span]
        if target.kind == "class":
            own = own.softmax(dim=-1)
        parts.append(own.sigmoid() if target.kind == "several" else own)
    return torch.cat(parts, dim=-1)


def choosing_error(target: Target, scores: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """What the epoch is chosen by, of each seed (S,): smaller is better.

    Mean absolute error of a value; mean cross-entropy of classes, each utterance counting alike.

    Args:
        target: the task.
        scores: (S, n, size).
        truth: (n, size).
        known: (n, size) bool.
    """
    if target.kind == "value":
        return masked_mae(scores[..., 0], truth[:, 0], known[:, 0])
    share = 1 / target.size if target.kind == "several" else 1.0
    weights = label_weights(known, scores.new_full((), share))
    shape = scores.shape
    return _LOSSES[target.kind]("", truth.expand(shape), weights.expand(shape), scores)[0]


@dataclass(frozen=True, eq=False)
class Objective:
    """What a model learns by in one step: its loss, and the labels behind it.

    Args:
        kind, truth, weights, targets: see ``masked_loss``.
        share: of this batch in the step that it is a part of, where gradients are accumulated; a
            model's further losses count by it.
    """

    kind: str
    truth: Tensor
    weights: Tensor
    targets: Sequence[Target] = ()
    share: float = 1.0

    def __call__(self, predictions: Tensor) -> tuple[Tensor, Tensor]:
        """Predictions (S, B, K) to each seed's loss (S,) and its slope by them (S, B, K)."""
        return masked_loss(self.kind, self.truth, self.weights, predictions, self.targets)


def soft_divergence(scores: Tensor, soft: Tensor, real: Tensor) -> Tensor:
    """Kullback-Leibler divergence of predicted classes from soft labels, each seed's mean, (S,).

    ``sum over classes of y (log y - log p)``, p the softmax of the scores: 0 where both are equal.

    Args:
        scores: (S, B, K), before the softmax.
        soft: probabilities (S, B, K).
        real: bool (S, B), True where there is a soft label.

    Source:
        Hwang and Kim (2024), "EASUM", WACV, section 3.4.
    """
    entropy = torch.xlogy(soft, soft)
    each = (entropy - soft * functional.log_softmax(scores, dim=-1)).sum(dim=-1) * real
    return each.sum(dim=-1) / real.sum(dim=-1).clamp(min=1)


def by_domain(weights: Tensor, domain: Tensor) -> Tensor:
    """Label weights under which each task's loss is the sum of its means over domains (corpora).

    Args:
        weights: (S, B, K), see ``label_weights``: those of a task add up to its own weight.
        domain: (S, B) int64 from 0: whose each utterance is.

    Returns:
        (S, B, K): within each domain that has labels of a task they add up to that weight.

    Source:
        Hwang and Kim (2024), "EASUM", WACV, section 3.3: the sum of the domains' losses.
    """
    own = functional.one_hot(domain).to(weights.dtype)  # (S, B, n)
    sums = own.transpose(1, 2) @ weights  # (S, n, K)
    factor = weights.sum(dim=1, keepdim=True) / sums.clamp(min=TINY)
    return weights * (own @ factor)


def shifting_huber(shift: Tensor, real: Tensor, delta: float) -> Tensor:
    """Huber loss of shift vectors: each seed's mean over utterances of the mean over real rows.

    An entry h counts h^2 / 2 up to ``delta`` in size, beyond it delta (|h| - delta / 2).

    Args:
        shift: (S, B, T, D).
        real: bool (S, B, T), True on rows that count; an utterance without any adds nothing.
        delta: greater than 0.

    Returns:
        (S,).

    Source:
        Lin and Hu (2024), IEEE Transactions on Multimedia 26, eq. 19, where N is "the sequence
        length"; the mean over columns, so that their number does not weigh, is ours.
    """
    loss = functional.huber_loss(shift, torch.zeros_like(shift), reduction="none", delta=delta)
    each = loss.mean(dim=-1) * real  # (S, B, T)
    return (each.sum(dim=2) / real.sum(dim=2).clamp(min=1)).mean(dim=1)


def masked_mae(predictions: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """Mean absolute error of each seed over what is labelled: (S, n), (n,), (n,) bool to (S,)."""
    return (predictions - truth).abs()[:, known].mean(dim=1)
