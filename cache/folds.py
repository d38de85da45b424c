"""Folds: splits of a corpus in which every utterance is tested once.

A fold's test part is one of k disjoint parts of the corpus; the next part is its validation split,
the others are trained on. No part shares a speaker, a video or a session with another where the
folds are made by these.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from .corpus_columns import dialogues_of
from .errors import BadCall, BadCorpus, unknown
from .validation import count, listing, show

if TYPE_CHECKING:
    from .corpus import Corpus
    from .records import Array

#: How folds are made -> what never stands in two of their splits.
KINDS = {
    "official": "the corpus' own splits, and no folds",
    "random": "drawn at random, each with its share of every label",
    "sessions": "each session left out once: people who talk with one another, and all they say",
    "speakers": "no speaker in two splits",
    "videos": "no video in two splits",
}
#: Parts of a corpus where none are asked for; a session is a part of its own.
K = 5
#: Fewest parts: one to test, one to validate, and something to train on.
LEAST = 3
#: Label columns that random folds have equal shares of: the first of these that a corpus has.
STRATA = ("M", "emotion", "polarity")


@dataclass(frozen=True)
class Folds:
    """How a corpus is cut into folds.

    Args:
        kind: ``official`` (its own splits: no folds), ``random``, ``sessions``, ``speakers`` or
            ``videos``.
        k: how many folds; None: 5, or as many as there are sessions.
        seed: of who comes into which fold; sessions come in the order of their ids.

    Raises:
        UnknownName: there is no such kind.
        BadCall: fewer than three folds, or a number of sessions.
    """

    kind: str = "speakers"
    k: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown("kind of folds", str(self.kind), KINDS)
        if self.k is not None and self.kind in ("official", "sessions"):
            raise BadCall(
                f"folds of kind '{self.kind}' have no 'k', got {self.k!r}: there are as many as "
                "the corpus has"
            )
        if self.k is not None and (type(self.k) is not int or self.k < LEAST):
            raise BadCall(
                f"'k' of the folds must be a whole number of at least {LEAST} (to train, to "
                f"validate, to test), got {self.k!r}"
            )
        if type(self.seed) is not int:
            raise BadCall(f"'seed' of the folds must be a whole number, got {self.seed!r}")


@dataclass(frozen=True)
class Fold:
    """One of several folds.

    Args:
        folds: all of them.
        number: from 1.
        of: how many there are.
    """

    folds: Folds
    number: int
    of: int


def parts(
    folds: Folds,
    ids: Sequence[str],
    *,
    labels: Sequence[Any] = (),
    speakers: Sequence[str] = (),
    dialogues: Sequence[str] = (),
) -> Array:
    """In which fold each utterance is tested, (n,) int64 from 1; whatever their order, the same.

    Of ``random``, every label (and every range of labels, where they are numbers) is in all parts
    as often, give or take one. Of ``speakers`` and ``videos``, the largest come first, each into
    the part that is the smallest so far.

    Args:
        folds: how; not ``official``.
        ids: (n,) ``video/clip``.
        labels: (n,) numbers or names that random parts have equal shares of; NaN and empty text
            (no label) are one more; without any, shares are of nothing.
        speakers: (n,) who speaks; empty: unknown.
        dialogues: (n,) in which dialogue; empty: its video is one.

    Raises:
        BadCorpus: speakers are not all known, or there are fewer groups than folds.
    """
    if folds.kind == "random":
        return _dealt(folds, ids, labels)
    if folds.kind == "sessions":
        return _sessions(ids, speakers or [""] * len(ids), dialogues or [""] * len(ids))
    pairs = zip(ids, dialogues or [""] * len(ids), strict=True)
    groups = [dialogue or video_of(name) for name, dialogue in pairs]
    if folds.kind == "speakers":
        groups = _known(ids, speakers)
    return _balanced(folds, groups)


def splits_of(of: Array, number: int) -> tuple[str, ...]:
    """Split of each utterance in one fold: ``test``, the next part ``valid``, others ``train``.

    Args:
        of: (n,) in which fold each is tested, from 1; 0: it is in no split.
        number: of the fold, from 1.
    """
    following = number % int(of.max()) + 1
    names = {0: "", number: "test", following: "valid"}
    return tuple(names.get(part, "train") for part in of.tolist())


def video_of(utterance: str, parts: Collection[str] = ()) -> str:
    """What stands before the last slash of an id; the id where there is none.

    Of joined corpora (``parts``) a name alone before it is no video: the id is flat in its own.
    """
    video = utterance.rpartition("/")[0]
    return utterance if not video or video in parts else video


def videos_of(corpus: Corpus) -> list[str]:
    """The dialogue or the video of each utterance; itself where it stands alone."""
    dialogues = dialogues_of(corpus.to_frame())
    return [dialogue or video_of(i) for i, dialogue in zip(corpus.ids, dialogues, strict=True)]


@lru_cache(maxsize=4)
def parts_of(corpus: Corpus, folds: Folds) -> Array:
    """In which fold each utterance of a corpus is tested, (n,) from 1.

    Those in none of its splits, where it has splits, are in no fold (0): unlabelled parts stay
    what they are.

    Raises:
        BadCorpus: it cannot be cut so.
    """
    frame = corpus.to_frame()
    placed = (frame["split"] != "").to_numpy(bool)
    chosen = np.flatnonzero(placed if placed.any() else ~placed)
    rows = frame.iloc[chosen]
    column = next((name for name in STRATA if name in frame), "")
    try:
        found = parts(
            folds,
            rows["id"].tolist(),
            labels=rows[column].tolist() if column else (),
            speakers=rows["speaker"].tolist(),
            dialogues=dialogues_of(rows),
        )
    except BadCorpus as error:
        raise BadCorpus(f"corpus '{corpus.name}': {error}") from error
    of = np.zeros(len(frame), np.int64)
    of[chosen] = found
    return of


@lru_cache(maxsize=32)
def in_fold(corpus: Corpus, fold: Fold | None) -> Corpus:
    """The corpus with the splits of a fold; with its own where there is none."""
    if fold is None:
        return corpus
    return corpus.with_splits(splits_of(parts_of(corpus, fold.folds), fold.number))


def folds_of(corpus: Corpus, folds: Folds) -> tuple[Fold, ...]:
    """The folds of a corpus; none where its own splits are asked for.

    Raises:
        BadCorpus: it cannot be cut so.
    """
    if folds.kind == "official":
        return ()
    n = int(parts_of(corpus, folds).max())
    return tuple(Fold(folds, number, n) for number in range(1, n + 1))


def told(corpus: Corpus, folds: Folds) -> str:
    """What folds there are, in a sentence."""
    of = parts_of(corpus, folds)
    sizes = np.bincount(of)[1:]
    kind = f"{len(sizes)} folds ({folds.kind}: {KINDS[folds.kind]})"
    out = f"; {count(int((of == 0).sum()), 'utterance')} in no split" if (of == 0).any() else ""
    own = folds.kind == "videos" and len({*videos_of(corpus)}) == of.size
    alone = (
        ""
        if not own or any("/" in name for name in corpus.ids)
        else ("; no id names a video (VIDEO/CLIP), so each utterance is taken for one of its own")
    )
    tests = f"each tests {sizes.min():,} to {sizes.max():,} of {of.size:,} utterances"
    return f"{kind}: {tests}{out}{alone}"


def _mark(folds: Folds, name: str) -> bytes:
    """What decides by lot: the same wherever a name stands in the table."""
    return hashlib.sha256(f"{folds.seed}\0{name}".encode()).digest()


def _dealt(folds: Folds, ids: Sequence[str], labels: Sequence[Any]) -> Array:
    """Deal utterances out like cards, in the order of their labels, by lot where these are equal.

    What stands together in that order, such as all of one label, is shared out evenly.
    """
    k = folds.k or K
    _check_enough(folds, k, len(ids), "utterance")
    keys = [_rank(label) for label in labels] or [_rank("")] * len(ids)
    order = sorted(range(len(ids)), key=lambda i: (keys[i], _mark(folds, ids[i])))
    of = np.empty(len(ids), np.int64)
    of[order] = np.arange(len(ids)) % k + 1
    return of


def _rank(label: Any) -> tuple[int, float, str]:
    """Numbers in their order, then names, then what has no label."""
    if isinstance(label, str):
        return (1, 0.0, label) if label else (2, 0.0, "")
    return (0, float(label), "") if np.isfinite(label) else (2, 0.0, "")


def _known(ids: Sequence[str], speakers: Sequence[str]) -> list[str]:
    unknown_ = [name for name, who in zip(ids, speakers or [""] * len(ids), strict=True) if not who]
    if unknown_:
        names = listing([show(name) for name in unknown_])
        raise BadCorpus(
            f"{count(len(unknown_), 'utterance')} of {len(ids):,} do not say who speaks ({names}), "
            "so folds by speaker cannot be made; folds of kind 'videos' can"
        )
    return list(speakers)


def _balanced(folds: Folds, groups: Sequence[str]) -> Array:
    """Whole groups, the largest first, each into the part that is the smallest so far."""
    k = folds.k or K
    sizes = Counter(groups)
    _check_enough(folds, k, len(sizes), folds.kind.removesuffix("s"))
    part_of: dict[str, int] = {}
    filled = [0] * k
    for name in sorted(sizes, key=lambda name: (-sizes[name], _mark(folds, name))):
        part_of[name] = filled.index(min(filled))
        filled[part_of[name]] += sizes[name]
    return np.array([part_of[name] + 1 for name in groups], np.int64)


def _sessions(ids: Sequence[str], speakers: Sequence[str], dialogues: Sequence[str]) -> Array:
    """A part a session, in the order of their first ids: who shares a dialogue shares a session."""
    met: dict[str, set[str]] = defaultdict(set)  # dialogue and speaker -> each other
    places = [
        f"d{dialogue or video_of(name)}" for name, dialogue in zip(ids, dialogues, strict=True)
    ]
    for place, who in zip(places, speakers, strict=True):
        met[place] |= {f"s{who}"} if who else set()
        for one in tuple(met[place]):
            met[one].add(place)
    session: dict[str, str] = {}
    for name, place in sorted(zip(ids, places, strict=True)):
        if place not in session:
            session.update(dict.fromkeys(_reached(place, met), name))
    first = sorted(set(session.values()))
    if len(first) < LEAST:
        raise BadCorpus(
            f"people who talk with one another make {count(len(first), 'session')} "
            f"of it, and {LEAST} are needed; folds of kind 'videos' or 'random' can be made"
        )
    number = {name: i + 1 for i, name in enumerate(first)}
    return np.array([number[session[place]] for place in places], np.int64)


def _reached(start: str, near: dict[str, set[str]]) -> Iterable[str]:
    found, todo = {start}, [start]
    while todo:
        new = near[todo.pop()] - found
        found |= new
        todo.extend(new)
    return found


def _check_enough(folds: Folds, k: int, n: int, noun: str) -> None:
    if n < k:
        raise BadCorpus(
            f"{k} folds need {k} {noun}s at least, and there "
            f"{'is' if n == 1 else 'are'} {count(n, noun)}"
            + (f": give a 'k' of {n} or less" if n >= LEAST else "")
        )
