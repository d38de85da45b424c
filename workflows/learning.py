"""What a fit learns from, of a corpus: which utterances, which labels, by which metrics."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..cache.corpus import Corpus
from ..cache.emotions import as_nine, polarity_of
from ..cache.errors import TrainingError, unknown
from ..cache.folds import in_fold
from ..cache.keys import canonical
from ..cache.labels import POLARITY, SENTIMENT
from ..cache.records import Array
from ..cache.validation import listing
from ..train.dataset import known
from ..train.training import label_columns
from .nodes import Extract, Fit


@dataclass(frozen=True, eq=False)
class Lesson:
    """Utterances and labels of a fit, without features.

    Args:
        numbers: (n,) which utterances of the corpus, in its order.
        ids: theirs.
        splits: theirs.
        labels: label column -> (n,) values, as ``Corpus.labels`` has them; without those that a
            node makes.
        family: metrics of sentiment that it is scored by.
        domains: which of several corpora each utterance is from; None: it is of one of its own.
    """

    numbers: Array
    ids: tuple[str, ...]
    splits: tuple[str, ...]
    labels: Mapping[str, Array]
    family: str
    domains: tuple[str, ...] | None

    @property
    def train(self) -> list[int]:
        """Utterances of the training split, by their number in the corpus."""
        rows = zip(self.numbers.tolist(), self.splits, strict=True)
        return [number for number, split in rows if split == "train"]


def lesson_of(node: Fit, corpus: Corpus) -> Lesson:
    """What a fit learns from; ``missing_labels`` and ``faults_of`` say whether it can."""
    corpus = in_fold(corpus, node.fold)
    chosen = chosen_of(node, corpus)
    numbers = np.flatnonzero(chosen)
    columns = sorted(_columns(node))
    domains = tuple(str(name) for name in corpus.domains[numbers]) if corpus.families else None
    families = _families(node, corpus)
    return Lesson(
        numbers,
        tuple(corpus.ids[i] for i in numbers),
        tuple(str(split) for split in corpus.splits[numbers]),
        {column: _labels(corpus, column)[numbers] for column in columns},
        next(iter(families), "") if corpus.families else corpus.family,
        domains,
    )


def missing_labels(node: Fit, corpus: Corpus) -> list[str]:
    """Label columns that a fit learns from, and that none of its corpora has; sorted."""
    return sorted(c for c in _columns(node) if not _labelled(corpus, c, chosen_of(node, corpus)))


def faults_of(node: Fit, corpus: Corpus) -> list[str]:
    """What else of a corpus stands in the way of a fit, a sentence each."""
    if wrong := strange_corpora(node, corpus):
        return wrong
    faults = [*_strange(node, corpus)]
    families = _families(node, corpus)
    if len(families) > 1:
        told = "; ".join(f"{family}: {', '.join(names)}" for family, names in families.items())
        faults.append(
            "its corpora have sentiment labels of different metric families, which cannot be "
            f"scored as one ({told}). Choose with 'corpora' those of one, or the task '{POLARITY}'"
        )
    taught = node.settings.unlabelled or node.made_tasks  # also without labels of the corpus
    for name in () if taught else node.corpora:
        if not any(_labelled(corpus, column, corpus.domains == name) for column in _columns(node)):
            faults.append(
                f"corpus '{name}' has labels of none of its tasks ({', '.join(node.tasks)}): "
                "leave it out of 'corpora'"
            )
    return faults


def strange_corpora(node: Fit | Extract, corpus: Corpus) -> list[str]:
    """Which corpora a node names that are none of those it runs on, a sentence each."""
    others = [name for name in node.corpora if name not in corpus.families]
    verb, what = ("learns from", "corpus to learn from")
    if isinstance(node, Extract):
        verb, what = ("is run on", "corpus to be run on")
    if others and not corpus.families:
        return [
            f"it {verb} {listing(node.corpora)}, and this corpus is one of its own: name "
            f"several (--set corpus.several.{others[0]}.root=FOLDER), or leave 'corpora' out"
        ]
    return [str(unknown(what, name, corpus.families)) for name in others]


def _strange(node: Fit, corpus: Corpus) -> Iterator[str]:
    """Say which emotions are none of nine, where they are to be."""
    if node.training.emotions == "nine" and "emotion" in corpus.label_columns:
        chosen = np.flatnonzero(chosen_of(node, corpus))
        try:
            as_nine(corpus.labels("emotion")[chosen], [corpus.ids[i] for i in chosen])
        except TrainingError as error:
            yield str(error)


def table_digest(node: Fit, lesson: Lesson, present: Callable[[str, int], bytes | None]) -> str:
    """Digest of a fit's joined table: utterances, splits, labels, keys of features.

    Args:
        node: the fit.
        lesson: what it learns from.
        present: node name and number of an utterance -> key of its features, if they are stored.
    """
    rows = []
    for at, i in enumerate(lesson.numbers.tolist()):
        values = [_plain(own[at]) for own in lesson.labels.values()]
        keys = [present(name, i) for name in node.on]
        hexes = [key.hex() if key else None for key in keys]
        row: list[Any] = [lesson.ids[at], lesson.splits[at], values, hexes]
        if lesson.domains and node.settings.domains:
            row.append(lesson.domains[at])
        if node.labels_from:
            key = present(node.labels_from, i)
            row.append({"labels": key.hex() if key else None})
        rows.append(canonical(row))
    head = canonical(list(lesson.labels))
    return hashlib.sha256(b"\n".join([head, *sorted(rows)])).hexdigest()


def _columns(node: Fit) -> set[str]:
    """Label columns of the corpus that a fit learns from."""
    return {*label_columns(node.training, node.tasks).values()} - {*node.made_tasks}


def chosen_of(node: Fit | Extract, corpus: Corpus) -> Array:
    """Which utterances a fit learns from, or an extract is run on, (n,) bool."""
    if not (node.corpora and corpus.families):
        return np.ones(len(corpus), bool)
    return np.isin(corpus.domains, node.corpora)


def _labelled(corpus: Corpus, column: str, chosen: Array) -> bool:
    """Whether some utterances have such labels; a corpus of its own need only have the column."""
    if column not in corpus.label_columns and (column != POLARITY or "M" not in corpus.tasks):
        return False
    return not corpus.families or bool(known(_labels(corpus, column)[chosen]).any())


def _labels(corpus: Corpus, column: str) -> Array:
    """Labels of all utterances; polarity is the sign of M in a corpus that has it not."""
    if column != POLARITY or "M" not in corpus.tasks:
        return corpus.labels(column)
    signs = polarity_of(corpus.labels("M"))
    if column not in corpus.label_columns:
        return signs
    own = corpus.labels(column)
    named = np.unique(corpus.domains[known(own)])
    found: Array = np.where(np.isin(corpus.domains, named), own, signs)
    return found


def _families(node: Fit, corpus: Corpus) -> dict[str, list[str]]:
    """Metric families of those of a fit's corpora that have sentiment labels of its tasks."""
    columns = _columns(node) & {*SENTIMENT}
    found: dict[str, list[str]] = {}
    for name, family in corpus.families.items():
        own = corpus.domains == name
        asked = not node.corpora or name in node.corpora
        if asked and any(_labelled(corpus, column, own) for column in columns):
            found.setdefault(family, []).append(name)
    return found


def _plain(label: Any) -> float | str | None:
    """A label as JSON: a number, the names of classes, or None where there is none."""
    if isinstance(label, str):
        return str(label) or None
    return None if np.isnan(label) else float(label)


def needed_columns(fits: Sequence[Fit], corpus: Corpus) -> list[str]:
    """Label columns that a corpus must have for fits, in their order; of polarity maybe M."""
    columns = [
        column
        for fit in fits
        for task, column in label_columns(fit.training, fit.tasks).items()
        if task not in fit.made_tasks
    ]
    there = corpus.label_columns
    found = ["M" if c == POLARITY and c not in there and "M" in there else c for c in columns]
    return list(dict.fromkeys(found))
