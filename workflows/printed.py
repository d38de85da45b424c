"""A published table next to ours as it is printed: blocks of rows, the best in bold, notes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..cache.validation import count, sentence
from ..train.compare import Spread
from ..train.metrics import SMALLER_IS_BETTER
from .measured import (
    DASH,
    Line,
    Reproduction,
    measured_on,
    numbers,
    plain_corpus,
    published_on,
)
from .published_tables import SECONDS


@dataclass(frozen=True)
class Printed:
    """A number as it is printed.

    Args:
        mean: the number, or a dash.
        std: its deviation over seeds; empty: there is none.
        best: whether it is the best of its column and block.
    """

    mean: str
    std: str = ""
    best: bool = False

    def __str__(self) -> str:
        return f"{self.mean}±{self.std}" if self.std else self.mean


#: A cell: several numbers where a heading stands for several metrics.
Cell = tuple[Printed, ...]


@dataclass(frozen=True)
class PrintedRow:
    """A row: its name, a cell for each heading.

    Args:
        ours: whether it is what ours came to, which stands below the row as published.
    """

    line: Line
    cells: tuple[Cell, ...]
    ours: bool

    @property
    def name(self) -> str:
        """As the paper prints it."""
        return "ours" if self.ours else self.line.row.name


@dataclass(frozen=True)
class PrintedBlock:
    """Rows that compare: of one corpus, and of one block where the paper has blocks.

    Args:
        title: of the block; empty: there is no other.
        rows: each as published, ours below it where it was measured.
    """

    title: str
    rows: tuple[PrintedRow, ...]


def blocks_of(found: Reproduction) -> list[PrintedBlock]:
    """Blocks in the order of their first rows."""
    parts: dict[str, list[Line]] = {}
    for line in found.lines:
        parts.setdefault(block_title(found, line), []).append(line)
    return [PrintedBlock(title, tuple(_rows(found, lines))) for title, lines in parts.items()]


def block_title(found: Reproduction, line: Line) -> str:
    """Group of a row, and its corpus where a table is of several."""
    group, corpus = line.row.group, published_on(found.table, line)
    if len(found.corpora_published) == 1:
        return group
    return (
        f"{group}, {corpus}"
        if group and plain_corpus(group) not in plain_corpus(corpus)
        else corpus
    )


def _rows(found: Reproduction, lines: Sequence[Line]) -> Iterator[PrintedRow]:
    headings = list(found.table.metrics)
    printed = [_column(found, heading, lines, _published) for heading in headings]
    ours = [_column(found, heading, lines, _ours) for heading in headings]
    for i, line in enumerate(lines):
        yield PrintedRow(line, tuple(column[i] for column in printed), ours=False)
        if line.fit:
            yield PrintedRow(line, tuple(column[i] for column in ours), ours=True)


def _column(
    found: Reproduction,
    heading: str,
    lines: Sequence[Line],
    scores_of: Callable[[Line, str], Sequence[Spread]],
) -> list[Cell]:
    """One heading's cells, the best of each of its metrics marked where there are several."""
    metrics, places = found.table.metrics[heading], decimals(found, heading)
    scores = [scores_of(line, heading) for line in lines]
    best = [
        _best(metric, [row[k].mean for row in scores if k < len(row)])
        for k, metric in enumerate(metrics)
    ]
    return [
        tuple(_printed(score, places, best[k]) for k, score in enumerate(row)) or (Printed(DASH),)
        for row in scores
    ]


def _best(metric: str, means: Iterable[float]) -> float:
    """The best of two or more numbers; NaN where there are fewer."""
    known = [mean for mean in means if math.isfinite(mean)]
    if len(known) < 2:
        return math.nan
    return min(known) if metric in (*SMALLER_IS_BETTER, SECONDS) else max(known)


def _published(line: Line, heading: str) -> list[Spread]:
    printed = numbers(line.row.published.get(heading))
    return [Spread(math.nan if n is None else n, math.nan, 1) for n in printed]


def _ours(line: Line, heading: str) -> Sequence[Spread]:
    return line.ours.get(heading, ())


def _printed(score: Spread, places: int, best: float) -> Printed:
    if not math.isfinite(score.mean):
        return Printed(DASH)
    mean = f"{score.mean:.{places}f}"
    std = f"{score.std:.{places}f}" if math.isfinite(score.std) else ""
    return Printed(mean, std, math.isfinite(best) and mean == f"{best:.{places}f}")


def decimals(found: Reproduction, heading: str) -> int:
    """Decimals that the paper prints in a column."""
    printed = [n for line in found.lines for n in numbers(line.row.published.get(heading))]
    digits = [len(repr(n).partition(".")[2]) for n in printed if n is not None and n % 1]
    return max(digits, default=2 if heading in found.table.percent else 3)


def told(found: Reproduction) -> list[str]:
    """What the numbers are, in sentences: legend, where measured, notes, what is missing and why.

    What is true of several rows is said once, with the names of all.
    """
    return [
        *_legend(found),
        *_of_ours(found),
        *([f"Published: {sentence(found.table.note)}"] if found.table.note else []),
        *_together(found, "", ((line, line.row.note) for line in found.lines)),
        *_together(found, "Not measured of ", ((line, line.why) for line in found.lines)),
        *_beside(found),
    ]


def _together(found: Reproduction, before: str, said: Iterable[tuple[Line, str]]) -> Iterator[str]:
    """Each text once, after the names of the rows that it is said of."""
    groups: dict[str, list[Line]] = {}
    for line, text in said:
        if text:
            groups.setdefault(text, []).append(line)
    for text, lines in groups.items():
        whole = len(lines) > 1 and len(lines) == sum(bool(line.row.node) for line in found.lines)
        names = "any row" if before and whole else _names(found, lines)
        yield f"{before}{names}: {text}{'' if text.endswith('.') else '.'}"


def _names(found: Reproduction, lines: Sequence[Line]) -> str:
    """Names of rows, their block before those that others have too."""
    names = [line.row.name for line in found.lines]
    told = [
        f"{title}: {line.row.name}"
        if names.count(line.row.name) > 1 and (title := block_title(found, line))
        else line.row.name
        for line in lines
    ]
    return ", ".join(told)


def _legend(found: Reproduction) -> Iterator[str]:
    bold = "the best of each column and block in bold"
    if found.measured:
        yield f"Rows as published, below them ours; {bold}, of published rows and of ours apart."
    else:
        yield f"As published; {bold}."
    if found.table.percent:
        yield f"In percent: {', '.join(found.table.percent)}."
    several = [h for h, metrics in found.table.metrics.items() if len(metrics) > 1]
    for heading in several:
        yield f"{heading}: {' / '.join(found.table.metrics[heading])}."


def _of_ours(found: Reproduction) -> Iterator[str]:
    """Where and how ours were measured, and what was run otherwise than its row says."""
    if not found.measured:
        return
    where = ", ".join(f"'{name}'" for name in found.corpora)
    seeds = sorted({len(line.fit.seeds) for line in found.measured if line.fit})
    many = count(seeds[0], "seed") if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]} seeds"
    n_folds = max(len(line.fit.folds) for line in found.measured if line.fit)
    split = f"test splits of {count(n_folds, 'fold')}" if n_folds else "test split"
    yield f"Ours: {split} of {where}, mean±standard deviation (n - 1) over {many}."
    if found.elsewhere:
        yield (
            "Measured on another corpus than the published numbers, which are of "
            f"{', '.join(found.missed)}: they show the paper's pattern at most."
        )
    ran = ((line, line.run.recipe.variants) for line in found.measured if line.run)
    otherwise = ((one, f"ran as variant {', '.join(v)}") for one, v in ran if v != one.row.variant)
    yield from _together(found, "", otherwise)


def _beside(found: Reproduction) -> Iterator[str]:
    lines = [line for line in found.lines if not line.row.node]
    if lines and found.measured:
        yield f"Printed beside, not run: {_names(found, lines)}."


def measured_as(line: Line) -> str:
    """Which node of which recipe and variants measured a row, on what."""
    assert line.fit is not None  # only rows that were measured are asked
    assert line.run is not None
    return f"{line.run.recipe.called}, {line.fit.name}, on {measured_on(line) or 'unnamed'}"
