"""How a model is fitted: everything about a fit that is not the model. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from ..cache.errors import BadCall, unknown
from ..cache.keys import ADDED_LATER
from ..cache.labels import CLASSES, DIMENSIONS, NO_CLASS, POLARITY, SENTIMENT

#: Optimisers, losses, label sources and normalisations that the loop knows.
CHOICES = {
    "optimizer": ("adam", "adamw"),
    "loss": ("l1", "mse", "huber"),
    "labels": ("own", "M"),
    "normalize": ("rows", "none"),
    "emotions": ("own", "nine"),
    "class_weights": ("none", "balanced"),
    "schedule": ("constant", "linear", "cosine", "plateau"),
    "precision": ("float32", "bfloat16"),
}
LENGTHS = ("fmlmsn", "longest")
#: Settings that say nothing to a fit on values alone.
OF_CLASSES = ("classes", "multilabel", "class_weights")
#: What a fitted model can give of an utterance; see ``encoding.encoded``.
GIVES = ("hidden", "scores", "rows")
#: Of the loop and of the layers that models share; raise it when the same fit comes out otherwise.
LOOP_VERSION = 4
#: Of FmlMSN's length rule; raise it when the same lengths give another number of rows.
LENGTH_VERSION = 1


@dataclass(frozen=True)
class Training:
    """Settings of the one loop; all of them count towards a fit's fingerprint.

    Args:
        seeds: one whole fit each; a single number n stands for the seeds 0 to n - 1.
        epochs: at most so many passes over the training split.
        patience: stop a seed after so many epochs without a better validation score.
        batch_size: utterances a step; the last batch of an epoch may be smaller.
        lr: learning rate.
        weight_decay: L2 penalty (``adam``) or decoupled decay (``adamw``).
        clip: largest L2 norm of a seed's gradient; 0: no clipping.
        optimizer: ``adam`` or ``adamw``.
        loss: ``l1``, ``mse`` or ``huber`` (delta 1), for every task.
        task_weights: weight of each task's loss, in the order of the fit's tasks; empty: all 1.
        labels: ``own``: each task has its own label column; ``M``: every task is trained on the
            multimodal label (FmlMSN-m), for corpora without labels of single modalities.
        length: rows kept of each utterance, the first ones: ``fmlmsn`` (mean + length_factor x
            standard deviation of the lengths in the training split), ``longest`` (of all splits:
            nothing is cut), or a number.
        length_factor: lambda of that rule; without it, it means nothing and is its default.
        normalize: ``rows``: each column to mean 0 and standard deviation 1 over the real rows of
            the training split; ``none``.
        classes: names of the classes of the task ``emotion``, in the order of their columns;
            an utterance of another class has no label then. Empty: all that the training split has.
        emotions: names of the task ``emotion``: the corpus' ``own``, or the ``nine`` that several
            corpora share (``cache.emotions``), under which theirs are merged.
        multilabel: each class is predicted by itself, so that an utterance may have several.
        class_weights: ``balanced``: rare classes count more in the loss (``targets.importance``).
        schedule: of the learning rate. ``linear`` and ``cosine`` fall from ``lr`` to 0 over all
            ``epochs``; ``plateau``: times ``plateau_factor`` after ``plateau_epochs`` epochs
            without a better validation score, seed by seed, so that seeds do not run side by side.
        warmup: share of all steps, [0, 1), over which the rate rises in a line to ``lr``.
        accumulate: batches whose gradients make one step: as one batch of so many times
            ``batch_size`` would, in the memory of one. Not quite so for four models, whose losses
            are no sums over utterances: ``misa`` compares the distributions of its parts within
            each of the small batches, ``av-mc`` mixes an utterance with one of its small batch,
            ``self-mm`` makes labels anew after each, ``easum-general``
            compares the corpora of each, and means over them.
        round: of FmlMSN's retraining rule: its number, and the seed of the draws that asked for it;
            a workflow sets it, and other seeds with it. Empty: the first one.
        precision: ``bfloat16``: matrix products of a training step in mixed precision; weights,
            losses, validation and predictions stay in float32.

    Raises:
        BadCall: a setting is out of its range.
    """

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    epochs: int = 200
    patience: int = 20
    batch_size: int = 64
    lr: float = 1e-3
    weight_decay: float = 0.0
    clip: float = 0.0
    optimizer: str = "adam"
    loss: str = "l1"
    task_weights: tuple[float, ...] = ()
    labels: str = "own"
    length: int | str = "fmlmsn"
    length_factor: float = 3.0
    normalize: str = "rows"
    classes: tuple[str, ...] = field(default=(), metadata=ADDED_LATER)
    emotions: str = field(default="own", metadata=ADDED_LATER)
    multilabel: bool = field(default=False, metadata=ADDED_LATER)
    class_weights: str = field(default="none", metadata=ADDED_LATER)
    schedule: str = field(default="constant", metadata=ADDED_LATER)
    warmup: float = field(default=0.0, metadata=ADDED_LATER)
    plateau_factor: float = field(default=0.1, metadata=ADDED_LATER)
    plateau_epochs: int = field(default=5, metadata=ADDED_LATER)
    accumulate: int = field(default=1, metadata=ADDED_LATER)
    precision: str = field(default="float32", metadata=ADDED_LATER)
    round: tuple[int, ...] = field(default=(), metadata=ADDED_LATER)

    def __post_init__(self) -> None:
        object.__setattr__(self, "seeds", _seeds(self.seeds))
        if not isinstance(self.task_weights, list | tuple):
            raise BadCall(f"task_weights must be a list of numbers, not {self.task_weights!r}")
        weights = tuple(number("each of task_weights", w) for w in self.task_weights)
        object.__setattr__(self, "task_weights", weights)
        object.__setattr__(self, "classes", _names(self.classes))
        for known in fields(self):  # 1 and 1.0 are the same setting: the same fingerprint
            if known.type == "float":
                value = number(known.name, getattr(self, known.name))
                object.__setattr__(self, known.name, value)
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise unknown(name, str(getattr(self, name)), choices)
        for name in ("epochs", "patience", "batch_size", "accumulate", "plateau_epochs"):
            _whole(name, getattr(self, name))
        self._check_ranges()
        self._forget()

    @property
    def stackable(self) -> bool:
        """Whether seeds may run side by side: not where each has a learning rate of its own."""
        return self.schedule != "plateau"

    def _check_ranges(self) -> None:
        if isinstance(self.length, str):
            if self.length not in LENGTHS:
                raise unknown("length (or a number of rows)", self.length, LENGTHS)
        else:
            _whole("length", self.length)
        if not self.lr > 0:
            raise BadCall(f"lr must be greater than 0, not {self.lr!r}")
        for name in ("weight_decay", "clip", "length_factor"):
            if not getattr(self, name) >= 0:
                raise BadCall(f"{name} must be at least 0, not {getattr(self, name)!r}")
        if any(not weight >= 0 for weight in self.task_weights):
            raise BadCall(f"task_weights must be at least 0, not {self.task_weights!r}")
        for name, value in (("warmup", self.warmup), ("plateau_factor", self.plateau_factor)):
            if not 0 <= value < 1:
                raise BadCall(f"{name} must lie in [0, 1), not {value!r}")
        if type(self.multilabel) is not bool:
            raise BadCall(f"multilabel must be true or false, not {self.multilabel!r}")

    def _forget(self) -> None:
        """Settings that change nothing beside others have their defaults: one fingerprint."""
        idle = [] if self.length == "fmlmsn" else ["length_factor"]
        idle += [] if self.schedule == "plateau" else ["plateau_factor", "plateau_epochs"]
        for name in idle:
            object.__setattr__(self, name, getattr(type(self), name))


def primary_task(tasks: tuple[str, ...] | list[str]) -> str:
    """The task whose validation error stops a fit: ``M`` where it is among them, else the last."""
    return "M" if "M" in tasks else tasks[-1]


def label_columns(training: Training, tasks: Sequence[str]) -> dict[str, str]:
    """Label column that each task is trained on: its own, or ``M`` for all (FmlMSN-m).

    A task of classes, and one whose labels a node has made, has its own in any case.
    """
    own = training.labels == "own"
    follows = () if own else (*SENTIMENT, *DIMENSIONS)
    return {task: "M" if task in follows else task for task in tasks}


def task_faults(training: Training, tasks: Sequence[str]) -> list[str]:
    """What of the settings does not go with the tasks of a fit, a sentence each; empty: all does.

    Settings of classes on a fit without a task of classes would change nothing of it and have it
    trained anew, under a fingerprint of its own.
    """
    faults = []
    n = len(training.task_weights)
    if n and n != len(tasks):
        faults.append(f"{n} task_weights do not fit {len(tasks)} tasks [{', '.join(tasks)}]")
    if training.emotions != "own" and "emotion" not in tasks:
        faults.append(
            f"emotions: {training.emotions}: for the task 'emotion', which this fit has not: its "
            f"tasks are [{', '.join(tasks)}]. Leave that out"
        )
    given = [name for name in OF_CLASSES if getattr(training, name) != getattr(Training, name)]
    idle = given if not set(tasks) & set(CLASSES) else []
    if POLARITY in tasks and "emotion" not in tasks:  # its classes are known, one an utterance
        idle = [name for name in given if name != "class_weights"]
    if idle:
        faults.append(
            f"{', '.join(idle)}: for tasks of classes (emotion), of which this fit has none: its "
            f"tasks are [{', '.join(tasks)}]. Leave that out"
        )
    return faults


def number(what: str, value: object) -> float:
    """A finite number as float.

    Raises:
        BadCall: it is something else; ``1e-3`` in YAML 1.1 is a text, ``1.0e-3`` a number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadCall(f"{what} must be a finite number, not {value!r}")
    return float(value)


def _seeds(value: object) -> tuple[int, ...]:
    if isinstance(value, int) and not isinstance(value, bool):
        seeds: tuple[int, ...] = tuple(range(value))
    elif isinstance(value, list | tuple):
        seeds = tuple(value)
    else:
        raise BadCall(f"seeds must be a number or a list of whole numbers, not {value!r}")
    if not seeds or any(type(seed) is not int or seed < 0 for seed in seeds):
        raise BadCall(f"seeds must be one or more whole numbers from 0, not {value!r}")
    if len(set(seeds)) < len(seeds):
        raise BadCall(f"seeds must differ from each other, got {list(seeds)}")
    return seeds


def _names(value: object) -> tuple[str, ...]:
    """Names of classes.

    Raises:
        BadCall: they are none, or one stands there twice.
    """
    if not isinstance(value, list | tuple) or any(type(v) is not str or not v for v in value):
        raise BadCall(f"classes must be a list of names, not {value!r}")
    if len(set(value)) < len(value) or NO_CLASS in value:
        raise BadCall(
            f"classes must differ from each other and from '{NO_CLASS}' (labelled, and none of "
            f"them), got {list(value)}"
        )
    return tuple(value)


def _whole(name: str, value: object) -> None:
    if type(value) is not int or value < 1:
        raise BadCall(f"{name} must be a whole number of at least 1, not {value!r}")
