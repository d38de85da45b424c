"""What a foreign file holds, in our terms: utterances, their table, and their arrays on demand."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from ...cache.errors import BadInput
from ...cache.records import Array, ArraySpec, Features, no_times
from ...cache.validation import count, listing, show

#: What the community writes between video and clip; ours is a slash.
SEPARATOR = "$_$"
#: Dtypes that are stored as they are; others become the nearest of them.
KEPT = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8")


@dataclass(frozen=True, eq=False)
class ForeignArray:
    """One array of each utterance.

    Args:
        modality: ``text``, ``audio``, ``vision``, or ``marks``.
        spec: what a row looks like.
        rows: utterance's number -> its features; None: the file has none for it.
        told: sentences about what was found; known once all rows were asked for.
    """

    modality: str
    spec: ArraySpec
    rows: Callable[[int], Features | None]
    told: Callable[[], Sequence[str]] = tuple


@dataclass(frozen=True, eq=False)
class Foreign:
    """What a foreign file or folder holds.

    Args:
        format: name of the format.
        ids: of the utterances, ours (``video/clip``).
        columns: of the corpus' table that the file holds, without ``id``: ``split``, ``text``,
            labels; empty: it holds features alone.
        arrays: by name.
        notes: what was repaired, guessed or left out.
    """

    format: str
    ids: tuple[str, ...]
    columns: Mapping[str, Sequence[Any]]
    arrays: Mapping[str, ForeignArray]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.ids or not self.arrays:
            raise BadInput(f"there is no utterance or no array of features in this {self.format}")
        for name in self.ids:
            check_id(name)
        twice = [name for name, n in Counter(self.ids).items() if n > 1]
        if twice:
            raise BadInput(
                f"{count(len(twice), 'id')} stand for several utterances: "
                f"{listing([show(name) for name in twice])}"
            )


def check_id(name: str) -> None:
    """See that an id is a plain name: it never leads anywhere if somebody makes a path of it.

    Raises:
        BadInput: it is empty, absolute, has a part ``..``, a backslash or a control character.
    """
    bad = any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name)
    parts = name.split("/")
    if not name or bad or "\\" in name or name.startswith(("/", "~")) or ".." in parts:
        raise BadInput(
            f"the id {show(name)} is refused: an id is one line of text, video/clip, and no path "
            "that leads elsewhere"
        )


def our_id(theirs: str) -> str:
    """``video$_$clip`` as ``video/clip``; others as they are.

    >>> our_id("03bSnISJMiM$_$11"), our_id("a/b")
    ('03bSnISJMiM/11', 'a/b')
    """
    if theirs.count(SEPARATOR) == 1 and "/" not in theirs:
        return theirs.replace(SEPARATOR, "/")
    return theirs


def their_id(ours: str) -> str:
    """``video/clip`` as ``video$_$clip``: what ``our_id`` makes ``ours`` of.

    Raises:
        BadInput: there is no such id.
    """
    plain = ours.count("/") != 1 or SEPARATOR in ours
    theirs = ours if plain else ours.replace("/", SEPARATOR)
    if our_id(theirs) != ours:
        raise BadInput(
            f"the id {show(ours)} cannot be written: it holds '{SEPARATOR}', which stands between "
            "video and clip in such files"
        )
    return theirs


def kept_dtype(dtype: np.dtype[Any]) -> str:
    """The dtype that an array of numbers is stored in."""
    if dtype.name in KEPT:
        return dtype.name
    return "float64" if dtype.kind == "f" else "uint8" if dtype.kind == "b" else "int64"


def modality_of(name: str) -> str:
    """``text``, ``audio`` or ``vision``, told from what an array or a file is called; or empty.

    >>> modality_of("CMU_MOSI_COVAREP"), modality_of("glove_vectors"), modality_of("x")
    ('audio', 'text', '')
    """
    words = {
        "vision": "vision visual video face facet openface openface2 resnet vgg",
        "audio": "audio acoustic sound speech covarep opensmile librosa hubert mfcc egemaps",
        "text": "text words word glove bert language transcript timestampedwordvectors",
    }
    parts = set(re.split(r"[^a-z0-9]+", name.lower()))
    for modality, known in words.items():
        if parts & set(known.split()):
            return modality
    return ""


@dataclass
class Tally:
    """What was met while rows were read, for people.

    Attributes:
        infinite: masked rows that hold a value that is not finite.
        zero: masked rows of nothing but zeros, among the real ones.
        utterances: that have any of these.
    """

    infinite: int = 0
    zero: int = 0
    utterances: int = 0
    rows: int = 0
    _counted: set[int] = field(default_factory=set)

    def add(self, i: int, infinite: int, zero: int, rows: int) -> None:
        """Count the rows of utterance i, once."""
        if i in self._counted:
            return
        self._counted.add(i)
        self.infinite += infinite
        self.zero += zero
        self.utterances += bool(infinite or zero)
        self.rows += rows

    def told(self, name: str) -> list[str]:
        """Sentences about an array."""
        found = []
        of = f"of {self.rows:,}, in {count(self.utterances, 'utterance')}"
        if self.infinite:
            n = count(self.infinite, "row")
            found.append(f"'{name}': {n} masked that hold NaN or infinity ({of})")
        if self.zero:
            found.append(f"'{name}': {count(self.zero, 'row')} of zeros alone masked ({of})")
        return found


def features_of(
    i: int,
    rows: Array,
    tally: Tally,
    times: Array | None = None,
    odd: tuple[Array, Array] | None = None,
) -> Features:
    """Rows (n, D) as features: those without a measurement are masked, their values stay.

    Rows with NaN or infinity are no measurement, nor are rows of zeros alone (no face was found,
    a word that the recogniser did not know). ``odd`` is what ``unmeasured`` says of them, where
    that is known already.
    """
    infinite, zero = unmeasured(rows) if odd is None else odd
    tally.add(i, int(np.count_nonzero(infinite)), int(np.count_nonzero(zero)), len(rows))
    times = _timeless(len(rows)) if times is None else times
    return Features(rows, times, mask=~(infinite | zero))


@lru_cache(maxsize=512)
def _timeless(n: int) -> Array:
    """Times of n rows that have none: of all utterances of that length, so nobody may write."""
    times = no_times(n)
    times.flags.writeable = False
    return times


def unmeasured(rows: Array) -> tuple[Array, Array]:
    """Which rows (n, D) hold a value that is not finite, and which only zeros: (n,) bool each."""
    if rows.dtype.kind != "f":
        return np.zeros(len(rows), bool), np.zeros(len(rows), bool)
    infinite, zero = np.zeros(len(rows), bool), np.zeros(len(rows), bool)
    if not rows.size:
        return infinite, zero
    if not rows.flags.aligned:  # in a mapped file they may begin at any byte, which is slow
        rows = rows.copy()
    # A sum tells most rows apart at the speed of memory; the others are looked at.
    with np.errstate(all="ignore"):
        sums = rows @ np.ones(rows.shape[1], rows.dtype)
    odd = np.flatnonzero(~np.isfinite(sums) | (sums == 0))
    infinite[odd] = ~np.isfinite(rows[odd]).all(axis=1)
    zero[odd] = ~rows[odd].any(axis=1)
    return infinite, zero
