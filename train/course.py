"""How a fit goes: each seed's curve, and what must be kept to go on with it after a break."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy.typing as npt

Array = npt.NDArray[Any]
#: Called after each epoch: its number, the most there can be, each seed's best validation error.
Progress = Callable[[int, int, Sequence[float]], None]


@dataclass
class Curve:
    """One seed's course; lists have a value an epoch, up to the one where the seed stopped.

    Args:
        seed: which.
        train_loss: mean over the epoch's steps, dropout on.
        valid_loss: weighted sum of the tasks' losses.
        valid_metric: error of the primary task, of a value its mean absolute error; the smallest
            one is chosen.
        best_epoch: number of the chosen epoch, from 1.
    """

    seed: int
    train_loss: list[float] = field(default_factory=list)
    valid_loss: list[float] = field(default_factory=list)
    valid_metric: list[float] = field(default_factory=list)
    best_epoch: int = 0

    @property
    def best(self) -> float:
        """Validation error of the chosen epoch; infinite before the first."""
        return self.valid_metric[self.best_epoch - 1] if self.best_epoch else float("inf")


class Parted(Exception):
    """Not an error: one of several stacks of seeds was fitted and left with the keeper.

    Attributes:
        stacks: how many there are.
    """

    def __init__(self, stacks: int) -> None:
        super().__init__(f"one of {stacks} stacks of seeds")
        self.stacks = stacks


class Keeper(Protocol):
    """Where a fit in progress is kept; names tell its stacks of seeds apart."""

    def load(self, name: str) -> tuple[Mapping[str, Array], Mapping[str, Any]] | None:
        """Arrays and plain values as they were saved last; None where there are none."""

    def due(self) -> bool:
        """Whether so much has been done since the last time that it is worth saving."""

    def save(self, name: str, arrays: Mapping[str, Array], record: Mapping[str, Any]) -> None:
        """Keep this instead of what was saved under the name before, whole or not at all."""

    def rescue(self, name: str, arrays: Mapping[str, Array]) -> str:
        """Keep the last good weights of a fit that goes wrong; returns where they lie."""
