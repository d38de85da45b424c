"""A run's fits in blocks whose scores compare: of the same corpora, on one task, by one scale."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ..train.outcome import constant_scores
from ..train.settings.base import LETTERS
from ..train.targets import from_meta
from ..train.training import primary_task
from .fit_view import FitView, better, labelled
from .folding import n_folds, plain_name
from .graph import Workflow
from .nodes import Extract, Fit
from .pooled import collected

if TYPE_CHECKING:
    from .result import Run


@dataclass(frozen=True, eq=False)
class Block:
    """Fits whose test scores stand in one table.

    Args:
        task: whose scores.
        fits: in the recipe's order; all learn from the same corpora, and have the same metrics.
    """

    task: str
    fits: Sequence[FitView]

    @property
    def corpora(self) -> str:
        """Of a run on several corpora, those that its fits learn from; empty: there is but one."""
        return " + ".join(self.fits[0].corpora)

    @property
    def title(self) -> str:
        """``mosi: M``, or the task alone where there is but one corpus."""
        return f"{self.corpora}: {self.task}" if self.corpora else self.task

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of its scores."""
        return self.fits[0].metrics(self.task)

    @property
    def scale(self) -> str:
        """Where the metrics' definitions come from: ``family 'mosi'``, ``classes happy, sad``."""
        target = self.fits[0].target(self.task)
        if target.names:
            return f"classes {', '.join(target.names)}"
        return f"family '{self.fits[0].family}'" if target.is_sentiment else "dimensions of affect"

    @cached_property
    def constant(self) -> dict[str, float]:
        """Test scores of always answering the same, whatever the features (``constant_scores``)."""
        return constant(self.fits[0], self.task)

    @property
    def usual(self) -> str:
        """What the constant answer is, in words."""
        is_value = self.fits[0].target(self.task).kind == "value"
        answer = "median training label" if is_value else "most frequent training label"
        return f"{answer} of each fold" if self.fits[0].folds else answer

    def best(self, metric: str) -> float:
        """The best mean of a column; NaN where none is defined."""
        return better(metric, [fit.spread(self.task, metric).mean for fit in self.fits])


def main_blocks(fits: Sequence[FitView]) -> list[Block]:
    """The main task of each set of corpora, with all fits that are scored on it."""
    found = []
    for own in _apart(fits, lambda fit: fit.corpora):
        task = main_task(own)
        found += _blocks([fit for fit in own if fit.metrics(task)], task)
    return found


def primary_blocks(fits: Sequence[FitView]) -> list[Block]:
    """Each fit once, on the task that it is chosen by; those that were not scored are left out."""
    found = []
    for own in _apart(fits, lambda fit: (fit.corpora, primary_task(fit.tasks))):
        task = primary_task(own[0].tasks)
        found += _blocks([fit for fit in own if fit.metrics(task)], task)
    return found


def _blocks(fits: Iterable[FitView], task: str) -> list[Block]:
    return [Block(task, own) for own in _apart(fits, lambda fit: (fit.family, fit.metrics(task)))]


def _apart(fits: Iterable[FitView], key: Callable[[FitView], object]) -> list[list[FitView]]:
    """Fits in groups of one key, in the order of the first of each."""
    groups: dict[object, list[FitView]] = {}
    for fit in fits:
        groups.setdefault(key(fit), []).append(fit)
    return list(groups.values())


def fits_of(run: Run) -> list[FitView]:
    """All fits of a run that are done, in the recipe's order; folds as one, all together."""
    named = ((plain_name(run.workflow[fit.name]), fit) for fit in trained(run))
    return collected(named, n_folds(run.workflow))


def left_out(run: Run) -> list[str]:
    """Say which fits cannot be told as one because their folds learned other classes."""
    whole, of = {fit.name for fit in fits_of(run)}, n_folds(run.workflow)
    folds: dict[str, list[FitView]] = {}
    for fit in trained(run):
        folds.setdefault(plain_name(run.workflow[fit.name]), []).append(fit)
    told = []
    for name, own in folds.items():
        if name in whole or len(own) < of.get(name, 1):
            continue
        learned = [{n for t in from_meta(fit.checkpoint.meta) for n in t.names} for fit in own]
        some = sorted(learned[0].union(*learned) - learned[0].intersection(*learned))
        told.append(
            f"'{name}' stands in no table: only some of its folds learned {', '.join(some)}. "
            f"Say which classes count: --set '{name}.classes=[...]'"
        )
    return told


def trained(run: Run) -> list[FitView]:
    """All fits of a run that are done, in the recipe's order, each fold's for itself."""
    found = []
    for name, state in run.states.items():
        node, checkpoint = state.node, state.checkpoint
        if isinstance(node, Fit) and checkpoint is not None:
            corpora = node.corpora or tuple(run.corpus.families)
            reads = letters(run.workflow, name)
            found.append(FitView(name, node.model, reads, node.tasks, checkpoint, corpora))
    return found


def letters(workflow: Workflow, name: str) -> str:
    """Modalities that reach a node, as letters in the order T, A, V."""
    node = workflow[name]
    if isinstance(node, Extract):
        return LETTERS.get(workflow.modality(name), "")
    read = node.on if isinstance(node, Fit) else node.inputs
    found = "".join(letters(workflow, upstream) for upstream in read)
    return "".join(letter for letter in LETTERS.values() if letter in found)


def main_task(fits: Sequence[FitView]) -> str:
    """The task that is reported first: ``M``, else what the last fit is chosen by; or none."""
    if not fits:
        return ""
    return "M" if any("M" in fit.tasks for fit in fits) else primary_task(fits[-1].tasks)


def constant(fit: FitView, task: str) -> dict[str, float]:
    """Test scores of always answering the same on what a fit saw (``constant_scores``)."""
    target = fit.target(task)
    tables = [part.checkpoint.predictions() for part in fit.parts]
    truths = [
        (labelled(table, target, "train")[2], labelled(table, target, "test")[2])
        for table in tables
        if table is not None
    ]
    return constant_scores(target, fit.family, truths) if len(truths) == len(tables) else {}
