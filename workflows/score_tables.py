"""Test scores of a run as tables of text: a block of fits that compare, and a constant answer."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..train.compare import Spread
from .blocks import Block, fits_of, primary_blocks
from .fit_view import figures

if TYPE_CHECKING:
    from .result import Run

#: Variants of a metric and scores of single classes, which only the report and files tell.
ONLY_IN_FILES = re.compile("predweighted|weak|(?:F1|WA)_[a-z ]+$")


@dataclass(frozen=True)
class ScoreRow:
    """One fit's test scores, or those of the constant answer, which has no seeds and no n.

    Args:
        name: of the fit.
        seeds: how many.
        n: labelled test utterances.
        cells: one for each metric, ``mean±deviation``, and whether it is the best of its column.
    """

    name: str
    seeds: str
    n: str
    cells: tuple[tuple[str, bool], ...]


@dataclass(frozen=True)
class ScoreTable:
    """Test scores of the fits of one block, for people."""

    title: str
    metrics: tuple[str, ...]
    rows: tuple[ScoreRow, ...]
    note: str

    @property
    def heads(self) -> tuple[str, ...]:
        """Of the columns."""
        return (f"{self.title}, test", "seeds", "n", *self.metrics)


#: What is true of all tables of scores.
LEGEND = (
    "Mean±standard deviation (n - 1) over seeds, on n labelled test utterances; the best mean of "
    "each column in bold."
)


def score_tables(run: Run) -> list[ScoreTable]:
    """Scores of each fit on the task that it is chosen by; fits that do not compare stand apart."""
    return [_table(block) for block in primary_blocks(fits_of(run))]


def _table(block: Block) -> ScoreTable:
    metrics = tuple(name for name in block.metrics if not ONLY_IN_FILES.search(name))
    rows = []
    for fit in block.fits:
        scores = {metric: fit.spread(block.task, metric) for metric in metrics}
        cells = [
            (figures(score), _is_best(block, metric, score)) for metric, score in scores.items()
        ]
        n = fit.rows(block.task)["labelled"]
        rows.append(ScoreRow(fit.name, str(len(fit.seeds)), f"{n:,}", tuple(cells)))
    note = f"Metrics of {block.scale}."
    if block.constant:
        answer = [(figures(Spread(block.constant[m], math.nan, 1)), False) for m in metrics]
        rows.append(ScoreRow("constant", "", "", tuple(answer)))
        note += f" constant: always the {block.usual}."
    return ScoreTable(block.title, metrics, tuple(rows), note)


def _is_best(block: Block, metric: str, score: Spread) -> bool:
    """Whether a score is the best of several fits, as it is printed."""
    best = block.best(metric)
    alone = len(block.fits) == 1
    return not alone and math.isfinite(best) and f"{score.mean:.3f}" == f"{best:.3f}"
