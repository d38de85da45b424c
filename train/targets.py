"""What the scores of a task are: a value, one class of several, or any number of them at once.

Nothing here knows torch. A network gives a task ``Target.size`` columns of scores; what is
predicted of them stands in the same columns: a value, or the probability of each class.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..cache.errors import TrainingError
from ..cache.labels import CLASSES, NO_CLASS, POLARITIES, POLARITY, SENTIMENT, names_of
from ..cache.validation import listing, show
from .training import Training, label_columns

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Target:
    """One task.

    Args:
        task: its name.
        kind: ``value``; ``class``: one of ``names``; ``several``: any number of them.
        names: of the classes, in the order of their columns.
    """

    task: str
    kind: str = "value"
    names: tuple[str, ...] = ()

    @property
    def is_sentiment(self) -> bool:
        """Whether it is scored by the metrics of a family.

        Other values are scored plainly: dimensions of affect, and labels that a node has made.
        """
        return self.kind == "value" and self.task in SENTIMENT

    @property
    def size(self) -> int:
        """Columns of its scores."""
        return len(self.names) or 1

    @property
    def columns(self) -> tuple[str, ...]:
        """What predictions are called: ``M``, or ``emotion=happy`` and so on."""
        return tuple(f"{self.task}={name}" for name in self.names) or (self.task,)


def targets_of(
    tasks: Sequence[str], training: Training, labels: Mapping[str, Array], train: Array
) -> tuple[Target, ...]:
    """What each task is, by the label column it learns from.

    Args:
        tasks: in order.
        training: which classes count, and whether an utterance may have several.
        labels: label column to (n,) values: float, or text for classes.
        train: numbers of the training split's utterances; where ``training.classes`` names none,
            the classes are those that stand there, in alphabetical order.

    Raises:
        TrainingError: fewer than two classes, or one for ``several``, in the training split.
    """
    return tuple(
        _classes(task, training, labels[column][train]) if column in CLASSES else Target(task)
        for task, column in label_columns(training, tasks).items()
    )


def _classes(task: str, training: Training, train: Array) -> Target:
    found = {name for label in train for name in names_of(str(label))} - {NO_CLASS}
    if task == POLARITY:
        return _polarity(found)
    names = training.classes or tuple(sorted(found))
    there = [name for name in names if name in found]
    gone = [name for name in names if name not in found]
    if gone or len(there) < (1 if training.multilabel else 2):
        raise TrainingError(
            f"task '{task}' needs "
            + (
                f"examples of {listing([show(name) for name in gone])}"
                if gone
                else "at least two classes"
            )
            + f" in split 'train', which has {listing([show(n) for n in sorted(found)]) or 'none'}."
            " Mend the labels or the splits, or set 'classes' to those that are there"
        )
    return Target(task, "several" if training.multilabel else "class", names)


def _polarity(found: Collection[str]) -> Target:
    """The signs of sentiment that the training split has, in their order."""
    names = tuple(name for name in POLARITIES if name in found)
    others = sorted({*found} - {*names})
    if others or len(names) < 2:
        raise TrainingError(
            f"task '{POLARITY}' needs at least two of {', '.join(POLARITIES)} in split 'train', "
            f"and nothing else; it has {listing([show(n) for n in sorted(found)]) or 'none'}"
        )
    return Target(POLARITY, "class", names)


def truth_of(target: Target, labels: Array, ids: Sequence[str]) -> Array:
    """Truth of a task, (n, size) float64: values, or 1 for each class that it has and 0 else.

    NaN where there is no label, and, of one class out of several, where it is none of ``names``.

    Raises:
        TrainingError: an utterance has several classes, and the task is to name one.
    """
    if target.kind == "value":
        return np.asarray(labels, np.float64)[:, None]
    truth = np.full((len(labels), target.size), np.nan)
    place = {name: k for k, name in enumerate(target.names)}
    for i, label in enumerate(labels):
        names = names_of(str(label))
        if target.kind == "class" and len(names) > 1:
            raise TrainingError(
                f"utterance '{ids[i]}' has {len(names)} classes ({show(label)}), and task "
                f"'{target.task}' is to name one: set 'multilabel: true' to predict each by itself"
            )
        own = [place[name] for name in names if name in place]
        if own or (names and target.kind == "several"):
            truth[i] = 0.0
            truth[i, own] = 1.0
    return truth


def importance(target: Target, truth: Array, kind: str) -> Array:
    """How much each label counts in the loss, (n, size), by the training split's truth (n, size).

    Args:
        target: the task.
        truth: NaN where there is no label.
        kind: ``none``: 1 for all. ``balanced``: a class counts in inverse proportion to its
            share, so that all together count as much as they are (n / (classes x n of the class),
            scikit-learn's rule); of several at once, each one's positives as its negatives.
    """
    known = np.isfinite(truth).astype(np.float64)
    if kind == "none" or target.kind == "value":
        return known
    positive = np.nan_to_num(truth)
    hits, n = positive.sum(axis=0), known.sum(axis=0)
    if target.kind == "class":
        share = n / (target.size * np.maximum(hits, 1))
        row: Array = (positive * share).sum(axis=1, keepdims=True)
        counts: Array = known * row
    else:
        ones, zeros = n / (2 * np.maximum(hits, 1)), n / (2 * np.maximum(n - hits, 1))
        counts = known * np.where(positive > 0, ones, zeros)
    return counts


def as_meta(targets: Sequence[Target]) -> list[dict[str, Any]]:
    """Targets as plain JSON."""
    return [{**asdict(target), "names": list(target.names)} for target in targets]


def from_meta(meta: Mapping[str, Any]) -> tuple[Target, ...]:
    """The targets of a checkpoint; those written before there were classes have values only."""
    if "targets" not in meta:
        return tuple(Target(task) for task in meta["tasks"])
    return tuple(Target(t["task"], t["kind"], tuple(t["names"])) for t in meta["targets"])


def spans(targets: Sequence[Target]) -> list[slice]:
    """The columns of each target among those of all."""
    ends = np.cumsum([target.size for target in targets]).tolist()
    return [slice(end - t.size, end) for end, t in zip(ends, targets, strict=True)]
