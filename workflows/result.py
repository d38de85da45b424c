"""What a run came to, and who hears of its progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..cache.corpus import Corpus
from ..cache.errors import NotCached
from ..cache.records import Array
from ..cache.runs import Failure, Warned, read_warnings
from ..cache.store import FeatureStore, Place
from ..cache.table import FeatureTable
from ..cache.validation import count
from .graph import Workflow
from .node_state import NodeState
from .nodes import Extract, Fit
from .recipe import Recipe
from .result_html import as_html
from .retrain_rule import Round
from .spending import Spent

if TYPE_CHECKING:
    import pandas as pd

    from .plan import Board
    from .score_tables import ScoreTable


class Reporter:
    """Hears how a run goes on; this one says nothing. The command line has one that draws."""

    def start(self, stage: str, total: int) -> None:
        """A stage with so many features (or files, or fits) to make begins."""

    def advance(self, stage: str, done: int, failed: int = 0) -> None:
        """So many more of a stage are done, so many have failed."""

    def working(self, node: str, words: str) -> None:
        """How a node stands while it is made, in words; may be called from another thread."""

    def note(self, text: str) -> None:
        """A line for people."""

    def event(self, name: str, facts: Mapping[str, Any]) -> None:
        """What happened, for programs: a name and plain JSON values."""


def staged(reporter: Reporter, stage: str) -> Callable[[int, int], None]:
    """A progress callback (done, total) that reports as one stage."""
    seen = 0

    def progress(done: int, total: int) -> None:
        nonlocal seen
        if not seen:
            reporter.start(stage, total)
        reporter.advance(stage, done - seen)
        seen = done

    return progress


@dataclass(frozen=True)
class WarningGroup:
    """One warning of a node, and the utterances that it was said of, in order of the corpus."""

    node: str
    message: str
    utterances: tuple[str, ...]


@dataclass(eq=False, repr=False)
class Run:
    """What a run came to.

    Args:
        id: name of its folder under ``runs/``: the same recipe on the same corpus has one id.
        recipe: what was run.
        corpus: on what.
        store: where the features are.
        states: what is known of each node at the end.
        board: where they were looked at, what failed here with them; None until the run begins.
        made: features (fits: checkpoints) made by node in this run.
        seconds: seconds of computing by node in this run, summed over workers.
        spent: bytes by node, the slowest utterances, and memory.
        errors: fits that could not be trained, by node.
        warnings: what is to be known of features that are stored, in order of nodes; made now or
            earlier.
        rounds: of retraining rules, in order; empty: there is none.
        changed: whether this run made or failed at anything that earlier ones had not.
    """

    id: str
    recipe: Recipe
    corpus: Corpus
    store: FeatureStore
    states: dict[str, NodeState] = field(default_factory=dict)
    board: Board | None = None
    made: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    spent: Spent = field(default_factory=Spent)
    errors: dict[str, str] = field(default_factory=dict)
    warnings: list[Warned] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    changed: bool = False

    @property
    def workflow(self) -> Workflow:
        """The graph."""
        return self.recipe.workflow

    @property
    def folder(self) -> Path:
        """Where the run's records and its report lie."""
        return Path(self.store.root) / "runs" / self.id

    @property
    def failures(self) -> list[Failure]:
        """Everything that failed, each at the node where it began."""
        return [
            failure
            for state in self.states.values()
            for failure in state.failed.values()
            if failure.error != "UpstreamFailed"
        ]

    @property
    def warning_groups(self) -> list[WarningGroup]:
        """Warnings by node and message, for people."""
        groups: dict[tuple[str, str], list[str]] = {}
        for warned in self.warnings:
            groups.setdefault((warned.node, warned.message), []).append(warned.utterance)
        return [WarningGroup(*named, tuple(ids)) for named, ids in groups.items()]

    @property
    def skipped(self) -> dict[str, str]:
        """Nodes that were not made because a fit could not be trained, and that fit."""
        found = {name: name for name in self.errors}
        for name, state in self.states.items():
            before = [found[one] for one in state.waits_for if one in found]
            if before and name not in found:
                found[name] = before[0]
        return {name: fit for name, fit in found.items() if name != fit}

    @property
    def n_features_made(self) -> int:
        """Features that this run made, over all nodes."""
        return sum(n for name, n in self.made.items() if not isinstance(self.workflow[name], Fit))

    @property
    def n_fits_made(self) -> int:
        """Models that this run trained."""
        return sum(n for name, n in self.made.items() if isinstance(self.workflow[name], Fit))

    @property
    def n_failures(self) -> int:
        """Features and fits that could not be made."""
        return len(self.failures) + len(self.errors)

    @property
    def ok(self) -> bool:
        """Nothing failed."""
        return not self.n_failures

    def __repr__(self) -> str:
        return (
            f"Run({self.id!r}: {count(len(self.workflow.nodes), 'node')}, made "
            f"{count(self.n_features_made, 'feature')} and {count(self.n_fits_made, 'model')}, "
            f"{count(self.n_failures, 'failure')})"
        )

    def _repr_html_(self) -> str:
        return as_html(self)

    def table(
        self, node: str, array: str = "values", allow_mixed: bool = False, mapped: bool = False
    ) -> FeatureTable:
        """Features of a node for the whole corpus, in its order; see ``FeatureStore.table``.

        Raises:
            NotCached: the node makes no features, or was not run.
        """
        state = self.states.get(self.workflow[node].name)
        if state is None or isinstance(state.node, Fit) or not state.done:
            raise NotCached(f"node '{node}' has no features in this run; run the workflow first")
        return self.store.table(
            self.corpus.ids,
            places(self.store, state),
            array=array,
            allow_mixed=allow_mixed,
            mapped=mapped,
        )

    def report(self) -> Path:
        """The run's page, written anew if anything changed."""
        path = self.folder / "report.html"
        if self.changed or not path.is_file():
            from .report.inside import look_inside
            from .report.page import write_report

            write_report(self, path, look_inside(self))
        return path

    def scores(self, split: str = "test") -> pd.DataFrame:
        """Scores of every fit: one row a fit, task, seed and metric; of folds, all together.

        What folds train on is in no split of them all: they have no scores on ``train``.
        """
        import pandas as pd

        from .blocks import fits_of

        rows = [
            {"fit": fit.name, "task": task, "seed": seed["seed"], "metric": metric, "score": score}
            for fit in fits_of(self)
            for seed in fit.seeds
            for task, metrics in seed["scores"].get(split, {}).items()
            for metric, score in metrics.items()
        ]
        return pd.DataFrame(rows, columns=["fit", "task", "seed", "metric", "score"])

    def test_scores(self) -> list[ScoreTable]:
        """Mean and deviation over seeds on the test split, a table for each block of fits."""
        from .score_tables import score_tables

        return score_tables(self)


def warnings_of(run: Run) -> list[Warned]:
    """Warnings about what is stored, by node in order and utterance in the order of the corpus."""
    found: list[Warned] = []
    for name, state in run.states.items():
        if not isinstance(state.node, Extract) or not state.fingerprint:
            continue
        by_key = read_warnings(run.store.root, state.fingerprint)
        for i, key in enumerate(state.keys) if by_key else ():
            if key is not None and state.cached[i]:
                found += [
                    replace(warned, utterance=run.corpus.ids[i], node=name)
                    for warned in by_key.get(key, ())
                ]
    return found


def places(store: FeatureStore, state: NodeState) -> list[Any]:
    """Where each utterance's features at a node lie; None where there are none."""
    keys = [key for key, there in zip(state.keys, state.cached, strict=True) if there]
    found = iter(store.places(state.fingerprint, [key for key in keys if key is not None]))
    return [next(found) if there else None for there in state.cached]


def places_of(store: FeatureStore, state: NodeState, rows: Array) -> dict[int, Place]:
    """Where the features of some utterances, by their numbers (m,), lie at a node, if anywhere."""
    there = rows[state.cached[rows]] if len(state.cached) else rows[:0]
    found = store.places(state.fingerprint, state.keys.some(there))
    pairs = zip(there.tolist(), found, strict=True)
    return {i: place for i, place in pairs if place is not None}


def seconds(value: float | None) -> str:
    """A time for people: 0.4 s, 12 s, 3 min 5 s, 2 h 10 min."""
    if value is None:
        return "–"
    if value < 9.95:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
