"""Labels of a second table joined to a corpus, by the ids of its utterances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .corpus import Corpus
from .corpus_columns import TASKS
from .errors import BadCorpus, unknown
from .records import Array
from .validation import count, listing, show


@dataclass(frozen=True, eq=False)
class Annotated:
    """A corpus with the labels of a second table.

    Args:
        corpus: it; a label that it had already stays as it was.
        added: labels that it had not.
        second: of each label that it had, the table's own, (n,) float64 in the corpus' order.
        n: utterances that the table names.
        unknown: ids of the table that the corpus has not.
        repaired: ids that had lost leading zeros, as the table has them.
    """

    corpus: Corpus
    added: tuple[str, ...]
    second: Mapping[str, Array]
    n: int
    unknown: tuple[str, ...]
    repaired: tuple[str, ...]

    @property
    def notes(self) -> list[str]:
        """What a user should know of how it was joined, a sentence each."""
        found = [f"{count(self.n, 'utterance')} of {len(self.corpus):,} stand in the table"]
        if self.unknown:
            found.append(
                f"{count(len(self.unknown), 'row')} of the table, of utterances that the corpus "
                f"has not, left out: {listing([show(name) for name in self.unknown])}"
            )
        if self.repaired:
            n = count(len(self.repaired), "id")
            found.append(f"{n} without leading zeros repaired: {listing([*self.repaired])}")
        return found


def annotated(
    corpus: Corpus, ids: Sequence[str], labels: Mapping[str, Sequence[float] | Array]
) -> Annotated:
    """Join labels to a corpus: those that it lacks are added, others are kept beside its own.

    Utterances that the table does not name have no such label. An id that the corpus has not is
    taken for one that lost its leading zeros (``v/1`` for ``v/0001``) where that is one alone.

    Args:
        corpus: the corpus.
        ids: of the table's rows.
        labels: label column -> a value a row; NaN: none.

    Raises:
        BadCorpus: an id stands twice, or the corpus has none of them.
        UnknownName: no label column is called so.
    """
    for task in labels:
        if task not in TASKS:
            raise unknown("label column of numbers", task, TASKS)
    short: dict[str, list[str]] = {}
    for name in corpus.ids:
        short.setdefault(_short(name), []).append(name)
    real = [_real(name, corpus, short) for name in ids]
    twice = [name for name, n in Counter(name for name in real if name).items() if n > 1]
    if twice:
        names = listing([show(name) for name in twice])
        raise BadCorpus(
            f"{count(len(twice), 'utterance')} stand in the table of annotations more than once "
            f"({names}): average the annotators first, one row an utterance"
        )
    row_of = {name: row for row, name in enumerate(real) if name}
    if not row_of:
        raise BadCorpus(
            f"the table of annotations names no utterance of corpus '{corpus.name}': it has "
            f"{listing([show(name) for name in ids]) or 'no row'}, the corpus "
            f"{listing([show(name) for name in corpus.ids])}"
        )
    rows = np.array([row_of.get(name, -1) for name in corpus.ids])
    joined = {
        task: np.where(rows >= 0, np.asarray(own, np.float64)[rows], np.nan)
        for task, own in labels.items()
    }
    added = tuple(task for task in TASKS if task in joined and task not in corpus.tasks)
    return Annotated(
        _with_labels(corpus, {task: joined[task] for task in added}),
        added,
        {task: own for task, own in joined.items() if task not in added},
        len(row_of),
        tuple(name for name, own in zip(ids, real, strict=True) if not own),
        tuple(
            f"{show(name)} is {show(own)}"
            for name, own in zip(ids, real, strict=True)
            if own not in ("", name)
        ),
    )


def _with_labels(corpus: Corpus, added: Mapping[str, Array]) -> Corpus:
    frame = corpus.to_frame()
    for task, values in added.items():
        frame[task] = values
    note = [f"labels {', '.join(added)} joined from a second table"] if added else []
    order = [c for c in frame.columns if c not in corpus.label_columns and c not in added]
    names = [c for c in corpus.label_columns if c not in TASKS]
    frame = frame[[*order, *(task for task in TASKS if task in frame), *names]]
    return replace(corpus, _frame=frame, notes=(*corpus.notes, *note))


def _real(name: str, corpus: Corpus, short: Mapping[str, Sequence[str]]) -> str:
    """The corpus' id that an id of the table means; empty: none, or several."""
    if name in corpus:
        return name
    near = short.get(_short(name), ())
    return near[0] if len(near) == 1 else ""


def _short(name: str) -> str:
    """An id whose clip has no leading zeros."""
    video, slash, clip = name.rpartition("/")
    return f"{video}{slash}{int(clip)}" if clip.isascii() and clip.isdigit() else name
