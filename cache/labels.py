"""Labels that are more than a number of sentiment: dimensions of affect, and names of classes."""

from __future__ import annotations

#: Label columns of sentiment: of the whole, of one modality, of two.
SENTIMENT = ("M", "T", "A", "V", "TA", "TV", "AV")
#: Label columns of the dimensions of affect; each is scored by its own metrics.
DIMENSIONS = ("valence", "arousal", "dominance")
#: Label columns that name classes instead of giving a value; several are parted by ``;``.
CLASSES = ("emotion", "polarity")
#: The one of them that follows from sentiment where a corpus lacks it (``emotions.polarity_of``).
POLARITY = "polarity"
#: What it may say: whether a sentiment is below, at or above 0.
POLARITIES = ("negative", "neutral", "positive")
#: What stands in such a column for "labelled, and none of them" (MOSEI); empty: no label.
NO_CLASS = "none"


def names_of(label: str) -> tuple[str, ...]:
    """The classes that a label names.

    >>> names_of("happy; sad"), names_of("")
    (('happy', 'sad'), ())
    """
    return tuple(name.strip() for name in label.split(";") if name.strip())
