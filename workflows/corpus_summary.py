"""What a corpus holds, in tables of text: counts, hours, labels, media that are missing."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ..cache.corpus import Corpus
from ..cache.errors import BadInput
from ..cache.labels import CLASSES, names_of
from ..cache.records import Array, Utterance
from .machine import n_cores

#: Heights of a bar that is drawn as a letter, and bars of a histogram.
BARS, BINS = " ▁▂▃▄▅▆▇█", 11
#: Name of what is in no split, and of all splits together.
NONE, ALL = "none", "all"

Row = tuple[str, ...]


def split_table(corpus: Corpus, seconds: Mapping[str, float]) -> tuple[Row, list[Row]]:
    """Heads and a row a split: utterances, speakers, missing media, hours, labels of each task.

    Args:
        corpus: the corpus.
        seconds: length of each utterance; NaN where its media say nothing; empty: not asked.
    """
    tasks = corpus.label_columns
    heads = ("split", "utterances", "speakers", "missing media", "hours", *tasks)
    parts = [(name or NONE, corpus.splits == name) for name in corpus.sizes]
    if len(parts) > 1:
        parts.append((ALL, np.ones(len(corpus), bool)))
    frame = corpus.to_frame()
    gone = np.array([not path or not os.path.isfile(path) for path in frame["media"]], bool)
    lengths = np.array([seconds.get(name, math.nan) for name in corpus.ids])
    rows = []
    for name, own in parts:
        speakers = {who for who in frame["speaker"][own] if who}
        labels = [f"{int((_known(corpus, task) & own).sum()):,}" for task in tasks]
        rows.append(
            (
                name,
                f"{int(own.sum()):,}",
                f"{len(speakers):,}" if speakers else "unknown",
                f"{int((gone & own).sum()):,}",
                _hours(lengths[own]),
                *labels,
            )
        )
    return heads, rows


def label_table(corpus: Corpus) -> tuple[Row, list[Row]]:
    """Heads and a row a label column: how many, mean, range, and a histogram of letters."""
    rows: list[Row] = []
    for task in corpus.tasks:
        values = corpus.labels(task)
        values = values[np.isfinite(values)]
        if not len(values):
            rows.append((task, f"0 of {len(corpus):,}", "", "", ""))
            continue
        low, high = corpus.label_range or (float(values.min()), float(values.max()))
        bars = np.histogram(values, BINS, (low, high if high > low else low + 1))[0]
        rows.append(
            (
                task,
                f"{len(values):,} of {len(corpus):,}",
                f"{round(values.mean(), 2) + 0.0:.2f}",
                f"{values.min():g} to {values.max():g}",
                f"{low:g} {bar_letters(bars)} {high:g}",
            )
        )
    return ("label", "known", "mean", "from", "histogram"), rows


def class_table(corpus: Corpus, column: str) -> tuple[Row, list[Row]]:
    """Heads and a row a class of a column of names: utterances by split."""
    splits = list(corpus.sizes)
    counts: dict[str, dict[str, int]] = {}
    for label, split in zip(corpus.labels(column), corpus.splits, strict=True):
        for name in names_of(str(label)):
            own = counts.setdefault(name, dict.fromkeys(splits, 0))
            own[str(split)] += 1
    order = sorted(counts, key=lambda name: (-sum(counts[name].values()), name))
    rows = [(name, *(f"{counts[name][split]:,}" for split in splits)) for name in order]
    return (column, *(split or NONE for split in splits)), rows


def class_columns(corpus: Corpus) -> list[str]:
    """Label columns whose labels are names."""
    return [name for name in CLASSES if name in corpus.label_columns]


def bar_letters(counts: Array) -> str:
    """A histogram as letters, the highest bar full.

    >>> bar_letters(np.array([0, 1, 2, 4, 8]))
    ' ▁▂▄█'
    """
    top = max(int(counts.max()), 1)
    return "".join(BARS[math.ceil(n / top * (len(BARS) - 1))] for n in counts.tolist())


def lengths_of(
    corpus: Corpus, progress: Callable[[int, int], None] | None = None
) -> dict[str, float]:
    """Length of each utterance in seconds, by what its segment or its file says; NaN: neither."""
    utterances = list(corpus)
    found = {}
    with ThreadPoolExecutor(n_cores()) as pool:
        for i, seconds in enumerate(pool.map(_seconds, utterances)):
            found[utterances[i].id] = seconds
            if progress is not None:
                progress(i + 1, len(utterances))
    return found


def _seconds(utterance: Utterance) -> float:
    from ..extract.media import probe

    start = utterance.start or 0.0
    if utterance.end is not None:
        return utterance.end - start
    if not utterance.media:
        return math.nan
    try:
        return probe(utterance.media).duration - start
    except (BadInput, OSError):
        return math.nan  # its file is missing or broken: 'corpus check' says which


def _known(corpus: Corpus, task: str) -> Array:
    labels = corpus.labels(task)
    return labels != "" if task in CLASSES else np.isfinite(labels)


def _hours(seconds: Array) -> str:
    """Hours of those whose length is known, and of how many it is not."""
    known = seconds[np.isfinite(seconds)]
    unknown = len(seconds) - len(known)
    if not len(known):
        return "unknown"
    return f"{known.sum() / 3600:.2f}" + (f" (without {unknown:,})" if unknown else "")
