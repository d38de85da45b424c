"""Whether a text is English, told by its letters and its commonest words; no model is asked."""

from __future__ import annotations

from .lexicon import as_looked_up, units
from .vader import may_be_english

#: The commonest words of spoken English that are rare, or unknown, in other languages of Latin
#: letters; contractions are told by their ending.
_COMMON = (
    "the of and to is was i you he she it we they my your his her its our their that this these "
    "those with for from have has had not but what which who when where there are be been were "
    "will would can could should do does did about just like so very really know think because if "
    "at on as by or all one get got go going"
)
COMMON = frozenset(_COMMON.split())
ENDINGS = ("'s", "n't", "'re", "'ve", "'ll", "'m", "'d")
#: Least share of such words in English; in speech they are about half of all.
SHARE = 0.25


def is_english(text: str) -> bool:
    """Whether a quarter of a text's words are among the commonest English ones.

    Short texts without any (``Great movie!``) are taken for another language.

    >>> is_english("I don't think that is what it was."), is_english("Das ist aber schön.")
    (True, False)
    """
    words = [as_looked_up(text[start:end]) for start, end in units(text)]
    known = sum(word in COMMON or word.endswith(ENDINGS) for word in words)
    return bool(words) and may_be_english(text) and known >= SHARE * len(words)
