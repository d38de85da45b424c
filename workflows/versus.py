"""What a difference between two models means: its interval, its tests, and whether it is marked.

Two models are compared on the errors that they make on the same utterances, averaged over each
model's seeds first. Utterances of one video are not independent: the test that marks a difference
flips the signs of whole videos, and intervals draw whole videos. A paired t-test and a permutation
test over utterances stand beside it and mark nothing. The seeds of two models are no pairs: Welch's
test compares their scores over seeds, separately.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..cache.records import Array
from ..train.compare import Spread, holm, paired_t, spread, welch
from ..train.resample import bootstrap_scores, interval, permutations
from ..train.tallies import Tally

LEVEL = 0.05


@dataclass(frozen=True)
class Versus:
    """One model against the reference by one metric; ``difference`` is its score minus theirs.

    Args:
        difference: of the means over seeds.
        low, high: 95 % bootstrap interval of it, both scored on the same drawn utterances; not
            adjusted for the number of tests.
        t, p_t: paired t-test on the utterances' errors; NaN where the metric is no mean over
            utterances (a correlation, F1), or all differences are equal.
        p_permutation: permutation test on the same errors over utterances. Like ``p_t`` it takes
            those of one video for independent.
        p_groups: permutation test on the same errors that flips whole videos; NaN where the metric
            is no mean over utterances.
        p_holm: ``p_groups``, adjusted for all the tests of the table.
        p_welch: Welch's test on the scores over seeds.
    """

    difference: float
    low: float
    high: float
    t: float
    p_t: float
    p_permutation: float
    p_groups: float
    p_welch: float
    p_holm: float = math.nan

    @property
    def differs(self) -> bool:
        """Adjusted p below the level; and an interval without 0, so that no mark belies it."""
        return self.p_holm < LEVEL and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class Cell:
    """One model's score by one metric: seeds, and the interval over utterances (95 %)."""

    over_seeds: Spread
    low: float
    high: float
    versus: Versus | None = None


def cells_of(
    found: Mapping[str, Mapping[str, Tally]],
    reference: str,
    drawn: Array,
    flipped: Array,
    draws: int,
    seed: int,
) -> dict[str, dict[str, Cell]]:
    """Scores and intervals of every model, all on the same drawn samples; then the tests.

    Args:
        found: label -> metric -> score as a function of sums, all over the same n utterances.
        reference: label of the model that the others are compared with.
        drawn: (n,) number of each utterance's group, whole ones of which the bootstrap draws.
        flipped: (n,) the same of the groups whose signs are flipped: within one, utterances need
            not be independent.
        draws: samples of the bootstrap, and of the permutation tests.
        seed: of these.
    """
    generator = np.random.default_rng(seed)
    places = [(label, metric) for label, row in found.items() for metric in row]
    samples = bootstrap_scores([found[label][m] for label, m in places], drawn, draws, generator)
    by_place = dict(zip(places, samples, strict=True))
    p = _permuted(found, reference, flipped, draws, generator)
    cells: dict[str, dict[str, Cell]] = {label: {} for label in found}
    for label, metric in places:
        scores = found[label][metric].scores
        cell = Cell(spread([float(v) for v in scores]), *interval(by_place[label, metric]))
        if label != reference:
            apart = by_place[label, metric] - by_place[reference, metric]
            ours, theirs = found[label][metric], found[reference][metric]
            both = p.get((label, metric), (math.nan, math.nan))
            cell = replace(cell, versus=_versus(ours, theirs, apart, *both))
        cells[label][metric] = cell
    return _adjusted(cells)


def _permuted(
    found: Mapping[str, Mapping[str, Tally]],
    reference: str,
    flipped: Array,
    draws: int,
    generator: np.random.Generator,
) -> dict[tuple[str, str], tuple[float, float]]:
    """Two p, over utterances and over groups, of each model and metric that is a mean of errors."""
    deltas = {
        (label, metric): tally.errors - theirs
        for label, row in found.items()
        if label != reference
        for metric, tally in row.items()
        if tally.errors is not None
        and (theirs := found[reference][metric].errors) is not None
        and np.isfinite(tally.errors).any()
    }
    if not deltas:
        return {}
    table = np.stack(list(deltas.values()), axis=1)  # (n, tests)
    p = one_by_one = permutations(table, draws, generator)
    if int(flipped.max()) + 1 < len(flipped):
        p = permutations(table, draws, generator, flipped)
    both = zip(one_by_one, p, strict=True)
    return {place: (float(a), float(b)) for place, (a, b) in zip(deltas, both, strict=True)}


def _versus(
    ours: Tally, theirs: Tally, apart: Array, p_permutation: float, p_groups: float
) -> Versus:
    a, b = ours.scores, theirs.scores
    t = p_t = math.nan
    if ours.errors is not None and theirs.errors is not None:
        delta = ours.errors - theirs.errors
        delta = delta[np.isfinite(delta)]
        if len(delta) > 1:
            t, p_t = paired_t(delta)
    p_welch = welch([float(v) for v in a], [float(v) for v in b])[1]
    low, high = interval(apart)
    return Versus(float(a.mean() - b.mean()), low, high, t, p_t, p_permutation, p_groups, p_welch)


def _adjusted(cells: Mapping[str, Mapping[str, Cell]]) -> dict[str, dict[str, Cell]]:
    """With Holm's p over all tests of the table."""
    versus = [c.versus for row in cells.values() for c in row.values() if c.versus]
    adjusted = iter(holm([one.p_groups for one in versus]))
    return {
        label: {
            metric: replace(cell, versus=replace(cell.versus, p_holm=next(adjusted)))
            if cell.versus
            else cell
            for metric, cell in row.items()
        }
        for label, row in cells.items()
    }
