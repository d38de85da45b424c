"""Models compared on the same utterances: scores, their spread, and what the differences mean.

What is paired with what: two models are compared on the errors that they make on the same
utterances, averaged over each model's seeds first (paired t-test, permutation test, bootstrap). The
seeds of two models are no pairs: Welch's test compares their scores over seeds, separately. The
tests' p-values take utterances for independent; the bootstrap draws whole videos.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..cache.errors import unknown
from ..cache.records import Array
from ..train.compare import Spread, holm, paired_t, spread, welch
from ..train.metrics import SMALLER_IS_BETTER
from ..train.resample import bootstrap_scores, interval, permutations
from ..train.tallies import Tally, tallies
from .systems import System, check_comparable, find_systems

DRAWS, SEED, LEVEL = 10_000, 0, 0.05
#: Whole videos are drawn where there are at least so many, else utterances.
VIDEOS = 8


@dataclass(frozen=True)
class Versus:
    """One model against the reference by one metric; ``difference`` is its score minus theirs.

    Args:
        difference: of the means over seeds.
        low, high: 95 % bootstrap interval of it, both scored on the same drawn utterances.
        t, p_t: paired t-test on the utterances' errors; NaN where the metric is no mean over
            utterances (a correlation, F1), or all differences are equal.
        p_permutation: permutation test on the same errors; like ``p_t``, of utterances as if those
            of one video were independent, while the interval is of whole videos.
        p_holm: ``p_t``, adjusted for all the tests of the table.
        p_welch: Welch's test on the scores over seeds.
    """

    difference: float
    low: float
    high: float
    t: float
    p_t: float
    p_permutation: float
    p_welch: float
    p_holm: float = math.nan

    @property
    def differs(self) -> bool:
        """Adjusted p below the level, and an interval without 0."""
        return self.p_holm < LEVEL and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class Cell:
    """One model's score by one metric: seeds, and the interval over utterances (95 %)."""

    over_seeds: Spread
    low: float
    high: float
    versus: Versus | None = None


@dataclass(frozen=True, eq=False)
class Standings:
    """All models of a comparison.

    Args:
        systems: in order; their labels name the rows.
        task: compared on.
        split: compared on.
        reference: label of the model that the others are compared with.
        chosen: whether validation chose the reference; otherwise the caller did.
        cells: label -> metric -> score.
        n: labelled utterances.
        groups: how many groups of them the bootstrap drew.
        draws: of bootstrap and permutation test.
        seed: of these.
        notes: what else differs between the models.
    """

    systems: Sequence[System]
    task: str
    split: str
    reference: str
    chosen: bool
    cells: Mapping[str, Mapping[str, Cell]]
    n: int
    groups: int
    draws: int
    seed: int
    notes: Sequence[str]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self.cells[self.reference])

    @property
    def n_tests(self) -> int:
        """Tests that the adjusted p-values are adjusted for."""
        return sum(math.isfinite(one.p_t) for one in self.all_versus())

    @property
    def scale(self) -> str:
        """Where the metrics' definitions come from."""
        fit = self.systems[0].fit
        names = fit.target(self.task).names
        return f"the classes {', '.join(names)}" if names else f"'{fit.family}'"

    def tested(self, metric: str) -> bool:
        """Whether the metric is a mean over utterances, so that there is a paired test."""
        return any(
            math.isfinite(cell.versus.p_t)
            for row in self.cells.values()
            if (cell := row[metric]).versus
        )

    @property
    def drawn(self) -> str:
        """What the bootstrap drew."""
        return "utterances" if self.groups == self.n else f"{self.groups} whole videos"

    @property
    def seeds(self) -> str:
        """How many seeds each model has: ``5``, or ``1 to 5``."""
        counts = [len(system.fit.seeds) for system in self.systems]
        low, high = min(counts), max(counts)
        return str(low) if low == high else f"{low} to {high}"

    def all_versus(self) -> list[Versus]:
        """Every comparison with the reference."""
        return [c.versus for row in self.cells.values() for c in row.values() if c.versus]

    def best(self, metric: str) -> float:
        """The best mean of a column; NaN where none is defined."""
        means = [row[metric].over_seeds.mean for row in self.cells.values()]
        known = [mean for mean in means if math.isfinite(mean)] or [math.nan]
        return min(known) if metric in SMALLER_IS_BETTER else max(known)


def compare_runs(
    words: Sequence[str],
    cache: Path,
    task: str = "",
    split: str = "test",
    reference: str = "",
    metrics: Sequence[str] = (),
    draws: int = DRAWS,
    seed: int = SEED,
) -> Standings:
    """Compare the models of runs; see ``find_systems`` for the words.

    Args:
        words: runs, or models of them.
        cache: folder of the feature store.
        task: on which; empty: ``M``, or what they have in common.
        split: on which.
        reference: label of the model that the others are compared with; empty: the one with the
            best validation score, so that the split compared on has no say in it.
        metrics: only these, in this order; empty: all but those weighted by the prediction. How
            many there are decides how many tests the p-values are adjusted for.
        draws: samples of the bootstrap and of the permutation test.
        seed: of these.

    Raises:
        BadCall: a word that names no run, several or none of its models; an unknown reference or
            metric.
        BadInput: the models may not be compared.
    """
    task, systems = find_systems(words, cache, task, split)
    notes = check_comparable(systems, task, split)
    labels = [system.label for system in systems]
    if reference and reference not in labels:
        raise unknown("model of this comparison", reference, labels)
    against = reference or best_on_validation(systems, task)
    found = _tallies(systems, task, split, metrics)
    ids = systems[0].predicted(task, split)[0]
    group = video_numbers(ids)
    return Standings(
        systems,
        task,
        split,
        against,
        not reference,
        _cells(found, against, group, draws, seed),
        len(ids),
        int(group.max()) + 1,
        draws,
        seed,
        notes,
    )


def best_on_validation(systems: Sequence[System], task: str) -> str:
    """Label of the model with the best first metric of the task on the validation split."""

    def rank(system: System) -> float:
        metrics = system.fit.metrics(task, "valid")
        if not metrics:
            return math.inf
        mean = system.fit.spread(task, metrics[0], "valid").mean
        return mean if metrics[0] in SMALLER_IS_BETTER else -mean

    ranks = [rank(system) for system in systems]
    return systems[int(np.nanargmin([r if math.isfinite(r) else np.inf for r in ranks]))].label


def video_numbers(ids: Sequence[str]) -> Array:
    """Number of each utterance's video (the part of its id before the last slash), (n,).

    Each is a group of its own where there are too few videos, or ids do not say.
    """
    videos = [name.rpartition("/")[0] for name in ids]
    if "" in videos or len(Counter(videos)) < VIDEOS:
        return np.arange(len(ids))
    numbers: Array = np.unique(videos, return_inverse=True)[1]
    return numbers


def _tallies(
    systems: Sequence[System], task: str, split: str, metrics: Sequence[str]
) -> dict[str, dict[str, Tally]]:
    found = {}
    for system in systems:
        _, p, y = system.predicted(task, split)
        every = tallies(system.fit.target(task), system.fit.family, p, y)
        for name in metrics:
            if name not in every:
                raise unknown(f"metric of task '{task}'", name, every)
        wanted = metrics or [name for name in every if "predweighted" not in name]
        found[system.label] = {name: every[name] for name in wanted}
    return found


def _cells(
    found: Mapping[str, Mapping[str, Tally]], reference: str, group: Array, draws: int, seed: int
) -> dict[str, dict[str, Cell]]:
    """Scores and intervals of every model, all on the same drawn samples; then the tests."""
    generator = np.random.default_rng(seed)
    places = [(label, metric) for label, row in found.items() for metric in row]
    drawn = bootstrap_scores([found[label][m] for label, m in places], group, draws, generator)
    by_place = dict(zip(places, drawn, strict=True))
    p_permutation = _permuted(found, reference, draws, generator)
    cells: dict[str, dict[str, Cell]] = {label: {} for label in found}
    for label, metric in places:
        scores = found[label][metric].scores
        cell = Cell(spread([float(v) for v in scores]), *interval(by_place[label, metric]))
        if label != reference:
            apart = by_place[label, metric] - by_place[reference, metric]
            ours, theirs = found[label][metric], found[reference][metric]
            p = p_permutation.get((label, metric), math.nan)
            cell = replace(cell, versus=_versus(ours, theirs, apart, p))
        cells[label][metric] = cell
    return _adjusted(cells)


def _permuted(
    found: Mapping[str, Mapping[str, Tally]],
    reference: str,
    draws: int,
    generator: np.random.Generator,
) -> dict[tuple[str, str], float]:
    """Permutation test (p) of each model and metric that is a mean over utterances."""
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
    p = permutations(np.stack(list(deltas.values()), axis=1), draws, generator)
    return {place: float(value) for place, value in zip(deltas, p, strict=True)}


def _versus(ours: Tally, theirs: Tally, apart: Array, p_permutation: float) -> Versus:
    a, b = ours.scores, theirs.scores
    t = p_t = math.nan
    if ours.errors is not None and theirs.errors is not None:
        delta = ours.errors - theirs.errors
        delta = delta[np.isfinite(delta)]
        if len(delta) > 1:
            t, p_t = paired_t(delta)
    p_welch = welch([float(v) for v in a], [float(v) for v in b])[1]
    low, high = interval(apart)
    return Versus(float(a.mean() - b.mean()), low, high, t, p_t, p_permutation, p_welch)


def _adjusted(cells: Mapping[str, Mapping[str, Cell]]) -> dict[str, dict[str, Cell]]:
    """With Holm's p over all tests of the table."""
    versus = [c.versus for row in cells.values() for c in row.values() if c.versus]
    adjusted = iter(holm([one.p_t for one in versus]))
    return {
        label: {
            metric: replace(cell, versus=replace(cell.versus, p_holm=next(adjusted)))
            if cell.versus
            else cell
            for metric, cell in row.items()
        }
        for label, row in cells.items()
    }
