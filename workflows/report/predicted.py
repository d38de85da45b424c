"""What a fit predicted, as figures need it: confusions, residuals, missing modalities."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...cache.records import Array
from ...train.metrics import SIMS_3, SIMS_5, mosi_classes, sims_bins
from ...train.settings.base import LETTERS
from ..fit_view import FitView, labelled

#: Shares of the residuals below each mark of a box.
MARKS = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Scale:
    """A metric's classes: their names, and the number of each value's class."""

    metric: str
    names: tuple[str, ...]
    place: Callable[[Array], Array]


@dataclass(frozen=True, eq=False)
class Confusion:
    """How often each true class (rows) was taken for each (columns), mean over seeds."""

    metric: str
    names: tuple[str, ...]
    counts: Array


@dataclass(frozen=True)
class Bin:
    """Residuals (prediction less truth, mean over seeds) of the labels of one class.

    ``marks`` are their 5, 25, 50, 75 and 95 % quantiles.
    """

    name: str
    n: int
    marks: tuple[float, ...]


def _whole(limit: int) -> tuple[tuple[str, ...], Callable[[Array], Array]]:
    names = tuple(f"{v:+d}".replace("-", "−") if v else "0" for v in range(-limit, limit + 1))
    return names, lambda v: (mosi_classes(v, limit) + limit).astype(np.int64)


def _edges(edges: tuple[float, ...]) -> tuple[str, ...]:
    """Names of bins by their upper edges, the last by its lower one."""
    names = [*(f"≤ {edge:g}" for edge in edges), f"> {edges[-1]:g}"]
    return tuple(name.replace("-", "−") for name in names)


def _sign(split: str) -> Callable[[Array], Array]:
    above = np.greater if split == "> 0" else np.greater_equal
    return lambda v: above(v, 0).astype(np.int64)


#: Classes of each family's accuracies, coarse ones first; see ``train.metrics``.
SCALES = {
    "sims": (
        Scale("Acc2", ("≤ 0", "> 0"), _sign("> 0")),
        Scale("Acc3", _edges(SIMS_3), lambda v: sims_bins(v, SIMS_3)),
        Scale("Acc5", _edges(SIMS_5), lambda v: sims_bins(v, SIMS_5)),
    ),
    "mosi": (
        Scale("Acc2_has0", ("< 0", "≥ 0"), _sign("≥ 0")),
        Scale("Acc5", *_whole(2)),
        Scale("Acc7", *_whole(3)),
    ),
    "mag": (
        Scale("Acc2", ("< 0", "≥ 0"), _sign("≥ 0")),
        Scale("Acc7", *_whole(3)),
    ),
}


@dataclass(frozen=True, eq=False)
class Predicted:
    """Labelled utterances of one split: predictions (S, n, size) and truth (n, size), float32."""

    fit: FitView
    task: str
    p: Array
    y: Array

    @property
    def scales(self) -> tuple[Scale, ...]:
        """The classes by which its labels are scored; none for dimensions of affect."""
        if not self.fit.target(self.task).is_sentiment:
            return ()
        return SCALES[self.fit.family]


def predicted(fit: FitView, task: str, split: str = "test") -> Predicted | None:
    """What a fit predicted; None where there are no predictions or labels.

    Of the family ``mag``, utterances whose label is 0 are left out, as in its metrics.
    """
    table = fit.checkpoint.predictions()
    if table is None or not fit.metrics(task, split):
        return None
    _, p, y = labelled(table, fit.target(task), split)
    p, y = p.astype(np.float32), y.astype(np.float32)
    kept = np.ones(len(y), bool)
    if fit.family == "mag" and fit.target(task).is_sentiment:
        kept = y[:, 0] != 0
    return Predicted(fit, task, p[:, kept], y[kept]) if kept.any() else None


def confusions(found: Predicted) -> list[Confusion]:
    """One for each accuracy of sentiment, or one of classes; none for dimensions."""
    target = found.fit.target(found.task)
    if target.kind == "class":
        guess, true = found.p.argmax(axis=2), found.y.argmax(axis=1)
        return [Confusion("Acc", target.names, _counts(guess, true, target.size))]
    return [
        Confusion(
            scale.metric,
            scale.names,
            _counts(scale.place(found.p[..., 0]), scale.place(found.y[:, 0]), len(scale.names)),
        )
        for scale in found.scales
    ]


def _counts(guess: Array, true: Array, n: int) -> Array:
    """Mean over seeds of the confusion matrix, (n, n) float64, of guesses (S, rows)."""
    counts: Array = np.bincount((true * n + guess).ravel(), minlength=n * n).reshape(n, n)
    return counts / len(guess)


def residuals(found: Predicted) -> list[Bin]:
    """Residuals by the finest classes of the true labels; those without a label are left out."""
    if not found.scales:
        return []
    scale, y = found.scales[-1], found.y[:, 0]
    apart = found.p[..., 0].mean(axis=0) - y
    places = scale.place(y)
    return [
        Bin(name, int(own.sum()), tuple(float(q) for q in np.quantile(apart[own], MARKS)))
        for k, name in enumerate(scale.names)
        if (own := places == k).any()
    ]


def without(fit: FitView, task: str, metric: str) -> list[tuple[str, float, float]]:
    """Score with only some inputs there, then with all: what is there, mean, deviation (or NaN)."""
    rows = []
    absent = fit.checkpoint.meta.get("absent", {})
    for subset in sorted(absent, key=_small_first):
        score = absent[subset].get(task, {}).get(metric)
        if score is not None:
            rows.append((subset, *(_number(score[part]) for part in ("mean", "std"))))
    if rows:
        whole = fit.spread(task, metric)
        rows.append(("all", whole.mean, whole.std))
    return rows


def _small_first(subset: str) -> tuple[int, list[int], str]:
    """T, A, V, TA, TV, AV; names of inputs (``a+b``) by their number, then by themselves."""
    letters = list(LETTERS.values())
    if set(subset) <= set(letters):
        return len(subset), [letters.index(letter) for letter in subset], ""
    return subset.count("+") + 1, [], subset


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def shares(counts: Sequence[Sequence[float]]) -> list[list[float]]:
    """Each row as shares of its sum; zeros where a class has no utterance."""
    return [[v / (sum(row) or 1) for v in row] for row in counts]
