"""What the report says about the corpus: splits and labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from ...cache.corpus import Corpus
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
    """Counts of each split, then of all."""
    rows = [_split_row(name or "in no split", _part(corpus, name)) for name in corpus.sizes]
    return rows if len(rows) < 2 else [*rows, _split_row("all", corpus)]


def _part(corpus: Corpus, split: str) -> Corpus:
    splits = corpus.splits
    names = [name for name, its in zip(corpus.ids, splits, strict=True) if its == split]
    return corpus.select(split=split) if split else corpus.select(ids=names)


def _split_row(name: str, part: Corpus) -> SplitRow:
    frame = part.to_frame()
    speakers = int(frame.loc[frame["speaker"] != "", "speaker"].nunique())
    labelled = {task: int(np.isfinite(part.labels(task)).sum()) for task in part.tasks}
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
    """One for each label column that holds any label."""
    found = []
    splits = corpus.splits
    for task in corpus.tasks:
        values = corpus.labels(task)
        known = values[np.isfinite(values)]
        if not len(known):
            continue
        low, high = corpus.label_range or (float(known.min()), float(known.max()))
        if low == high:
            low, high = low - 0.5, high + 0.5
        counts = []
        for split in corpus.sizes:
            mine = values[(splits == split) & np.isfinite(values)]
            bars = np.histogram(mine, BINS, (low, high))[0]
            counts.append((split or "no split", [int(n) for n in bars]))
        said = "; ".join(f"{split} {sum(bars)}" for split, bars in counts)
        title = f"Distribution of the labels of {task} by split: {said} labels"
        std = float(known.std(ddof=1)) if len(known) > 1 else float("nan")
        outside = int(((known < low) | (known > high)).sum())
        chart = histograms(title, counts, low, high)
        found.append(Distribution(task, len(known), float(known.mean()), std, outside, chart))
    return found
