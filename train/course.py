"""How a fit goes: each seed's curve, and what must be kept to go on with it after a break."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy.typing as npt

Array = npt.NDArray[Any]
#: Called after each epoch: its number, the most there can be, each seed's best validation error.
Progress = Callable[[int, int, Sequence[float]], None]
#: Further values of an epoch by name; None where one is undefined.
Watched = dict[str, float | None]


@dataclass
class Curve:
    """One seed's course; lists have a value an epoch, up to the one where the seed stopped.

    Args:
        seed: which.
        train_loss: mean over the epoch's steps, dropout on.
        valid_loss: weighted sum of the tasks' losses.
        valid_metric: error of the primary task, of a value its mean absolute error, or of all tasks
            together (``ModelSettings.chosen_by_all``); the smallest one is chosen.
        best_epoch: number of the chosen epoch, from 1.
        watched: what the model shows of itself on the validation split (``Output.watched``, means
            over utterances) and the metrics that it asks for (``ModelSettings.follows``), by name;
            None where a value is undefined. Names ``chart/line`` are drawn in one chart.
    """

    seed: int
    train_loss: list[float] = field(default_factory=list)
    valid_loss: list[float] = field(default_factory=list)
    valid_metric: list[float] = field(default_factory=list)
    best_epoch: int = 0
    watched: dict[str, list[float | None]] = field(default_factory=dict)

    @property
    def best(self) -> float:
        """Validation error of the chosen epoch; infinite before the first."""
        return self.valid_metric[self.best_epoch - 1] if self.best_epoch else float("inf")

    def note(self, train_loss: float, valid_loss: float, error: float, watched: Watched) -> bool:
        """Write down an epoch; whether its error is the smallest so far."""
        is_best = error < self.best
        self.train_loss.append(train_loss)
        self.valid_loss.append(valid_loss)
        self.valid_metric.append(error)
        for name, value in watched.items():
            self.watched.setdefault(name, []).append(value)
        if is_best:
            self.best_epoch = len(self.valid_metric)
        return is_best


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
