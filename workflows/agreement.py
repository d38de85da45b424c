"""How well two columns of numbers agree: errors, and a correlation, of angles too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..cache.records import Array

#: Points a column's chart shows at most; of more rows, so many are taken at even distances.
POINTS = 400


@dataclass(frozen=True, eq=False)
class Agreement:
    """How well one column of A agrees with the column of the same name of B.

    Args:
        column: its name.
        circular: the values are angles in rad, and their difference is taken the shorter way.
        n: rows that were compared; those in which a value is not finite are left out.
        correlation: Pearson's, or the circular one of Jammalamadaka and SenGupta (2001), eq.
            8.2.2; NaN where a column is constant.
        median: median of |a - b|, in the column's unit.
        relative: median of |a - b| / |b| over rows in which b is not 0; NaN for angles.
        high: 99th percentile of |a - b|.
        most: largest |a - b|.
        points: (k, 2) of values a and b, for a chart.
        turned: not compared as an angle, but likely one: all values lie within -pi and pi, and
            some differ by more than pi.
    """

    column: str
    circular: bool
    n: int
    correlation: float
    median: float
    relative: float
    high: float
    most: float
    points: Array
    turned: bool = False


def agreement(column: str, circular: bool, a: Array, b: Array) -> Agreement:
    """How well values a (n,) of a column agree with b (n,); those not finite are left out."""
    real = np.isfinite(a) & np.isfinite(b)
    a, b = a[real], b[real]
    n = len(a)
    if not n:
        nothing = (np.nan,) * 5
        return Agreement(column, circular, 0, *nothing, np.empty((0, 2)))
    error = a - b
    if circular:
        error = np.angle(np.exp(1j * error))
    error = np.abs(error)
    most = float(error.max())
    turned = not circular and most > np.pi >= max(np.abs(a).max(), np.abs(b).max())
    correlation = _circular_correlation(a, b) if circular else _correlation(a, b)
    sized = b != 0
    relative = np.nan
    if sized.any() and not circular:
        relative = float(np.median(error[sized] / np.abs(b[sized])))
    shown = np.unique(np.linspace(0, n - 1, min(n, POINTS)).astype(np.int64))
    return Agreement(
        column,
        circular,
        n,
        correlation,
        float(np.median(error)),
        relative,
        float(np.quantile(error, 0.99)),
        most,
        np.stack([a, b], axis=1)[shown],
        turned,
    )


def _correlation(a: Array, b: Array) -> float:
    a, b = a - a.mean(), b - b.mean()
    return _cosine(a, b)


def _circular_correlation(a: Array, b: Array) -> float:
    a, b = (np.sin(x - np.angle(np.exp(1j * x).mean())) for x in (a, b))
    return _cosine(a, b)


def _cosine(a: Array, b: Array) -> float:
    size = np.linalg.norm(a) * np.linalg.norm(b)
    return float(np.clip(a @ b / size, -1, 1)) if size > 0 else float("nan")
