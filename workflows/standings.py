"""Models compared on the same utterances: scores, their spread, and what the differences mean."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..cache.errors import unknown
from ..cache.folds import video_of
from ..cache.records import Array
from ..train.metrics import SMALLER_IS_BETTER
from ..train.resample import exact, group_numbers, smallest_p
from ..train.tallies import Tally, tallies
from .fit_view import better
from .systems import System, check_comparable, find_systems
from .versus import LEVEL, Cell, Versus, cells_of

DRAWS, SEED = 10_000, 0
#: The bootstrap draws whole groups where there are at least so many, else utterances.
FEWEST = 8


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
        flipped: how many groups of them the test that marks flipped.
        draws: of bootstrap and permutation tests.
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
    flipped: int
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
        return sum(math.isfinite(one.p_groups) for one in self.all_versus())

    @property
    def scale(self) -> str:
        """Where the metrics' definitions come from."""
        fit = self.systems[0].fit
        names = fit.target(self.task).names
        return f"the classes {', '.join(names)}" if names else f"'{fit.family}'"

    def tested(self, metric: str) -> bool:
        """Whether the metric is a mean over utterances, so that there is a paired test."""
        return any(
            math.isfinite(cell.versus.p_groups)
            for row in self.cells.values()
            if (cell := row[metric]).versus
        )

    @property
    def drawn(self) -> str:
        """What the bootstrap drew."""
        return self._whole(self.groups)

    @property
    def flips(self) -> str:
        """What the test that marks flipped, and in how many ways."""
        every = exact(self.flipped, self.draws)
        ways = f"all {2**self.flipped:,} ways" if every else f"{self.draws:,} draws"
        return f"{self._whole(self.flipped)} ({ways})"

    def _whole(self, groups: int) -> str:
        if groups == self.n:
            return "utterances"
        return f"{groups:,} whole video{'' if groups == 1 else 's'}"

    @property
    def can_mark(self) -> bool:
        """Whether the smallest p that there can be is below the level, once it is adjusted."""
        return smallest_p(self.flipped, self.draws) * self.n_tests < LEVEL

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
        return better(metric, [row[metric].over_seeds.mean for row in self.cells.values()])


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
    parts = {name for system in systems for name in system.run.parts}
    drawn, flipped = video_numbers(ids, parts), video_numbers(ids, parts, least=1)
    return Standings(
        systems,
        task,
        split,
        against,
        not reference,
        cells_of(found, against, drawn, flipped, draws, seed),
        len(ids),
        int(drawn.max()) + 1,
        int(flipped.max()) + 1,
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


def video_numbers(ids: Sequence[str], parts: Collection[str] = (), least: int = FEWEST) -> Array:
    """Number of each utterance's video, (n,); each is its own where there are fewer videos.

    Args:
        ids: of the utterances.
        parts: names of the joined corpora that they are from, if any.
        least: videos.
    """
    return group_numbers([video_of(one, parts) for one in ids], least)


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
