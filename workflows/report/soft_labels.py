"""What a fit predicts of single utterances, where a recipe goes on from it: soft labels."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ...cache.errors import CacheError
from ...cache.records import Array, Utterance
from ..nodes import Encode
from ..result import Run

#: Classes told of each task, and utterances of each corpus.
TOP, SAMPLES = 3, 3


@dataclass(frozen=True)
class Sample:
    """One held-out utterance.

    Args:
        utterance: itself.
        label: its own labels, in words.
        soft: task -> the most probable classes and their probabilities, the first one first.
    """

    utterance: Utterance
    label: str
    soft: Mapping[str, tuple[tuple[str, float], ...]]


def soft_samples(run: Run) -> dict[str, list[Sample]]:
    """Samples of each node that gives what a fit predicts of classes, by its name.

    As EASUM's Table 6 shows them (Hwang and Kim, 2024): the first test utterances of each corpus
    that have a transcript.
    """
    found = {}
    for node in run.workflow:
        state = run.states.get(node.name)
        if not isinstance(node, Encode) or node.gives != "scores" or not (state and state.done):
            continue
        try:
            table = run.table(node.name, allow_mixed=True)
        except CacheError:  # features went away since: there is nothing to show
            continue
        columns = classes_of(table.columns)
        rows = [(u, table.values[table.offsets[i]]) for i, u in _shown(run, table.present)]
        if columns and rows:
            found[node.name] = [
                Sample(u, _label(u), {task: top(row, its) for task, its in columns.items()})
                for u, row in rows
            ]
    return found


def classes_of(columns: tuple[str, ...]) -> dict[str, dict[str, int]]:
    """Task -> class -> its column, of columns such as ``emotion=happy``.

    >>> classes_of(("M", "emotion=happy", "emotion=sad"))
    {'emotion': {'happy': 1, 'sad': 2}}
    """
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for k, column in enumerate(columns):
        task, is_class, name = column.partition("=")
        if is_class:
            found[task][name] = k
    return dict(found)


def top(row: Array, columns: Mapping[str, int]) -> tuple[tuple[str, float], ...]:
    """The most probable classes of a row (D,), and their probabilities.

    >>> top(np.array([0.25, 0.75]), {"happy": 0, "sad": 1})
    (('sad', 0.75), ('happy', 0.25))
    """
    order = sorted(columns, key=lambda name: -row[columns[name]])
    return tuple((name, float(row[columns[name]])) for name in order[:TOP])


def _shown(run: Run, present: Array) -> Iterator[tuple[int, Utterance]]:
    count: Counter[str] = Counter()
    for i, utterance in enumerate(run.corpus):
        if utterance.split != "test" or not utterance.text or not present[i]:
            continue
        count[utterance.corpus] += 1
        if count[utterance.corpus] <= SAMPLES:
            yield i, utterance


def _label(utterance: Utterance) -> str:
    """``M 0.4``, ``emotion joy``; a dash where there is none."""
    m = utterance.labels.get("M", np.nan)
    told = [f"M {m:g}"] if np.isfinite(m) else []
    told += [f"emotion {utterance.emotion}"] if utterance.emotion else []
    return ", ".join(told) or "–"
