"""Learning rate of each step: pure functions of the settings and of how validation went."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .training import Training


def rate(training: Training, step: int, n_steps: int, errors: Sequence[float]) -> float:
    """Learning rate of a step.

    Args:
        training: ``lr``, ``schedule``, ``warmup`` and what belongs to them.
        step: counted from 0 over all epochs.
        n_steps: in all ``training.epochs``.
        errors: validation error of each epoch before.

    Source:
        ``cosine``: Loshchilov and Hutter (2017), "SGDR", arXiv:1608.03983, eq. 5, without
        restarts. The rise starts at lr / its steps, where some start at 0 and waste a step.
    """
    rising = round(training.warmup * n_steps)
    if step < rising:
        return training.lr * (step + 1) / rising
    passed = (step - rising) / (n_steps - rising)
    if training.schedule == "linear":
        return training.lr * (1 - passed)
    if training.schedule == "cosine":
        return training.lr * 0.5 * (1 + math.cos(math.pi * passed))
    if training.schedule == "plateau":
        drops = plateaus(errors, training.plateau_epochs)
        return training.lr * training.plateau_factor**drops
    return training.lr


def plateaus(errors: Sequence[float], patience: int) -> int:
    """How often ``patience`` epochs in a row brought no smaller error than all before.

    >>> plateaus([3.0, 2.0, 2.5, 2.0, 1.0, 1.0], 2)
    1
    """
    best, waited, found = math.inf, 0, 0
    for error in errors:
        waited = 0 if error < best else waited + 1
        best = min(best, error)
        if waited == patience:
            waited, found = 0, found + 1
    return found
