"""What the report says about the corpus: splits and labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from ...cache.corpus import Corpus
from ...cache.folds import folds_of
from ...cache.leaks import leaks_of
from ...train.dataset import known
from ..label_agreement import CLASSES, class_counts
from ..result import Run
from .charts import histograms

#: Bars of a histogram; odd, so that 0 and the steps of 0.2 of CH-SIMS fall inside a bar each.
BINS = 11


@dataclass(frozen=True)
class SplitRow:
    """One line of the corpus table; minutes are None where a segment's end is not given."""

    name: str
    utterances: int
    speakers: int
    minutes: float | None
    labelled: Mapping[str, int]


def split_rows(corpus: Corpus) -> list[SplitRow]:
    """Counts of each split, of each of several corpora apart, then of all."""
    rows = [
        _split_row(f"{said}{name or 'in no split'}", _part(part, name))
        for said, part in _parts(corpus)
        for name in part.sizes
    ]
    return rows if len(rows) < 2 else [*rows, _split_row("all", corpus)]


def _parts(corpus: Corpus) -> Iterator[tuple[str, Corpus]]:
    """Each of several corpora, and what goes before a name of its own; a corpus alone is itself."""
    domains = corpus.domains
    for domain in corpus.families:
        ids = [name for name, its in zip(corpus.ids, domains, strict=True) if its == domain]
        yield f"{domain}: ", corpus.select(ids=ids)
    if not corpus.families:
        yield "", corpus


def _part(corpus: Corpus, split: str) -> Corpus:
    splits = corpus.splits
    names = [name for name, its in zip(corpus.ids, splits, strict=True) if its == split]
    return corpus.select(split=split) if split else corpus.select(ids=names)


def _split_row(name: str, part: Corpus) -> SplitRow:
    frame = part.to_frame()
    speakers = int(frame.loc[frame["speaker"] != "", "speaker"].nunique())
    labelled = {name: int(known(part.labels(name)).sum()) for name in part.label_columns}
    minutes = None if part.seconds is None else part.seconds / 60
    return SplitRow(name, len(part), speakers, minutes, labelled)


@dataclass(frozen=True)
class Distribution:
    """Labels of one task: how many, their mean and deviation, and a histogram a split."""

    task: str
    n: int
    mean: float
    std: float
    outside: int
    chart: Markup


def distributions(corpus: Corpus) -> list[Distribution]:
    """One for each label column of numbers that holds any, of each of several corpora apart."""
    return [
        found
        for said, part in _parts(corpus)
        for task in part.tasks
        if (found := _distribution(f"{said}{task}", task, part))
    ]


def _distribution(name: str, task: str, corpus: Corpus) -> Distribution | None:
    """Labels of one task; None where there is none."""
    values, splits = corpus.labels(task), corpus.splits
    there = values[np.isfinite(values)]
    if not len(there):
        return None
    low, high = corpus.label_range or (float(there.min()), float(there.max()))
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts = []
    for split in corpus.sizes:
        mine = values[(splits == split) & np.isfinite(values)]
        bars = np.histogram(mine, BINS, (low, high))[0]
        counts.append((split or "no split", [int(n) for n in bars]))
    said = "; ".join(f"{split} {sum(bars)}" for split, bars in counts)
    title = f"Distribution of the labels of {name} by split: {said} labels"
    std = float(there.std(ddof=1)) if len(there) > 1 else float("nan")
    outside = int(((there < low) | (there > high)).sum())
    chart = histograms(title, counts, low, high)
    return Distribution(name, len(there), float(there.mean()), std, outside, chart)


def leaks(run: Run) -> list[str]:
    """What stands in two splits, or in two folds: a sentence a kind."""
    contents = run.board.given.doubles if run.board else {}
    folds = run.recipe.corpus.folds
    known = () if folds_of(run.corpus, folds) else run.corpus.shared
    return [leak.told(known) for leak in leaks_of(run.corpus, folds, contents)]


def class_tables(corpus: Corpus) -> list[tuple[str, dict[str, list[int]]]]:
    """Labels by class, of all utterances and of each split, where there are several columns."""
    if len(class_counts(corpus)) < 2:
        return []
    splits = [(split or "no split", class_counts(corpus, split)) for split in corpus.sizes]
    return [("all", class_counts(corpus)), *(splits if len(splits) > 1 else [])]


def class_names(corpus: Corpus) -> tuple[str, ...]:
    """What the classes of ``class_tables`` are called."""
    return CLASSES.get({"mag": "mosi"}.get(corpus.family, corpus.family), ())
