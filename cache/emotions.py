"""Nine emotions that several corpora share, and what each corpus calls them; polarity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import TrainingError
from .labels import NO_CLASS, POLARITIES, names_of
from .records import Array
from .validation import listing, show

#: Each of the nine, and its names in the corpora: MELD's, MOSEI's, IEMOCAP's short and long ones.
#: IEMOCAP's ``oth`` (another one) and ``xxx`` (no agreement) are none of them: leave those empty.
#:
#: Source: Hwang and Kim (2024), "EASUM", WACV, section 3.3, merge MELD's seven and IEMOCAP's six
#: (joy is happy); the spellings are those of the corpora's own label files.
NINE: dict[str, tuple[str, ...]] = {
    "angry": ("anger", "ang"),
    "disgust": ("disgusted", "dis"),
    "excited": ("excitement", "exc"),
    "fear": ("fearful", "fea"),
    "frustrated": ("frustration", "fru"),
    "happy": ("happiness", "joy", "hap"),
    "neutral": ("neu",),
    "sad": ("sadness",),
    "surprise": ("surprised", "sur"),
}
#: MOSEI's emotions in the order of its label columns; each has an intensity from 0 to 3.
MOSEI_SIX = ("happy", "sad", "angry", "surprise", "disgust", "fear")
_MERGED = {name: merged for merged, own in NINE.items() for name in (merged, *own)}


def as_nine(labels: Array, ids: Sequence[str]) -> Array:
    """Labels with their emotions by the names of the nine.

    >>> as_nine(np.array(["joy", "Anger; sad", "", "none"]), ["a", "b", "c", "d"]).tolist()
    ['happy', 'angry;sad', '', 'none']

    Args:
        labels: (n,) text, as in a corpus' column ``emotion``.
        ids: the utterances.

    Raises:
        TrainingError: a name is none of theirs; it says which, how often, and where first.
    """
    strange: dict[str, list[str]] = {}
    made = []
    for label, where in zip(labels, ids, strict=True):
        names = names_of(str(label))
        for name in names:
            if name.lower() not in _MERGED and name != NO_CLASS:
                strange.setdefault(name, []).append(where)
        made.append(";".join(_MERGED.get(name.lower(), name) for name in names))
    if strange:
        found = [f"{show(n)} ({len(own)}, the first '{own[0]}')" for n, own in strange.items()]
        known = "; ".join(f"{one}: {', '.join(own)}" for one, own in NINE.items())
        raise TrainingError(
            f"'emotions: nine' knows no such emotion(s): {listing(found)}. It knows {known}. "
            "Rename them in the corpus, or leave the labels of those utterances empty"
        )
    return np.array(made, np.str_)


def present(intensities: Array, names: Sequence[str]) -> list[str]:
    """The emotions of each utterance that are there at all, as in a corpus' column ``emotion``.

    >>> present(np.array([[0.3, 0, 2], [0, 0, 0], [np.nan, 0, 1]]), ["happy", "sad", "fear"])
    ['happy;fear', 'none', '']

    Args:
        intensities: (n, n_names), 0 where one is not there; NaN: not labelled.
        names: of the emotions.
    """
    return [
        ""
        if np.isnan(row).any()
        else ";".join(name for name, value in zip(names, row, strict=True) if value > 0) or NO_CLASS
        for row in intensities
    ]


def mosei_columns(values: Array) -> dict[str, list[Any]]:
    """Labels (n, 1), (n, 6) or (n, 7) as columns of a corpus: sentiment, the six, or both."""
    found: dict[str, list[Any]] = {}
    if values.shape[1] != len(MOSEI_SIX):
        found["M"] = values[:, 0].tolist()
    if values.shape[1] >= len(MOSEI_SIX):
        found["emotion"] = present(values[:, -len(MOSEI_SIX) :], MOSEI_SIX)
    return found


def polarity_of(sentiment: Array) -> Array:
    """The sign of sentiment values, (n,) text out of ``POLARITIES``; empty where there is none.

    >>> polarity_of(np.array([-0.2, 0.0, 3.0, np.nan])).tolist()
    ['negative', 'neutral', 'positive', '']
    """
    signs = [sentiment < 0, sentiment == 0, sentiment > 0]
    found: Array = np.select(signs, [np.str_(name) for name in POLARITIES], np.str_(""))
    return found
