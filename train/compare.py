"""Spread over seeds, and whether one run beats another.

Two runs are compared on the same utterances: absolute errors averaged over each run's seeds.
Utterances of one video or speaker are not independent, so what is called a difference rests on a
permutation test that flips the signs of whole groups, and intervals draw whole groups. A paired
t-test and a permutation test over utterances stand beside it; their p is too small where groups
matter. The seeds of two runs are no pairs, so their scores are compared by Welch's test,
separately. Where many are compared, Holm's correction of p-values that hold keeps the chance of a
single false finding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..cache.errors import BadInput
from .resample import bootstrap, group_numbers, permutation

if TYPE_CHECKING:
    import pandas as pd

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (ddof = 1; NaN for one seed) of a score over n seeds."""

    mean: float
    std: float
    n: int


def spread(scores: Sequence[float]) -> Spread:
    """Mean and standard deviation over seeds; NaN where a seed's score is undefined."""
    values = np.asarray(scores, np.float64)
    if not len(values):
        raise BadInput("a mean over seeds needs at least one score")
    std = float(values.std(ddof=1)) if len(values) > 1 else math.nan
    return Spread(float(values.mean()), std, len(values))


@dataclass(frozen=True)
class Comparison:
    """Run a against run b on the utterances that both scored; a negative difference: a is better.

    Args:
        n: utterances compared.
        difference: mean of |error of a| - |error of b|.
        low, high: 95 % bootstrap interval of it.
        t, p_t: paired t-test over utterances, two-sided; NaN where all differences are equal.
        p_permutation: permutation test over utterances, two-sided. Like ``p_t`` it takes those of
            one group for independent.
        p_groups: permutation test that flips whole groups, two-sided; findings rest on it.
        groups: how many the bootstrap drew: utterances, or whole groups such as speakers.
        flipped: how many ``p_groups`` flipped.
    """

    n: int
    difference: float
    low: float
    high: float
    t: float
    p_t: float
    p_permutation: float
    p_groups: float
    groups: int
    flipped: int


def utterance_errors(predictions: pd.DataFrame, task: str, split: str = "test") -> pd.Series:
    """Mean over seeds of |prediction - truth| of each labelled utterance, by its id."""
    rows = predictions[(predictions["task"] == task) & (predictions["split"] == split)]
    rows = rows[np.isfinite(rows["truth"])]
    errors: pd.Series = (rows["prediction"] - rows["truth"]).abs().groupby(rows["id"]).mean()
    return errors


def compare(
    a: pd.DataFrame,
    b: pd.DataFrame,
    task: str,
    split: str = "test",
    groups: pd.Series | None = None,
    least: int = 1,
    draws: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """Compare two runs' predictions (columns id, split, seed, task, truth, prediction).

    Args:
        a: one run's predictions.
        b: the other's.
        task: task to compare.
        split: split to compare on.
        groups: group of each utterance id (speaker, video): whole groups are flipped and drawn,
            as utterances of one speaker are not independent. None: utterances.
        least: fewer groups are not drawn by the bootstrap, but utterances are; they are flipped.
        draws: permutations and bootstrap samples.
        seed: of those.

    Raises:
        BadInput: the runs have fewer than two labelled utterances in common.
    """
    errors_a, errors_b = utterance_errors(a, task, split), utterance_errors(b, task, split)
    common = errors_a.index.intersection(errors_b.index).sort_values()
    if len(common) < 2:
        raise BadInput(
            f"two runs need two labelled utterances of split '{split}', task '{task}' in common, "
            f"got {len(common)}"
        )
    delta = errors_a[common].to_numpy(float) - errors_b[common].to_numpy(float)
    names = common.to_numpy() if groups is None else groups[common].to_numpy()
    drawn, flipped = group_numbers(names, least), group_numbers(names)
    generator = np.random.default_rng(seed)
    low, high = bootstrap(delta, drawn, draws, generator)
    t, p_t = paired_t(delta)
    p_permutation = permutation(delta, draws, generator)
    n_flipped = int(flipped.max()) + 1
    return Comparison(
        n=len(delta),
        difference=float(delta.mean()),
        low=low,
        high=high,
        t=t,
        p_t=p_t,
        p_permutation=p_permutation,
        p_groups=permutation(delta, draws, generator, flipped)
        if n_flipped < len(delta)
        else p_permutation,
        groups=int(drawn.max()) + 1,
        flipped=n_flipped,
    )


def paired_t(delta: Array) -> tuple[float, float]:
    """Student's t and two-sided p of the mean of paired differences (n,), n - 1 degrees."""
    from scipy import special

    n, deviation = len(delta), delta.std(ddof=1)
    if np.ptp(delta) == 0:
        return math.nan, math.nan
    t = float(delta.mean() / (deviation / math.sqrt(n)))
    return t, float(2 * special.stdtr(n - 1, -abs(t)))


def welch(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    """Welch's t and two-sided p of two runs' scores over seeds; NaN where it is undefined.

    Source:
        Welch (1947), Biometrika 34; unequal variances, Welch-Satterthwaite degrees of freedom.
    """
    from scipy import special

    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if len(x) < 2 or len(y) < 2:
        return math.nan, math.nan
    u, v = x.var(ddof=1) / len(x), y.var(ddof=1) / len(y)
    if u + v == 0:
        return math.nan, math.nan
    degrees = (u + v) ** 2 / (u**2 / (len(x) - 1) + v**2 / (len(y) - 1))
    t = float((x.mean() - y.mean()) / math.sqrt(u + v))
    return t, float(2 * special.stdtr(degrees, -abs(t)))


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted p of each of several tests: below a level, so many are found with that risk in all.

    The chance that any of those found is none stays below the level, however the tests depend on
    each other. A test that is NaN was not made and does not count.

    Source:
        Holm (1979), "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian
        Journal of Statistics 6; adjusted values as in R's ``p.adjust``.
    """
    values = np.asarray(p, np.float64)
    order = np.argsort(values, kind="stable")  # NaN comes last
    m = int(np.isfinite(values).sum())
    made = values[order[:m]] * np.arange(m, 0, -1)
    adjusted = np.full(len(values), math.nan)
    adjusted[order[:m]] = np.minimum(np.maximum.accumulate(made), 1.0)
    return [float(value) for value in adjusted]
