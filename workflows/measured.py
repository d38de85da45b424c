"""What a paper printed next to what our fits measured: rows of its tables, filled from runs."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..cache.validation import count
from ..extract.corpora import KINDS, kind_named
from ..train.compare import Spread
from .blocks import fits_of
from .fit_view import FitView
from .folding import plain_name
from .published_tables import SECONDS, Number, Row, Table, papers, tables_of
from .result import Run

#: What stands where there is no number.
DASH = "-"
#: Metrics that are the same in every family.
ALIKE = frozenset({"MAE", "Corr", SECONDS})


@dataclass(frozen=True)
class Line:
    """One row of a published table, and what ours came to.

    Args:
        row: as published.
        fit: that measured it; None: none did.
        run: whose fit it is.
        ours: heading -> score of each of its metrics, in the paper's unit; without those that
            could not be measured.
        why: why nothing was measured, or not all; empty: all there is.
    """

    row: Row
    fit: FitView | None = None
    run: Run | None = None
    ours: Mapping[str, tuple[Spread, ...]] = field(default_factory=dict)
    why: str = ""


@dataclass(frozen=True)
class Reproduction:
    """A published table next to what ours came to.

    Args:
        paper: name of the recipe.
        number: of the table.
        table: as published.
        lines: one for each of its rows.
    """

    paper: str
    number: str
    table: Table
    lines: Sequence[Line]

    @property
    def called(self) -> str:
        """What the paper calls it: ``Table 4``, ``Fig. 4``."""
        is_figure = self.number.startswith("Fig")
        return f"Fig. {self.number[3:]}" if is_figure else f"Table {self.number}"

    @property
    def corpora_published(self) -> list[str]:
        """Names of the corpora that the published numbers are of, as the paper calls them."""
        return list(dict.fromkeys(published_on(self.table, line) for line in self.lines))

    @property
    def measured(self) -> list[Line]:
        """Rows that a fit of ours measured."""
        return [line for line in self.lines if line.fit]

    @property
    def corpora(self) -> list[str]:
        """Names of the corpora that ours were measured on."""
        return list(dict.fromkeys(measured_on(line) for line in self.measured))

    @property
    def missed(self) -> list[str]:
        """Corpora of the paper in whose place a row of ours was measured on another."""
        others = (line for line in self.measured if not on_same_corpus(self.table, line))
        return list(dict.fromkeys(published_on(self.table, line) for line in others))

    @property
    def elsewhere(self) -> bool:
        """Whether a row of ours was measured on another corpus than the paper's."""
        return bool(self.missed)


def line_of(table: Table, row: Row, run: Run) -> Line:
    """A row filled from the run of its recipe and variants."""
    if row.node in run.errors:
        return Line(row, run=run, why=run.errors[row.node])
    fits = {fit.name: fit for fit in fits_of(run)}
    if row.node not in fits:
        return Line(row, run=run, why=f"'{row.node}' is not trained")
    fit = fits[row.node]
    if unlike := other_number(table, Line(row, fit, run)):
        return Line(row, fit, run, why=unlike)
    ours, lacking = {}, []
    others = {heading for other in table.ours for heading in other.published} - {*row.published}
    other_family = table.family not in ("", fit.family)
    for heading, metrics in table.metrics.items():
        scores = tuple(_score(fits, row, metric) for metric in metrics)
        differs = other_family and not ALIKE.issuperset(metrics)
        if all(math.isfinite(score.mean) for score in scores) and not differs:
            times = 100 if heading in table.percent else 1
            ours[heading] = tuple(Spread(s.mean * times, s.std * times, s.n) for s in scores)
        elif heading not in others:  # half of a table may be of values, half of classes
            lacking.append(f"{heading} ({', '.join(metrics)})")
    why = f"no {', '.join(lacking)} of task {row.task} in family '{fit.family}'" if lacking else ""
    if lacking and other_family:
        why += (
            f"; the table's are of '{table.family}', which a corpus of such labels is given by "
            f"{_family_option(fit)}={table.family}"
        )
    return Line(row, fit, run, ours, why)


def other_number(table: Table, line: Line) -> str:
    """Say where a row was scored on another number of utterances than its corpus' test split has.

    Empty where the corpus is another one by its name, or its official number is not known.
    """
    assert line.fit is not None
    name = published_on(table, line)
    kinds = {plain_corpus(kind): kind for kind in KINDS}
    known = kind_named(kinds[plain_corpus(name)]).counts if plain_corpus(name) in kinds else {}
    official, n = known.get("test", 0), line.fit.rows(line.row.task).get("labelled", 0)
    if n == official or not official or not on_same_corpus(table, line):
        return ""
    return (
        f"scored on {count(n, 'test utterance')}, and the test split of {name} has {official:,}: "
        "the numbers do not compare, and are left out"
    )


def _family_option(fit: FitView) -> str:
    """What sets the metric family of the corpus that a fit learns from."""
    part = f"several.{fit.corpora[0]}." if fit.corpora else ""
    return f"--set corpus.{part}family"


def _score(fits: Mapping[str, FitView], row: Row, metric: str) -> Spread:
    """A score on the test split; NaN where the fit has none of this name."""
    fit = fits[row.node]
    if metric == SECONDS:
        timed = [fits[name] for name in (row.node, *row.timed) if name in fits]
        return Spread(sum(epoch_seconds(one) for one in timed), math.nan, 1)
    if metric not in fit.metrics(row.task):
        return Spread(math.nan, math.nan, len(fit.seeds))
    return fit.spread(row.task, metric)


def epoch_seconds(fit: FitView) -> float:
    """Seconds of an epoch of one seed, scoring included; NaN of fits that did not record it."""
    epochs = sum(seed.get("epochs", 0) for seed in fit.seeds)
    return fit.checkpoint.meta.get("seconds", math.nan) / epochs if epochs else math.nan


def published_on(table: Table, line: Line) -> str:
    """Name of the corpus that the published numbers of a row are of, as the paper calls it."""
    return line.row.corpus or table.corpus


def on_same_corpus(table: Table, line: Line) -> bool:
    """Whether a row was measured on the corpus that its published numbers are of, by its name."""
    return plain_corpus(measured_on(line)) == plain_corpus(published_on(table, line))


def measured_on(line: Line) -> str:
    """Name of the corpus that a row was measured on; of several, those that its fit learns from.

    Those have the names that they have themselves: a recipe may call them by what they are for.
    """
    assert line.run is not None  # only lines that were measured are asked
    assert line.fit is not None
    corpus = line.run.corpus
    own = [corpus.parts.get(name, name) for name in line.fit.corpora or corpus.parts]
    return "+".join(own) or corpus.name


def plain_corpus(corpus: str) -> str:
    """A corpus' name without what people write differently: ``CMU-MOSI`` is ``mosi``."""
    return re.sub(r"[^a-z0-9]", "", corpus.lower()).removeprefix("cmu")


def measured_in(run: Run) -> list[Reproduction]:
    """Rows of its paper's tables that a run has measured, a table each; tables without any apart.

    A variant that the corpus' missing labels asked for counts like one that was named.
    """
    found = []
    there = {plain_name(state.node) for state in run.states.values()}
    for paper in papers():
        for number, table in tables_of(paper).items():
            mine = [
                row
                for row in table.ours
                if row.recipe == run.recipe.name and row.variant == run.recipe.variants
            ]
            lines = [line_of(table, row, run) for row in mine if row.node in there]
            if any(line.fit for line in lines):
                found.append(Reproduction(paper, number, table, lines))
    return found


def numbers(number: Number) -> tuple[float | None, ...]:
    """A published cell as its numbers."""
    return number if isinstance(number, tuple) else (number,)
