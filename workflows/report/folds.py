"""What the report says of folds: each one's sizes and scores, and their spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...cache.folds import in_fold, told
from ...train.compare import Spread
from ..blocks import Block, left_out
from ..fit_view import FitView
from ..pooled import over_folds
from ..result import Run


@dataclass(frozen=True)
class FoldTable:
    """A fit on its folds.

    Args:
        fit: all folds together.
        task: whose scores.
        metrics: in order.
        rows: number of a fold, test utterances, speakers among them, and its scores over seeds.
        over: mean and deviation over folds, of each one's mean over seeds.
    """

    fit: FitView
    task: str
    metrics: tuple[str, ...]
    rows: Sequence[tuple[int, int, int, Mapping[str, Spread]]]
    over: Mapping[str, Spread]


def fold_sentence(run: Run) -> str:
    """What folds there are; empty where there are none."""
    folds = run.recipe.corpus.folds
    if not any(fit.fold for fit in run.workflow.fits):
        return ""
    return ". ".join([told(run.corpus, folds), *left_out(run)])


def fold_tables(run: Run, block: Block) -> list[FoldTable]:
    """One for each fit of a block that is on folds."""
    found, task = [], block.task
    for fit in block.fits:
        metrics = fit.metrics(task) if fit.folds else ()
        rows = [
            (number, *_tested(run, part), {m: part.spread(task, m) for m in metrics})
            for number, part in enumerate(fit.folds, 1)
        ]
        if metrics:
            over = {metric: over_folds(fit, task, metric) for metric in metrics}
            found.append(FoldTable(fit, task, metrics, rows, over))
    return found


def _tested(run: Run, part: FitView) -> tuple[int, int]:
    """Test utterances of a fold, and how many speakers there are among them."""
    node = run.workflow[part.name]
    frame = in_fold(run.corpus, getattr(node, "fold", None)).to_frame()
    speakers = frame.loc[frame["split"] == "test", "speaker"]
    return len(speakers), int(speakers[speakers != ""].nunique())
