"""The field's metrics: pure functions of predictions and truth, each with formula and source.

``p`` are predictions and ``y`` true labels, both one-dimensional and of one length. Both are
brought to float32 first and compared there: a label 0.4 that was stored in float32 would fall out
of [-0.4, 0.4] in float64. What is undefined (the correlation of a constant, an accuracy over no
rows) is NaN; values that are not finite are an error.

Which functions make up a corpus' scores is its family: ``sims``, ``mosi`` or ``mag``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..cache.errors import BadInput, unknown

Array = npt.NDArray[Any]
SIMS_3 = (-0.1, 0.1)
SIMS_5 = (-0.7, -0.1, 0.1, 0.7)
SIMS_WEAK = 0.4


def check(p: Array, y: Array) -> tuple[Array, Array]:
    """Both as float32 (n,).

    Raises:
        BadInput: the shapes differ, there are no rows, or values are not finite; says how many.
    """
    p, y = np.asarray(p, np.float32), np.asarray(y, np.float32)
    if p.ndim != 1 or p.shape != y.shape:
        raise BadInput(f"predictions {p.shape} and truth {y.shape} must be 1-D and of one length")
    check_rows(p, y)
    return p, y


def check_rows(p: Array, y: Array) -> None:
    """Refuse what cannot be scored; both are (n,) or (n, classes).

    Raises:
        BadInput: there are no rows, or values are not finite; says in how many.
    """
    if not len(p):
        raise BadInput("a metric needs at least one row, got none")
    bad_p, bad_y = (int((~np.isfinite(v.reshape(len(v), -1)).all(axis=1)).sum()) for v in (p, y))
    if bad_p or bad_y:
        raise BadInput(
            f"of {len(p)} rows, {bad_p} predictions and {bad_y} true labels are not finite; "
            f"leave out rows without a label before scoring"
        )


def mae(p: Array, y: Array) -> float:
    """Mean absolute error, mean |p - y|, in the labels' unit."""
    p, y = check(p, y)
    return float(np.mean(np.abs(p.astype(np.float64) - y)))


def corr(p: Array, y: Array) -> float:
    """Pearson's correlation in [-1, 1]; NaN where one side is constant."""
    p, y = check(p, y)
    a, b = p.astype(np.float64) - p.mean(dtype=np.float64), y - y.mean(dtype=np.float64)
    if np.ptp(p) == 0 or np.ptp(y) == 0:
        return float("nan")
    value = np.dot(a, b) / np.sqrt(np.dot(a, a) * np.dot(b, b))
    return float(np.clip(value, -1.0, 1.0))


def accuracy(p_class: Array, y_class: Array) -> float:
    """Share of equal classes, in [0, 1]; NaN over no rows."""
    return float(np.mean(p_class == y_class)) if len(y_class) else float("nan")


def weighted_f1(p_class: Array, y_class: Array) -> float:
    """F1 of each class, weighted by the class' share of the truth; NaN over no rows.

    F1 = 2 tp / (predicted + true), 0 where a class is never hit.

    Source:
        scikit-learn's ``f1_score(y, p, average="weighted")``. Tables that were made with swapped
        arguments are weighted by the prediction: ``weighted_f1(y_class, p_class)``.
    """
    if not len(y_class):
        return float("nan")
    total = 0.0
    for label in np.unique(y_class):
        true, predicted = y_class == label, p_class == label
        hits = np.sum(true & predicted)
        total += np.mean(true) * 2 * hits / (true.sum() + predicted.sum())
    return float(total)


def sims_bins(v: Array, edges: tuple[float, ...]) -> Array:
    """Class number of each value (n,): bins are (low, high], the outer ones open-ended.

    Source:
        CH-SIMS (Yu et al., 2020, ACL): Acc-3 has edges -0.1, 0.1; Acc-5 -0.7, -0.1, 0.1, 0.7.
    """
    v = np.clip(np.asarray(v, np.float32), np.float32(-1), np.float32(1))
    return np.searchsorted(np.asarray(edges, np.float32), v, side="left")


def mosi_classes(v: Array, limit: int) -> Array:
    """round(clip(v, -limit, limit)), half to even: 7 classes for limit 3, 5 for limit 2.

    Source:
        MulT (Tsai et al., 2019, ACL), ``multiclass_acc``.
    """
    v = np.asarray(v, np.float32)
    return np.round(np.clip(v, np.float32(-limit), np.float32(limit)))


def _both_f1(name: str, p_class: Array, y_class: Array) -> dict[str, float]:
    """F1 as scikit-learn defines it, and as tables with swapped arguments have it."""
    suffix = f"_{name}" if name else ""
    return {
        f"F1{suffix}": weighted_f1(p_class, y_class),
        f"F1_predweighted{suffix}": weighted_f1(y_class, p_class),
    }


def sims(p: Array, y: Array) -> dict[str, float]:
    """CH-SIMS and CH-SIMS v2: both sides are clipped to [-1, 1] first, for MAE and Corr too.

    Acc2 and F1: {<= 0} against {> 0}, neutral counts as negative. Acc3 and Acc5: ``sims_bins``.
    Acc2_weak: Acc2 on rows with y in [-0.4, 0.4].

    Source:
        Yu et al. (2020), ACL, "CH-SIMS"; Liu et al. (2022), ICMI, "Make Acoustic and Visual Cues
        Matter", for Acc2_weak.
    """
    p, y = (np.clip(v, np.float32(-1), np.float32(1)) for v in check(p, y))
    weak = np.abs(y) <= np.float32(SIMS_WEAK)
    return {
        "MAE": mae(p, y),
        "Corr": corr(p, y),
        "Acc2": accuracy(p > 0, y > 0),
        "Acc3": accuracy(sims_bins(p, SIMS_3), sims_bins(y, SIMS_3)),
        "Acc5": accuracy(sims_bins(p, SIMS_5), sims_bins(y, SIMS_5)),
        "Acc2_weak": accuracy(p[weak] > 0, y[weak] > 0),
        **_both_f1("", p > 0, y > 0),
    }


def mosi(p: Array, y: Array) -> dict[str, float]:
    """MOSI and MOSEI, labels in [-3, 3]; MAE and Corr unclipped.

    has0, negative / non-negative: (p >= 0) against (y >= 0), all rows. non0, negative / positive:
    rows with y != 0, (p > 0) against (y > 0).

    Source:
        MulT (Tsai et al., 2019, ACL) and Self-MM (Yu et al., 2021, AAAI), whose F1 has swapped
        arguments in older tables: ``F1_predweighted``.
    """
    p, y = check(p, y)
    kept = y != 0
    return {
        "MAE": mae(p, y),
        "Corr": corr(p, y),
        "Acc7": accuracy(mosi_classes(p, 3), mosi_classes(y, 3)),
        "Acc5": accuracy(mosi_classes(p, 2), mosi_classes(y, 2)),
        "Acc2_has0": accuracy(p >= 0, y >= 0),
        "Acc2_non0": accuracy(p[kept] > 0, y[kept] > 0),
        **_both_f1("has0", p >= 0, y >= 0),
        **_both_f1("non0", p[kept] > 0, y[kept] > 0),
    }


def mag(p: Array, y: Array) -> dict[str, float]:
    """MOSI and MOSEI as MAG-BERT scores them: rows with y = 0 are dropped before everything.

    Acc2 and F1: (p >= 0) against (y >= 0) on what is left; Acc7 as in ``mosi``, on the same rows.

    Source:
        MAG-BERT (Rahman et al., 2020, ACL). Hybrid attention networks follow it.
    """
    p, y = check(p, y)
    p, y = p[y != 0], y[y != 0]
    if not len(y):
        names = ("MAE", "Corr", "Acc7", "Acc2", "F1", "F1_predweighted")
        return dict.fromkeys(names, float("nan"))
    return {
        "MAE": mae(p, y),
        "Corr": corr(p, y),
        "Acc7": accuracy(mosi_classes(p, 3), mosi_classes(y, 3)),
        "Acc2": accuracy(p >= 0, y >= 0),
        **_both_f1("", p >= 0, y >= 0),
    }


FAMILIES: dict[str, Callable[[Array, Array], dict[str, float]]] = {
    "sims": sims,
    "mosi": mosi,
    "mag": mag,
}
#: Metrics of which a smaller value is the better one.
SMALLER_IS_BETTER = frozenset({"MAE"})


def scores(family: str, prediction: Array, truth: Array) -> dict[str, float]:
    """All metrics of a family, by name; accuracies and F1 in [0, 1].

    Raises:
        UnknownName: no such family.
        BadInput: shapes differ, there are no rows, or values are not finite.
    """
    if family not in FAMILIES:
        raise unknown("metric family", family, FAMILIES)
    return FAMILIES[family](prediction, truth)


def rows_seen(family: str, truth: Array) -> dict[str, int]:
    """How many of the rows each metric of a family looks at, by the metric's name."""
    y = np.asarray(truth, np.float32)
    seen = dict.fromkeys(scores(family, y, y), len(y))
    kept = int((y != 0).sum())
    for name in seen:
        if family == "mag" or name.endswith("non0"):
            seen[name] = kept
        elif name == "Acc2_weak":
            seen[name] = int((np.abs(y) <= np.float32(SIMS_WEAK)).sum())
    return seen
