"""Words of a text that a sentiment lexicon knows: VADER's, or a file of words and scores."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ...cache.errors import BadCall
from ..loaded import LoadedModels
from .vader import emoji_as_words, load_analyzer, split_words
from .vector_file import file_mark
from .words import word_spans


class Found(NamedTuple):
    """A word of the lexicon in a text: its characters, half open, and the lexicon's score."""

    start: int
    end: int
    score: float


@dataclass(frozen=True, eq=False)
class Lexicon:
    """Words and scores of a file.

    Args:
        scores: by word, as ``as_looked_up`` writes it; none is 0.
        longest: units of the longest entry (``units``), so that phrases and words of several
            Chinese characters are found.
    """

    scores: Mapping[str, float]
    longest: int

    def find(self, text: str) -> Iterator[Found]:
        """Entries in a text, from its beginning, at each place the longest."""
        spans = units(text)
        at = 0
        while at < len(spans):
            found = None
            for n in range(min(self.longest, len(spans) - at), 0, -1):
                start, end = spans[at][0], spans[at + n - 1][1]
                score = self.scores.get(as_looked_up(text[start:end]))
                if score is not None:
                    found = Found(start, end, score)
                    yield found
                    break
            at += n if found else 1


def units(text: str) -> list[tuple[int, int]]:
    """First and last (half open) character of each word, without the punctuation around it.

    Words are those of ``word_spans``: a Chinese character is one.

    >>> [("“Good”, 很好!"[a:b]) for a, b in units("“Good”, 很好!")]
    ['Good', '很', '好']
    """
    spans = []
    for start, end in word_spans(text):
        while unicodedata.category(text[start])[0] == "P":
            start += 1
        while unicodedata.category(text[end - 1])[0] == "P":
            end -= 1
        spans.append((start, end))
    return spans


def as_looked_up(word: str) -> str:
    """A word or phrase without what does not matter: case, kinds of space and apostrophe."""
    plain = unicodedata.normalize("NFC", word).replace("\u2019", "'").casefold()
    return " ".join(plain.split())


def vader_words(text: str) -> Iterator[Found]:
    """Words, emoticons and emoji of a text that VADER's lexicon knows, negations left out.

    The score is that of the entry, whatever stands around it. ``no``, which the lexicon has, is a
    negation.
    """
    known = load_analyzer()
    words, spans = split_words(*emoji_as_words(text, known.emojis))
    for word, (start, end) in zip(words, spans.tolist(), strict=True):
        score = known.lexicon.get(word.lower(), 0.0)
        if score and not negates(word):
            yield Found(start, end, float(score))


def negates(word: str) -> bool:
    """Whether an English word turns the sense of others: VADER's list, ``no``, all in ``n't``."""
    from vaderSentiment.vaderSentiment import NEGATE

    plain = as_looked_up(word)
    return plain in NEGATE or plain == "no" or "n't" in plain


def read_lexicon(path: Path, largest: float) -> Lexicon:
    """A lexicon file, read once in each process while it is used.

    Args:
        path: UTF-8 text, a line an entry: word, then score, between them a tab, a comma or the
            last space; what follows the score is passed over. The first line may be a head.
        largest: no score may lie farther from 0.

    Raises:
        BadCall: it cannot be read, or a line is no entry; the message names the line.
    """
    try:
        key = (*file_mark(path), largest)
        return _LOADED.get(key, lambda: _parsed(path, largest))
    except OSError as error:
        raise BadCall(f"lexicon '{path}' cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadCall(f"lexicon '{path}' is not UTF-8 text: {error}") from error


def _parsed(path: Path, largest: float) -> tuple[Lexicon, int]:
    """The lexicon of a file, and about how many bytes it takes."""
    text = path.read_text(encoding="utf-8-sig")
    scores: dict[str, float] = {}
    longest = 0
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        word, score = _entry(line)
        if score is None and number == 1:
            continue  # a head
        if score is None or not abs(score) <= largest:
            raise BadCall(
                f"lexicon '{path}' line {number}: a word and its score in [-{largest:g}, "
                f"{largest:g}] were expected, got {line[:60]!r}. Scores of another range: set "
                "'largest'"
            )
        size = len(units(word))
        if score and size:
            scores.setdefault(as_looked_up(word), score)
            longest = max(longest, size)
    if not scores:
        raise BadCall(f"lexicon '{path}' has no word with a score other than 0")
    return Lexicon(scores, longest), 4 * len(text)


def _entry(line: str) -> tuple[str, float | None]:
    """Word and score of a line; None where there is no finite score."""
    for mark in ("\t", ","):
        if mark in line:
            word, score = (part.strip() for part in line.split(mark)[:2])
            break
    else:
        word, _, score = line.strip().rpartition(" ")
    try:
        value = float(score)
    except ValueError:
        return word, None
    return word, value if math.isfinite(value) else None


_LOADED: LoadedModels[Lexicon] = LoadedModels(limit=256 << 20)
