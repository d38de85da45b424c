"""Valence of each word by the VADER lexicon and rules: English, offline, no weights to fetch."""

from __future__ import annotations

import importlib.util
import re
import string
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ...cache.errors import BadCall, BadInput, EmptyTranscript
from ...cache.records import Array, ArraySpec, Features, FeatureSpec, no_times
from ..base import Extractor, Needs
from ..clip import Clip

COLUMNS = ("valence", "lexicon", "negated")
SENTENCE = ("neg", "neu", "pos", "compound")
LEXICONS = ("vader_lexicon.txt", "emoji_utf8_lexicon.txt")


@dataclass(frozen=True)
class Vader(Extractor):
    """Valence of each word of a transcript, as its context turns it.

    The main array ``values`` (n_words, 3), without times, has for each word

    - ``valence``: what VADER's rules make of it: negation, boosters, capitals, ``but``, idioms;
      about [-4, 4], past it where several rules add up; 0 for a word without an entry;
    - ``lexicon``: the entry itself, in [-4, 4], 0 where there is none;
    - ``negated``: 1 where the context turned the sign of the entry, else 0.

    ``spans`` (n_words, 2) are the words' characters in the transcript, half open. ``sentence``
    (1, 4) is the library's verdict on the whole: the shares ``neg neu pos`` in [0, 1] and
    ``compound`` in [-1, 1].

    Words are split at white space and stripped of punctuation unless two characters or fewer
    remain, so that emoticons stay whole; an emoji is read as its English description, whose
    words share the emoji's span. All of this is the library's own doing: the valences are the
    very numbers that its ``polarity_scores`` adds up, its habit of applying ``but`` to the
    first of several equal valences included.

    Source:
        Hutto and Gilbert (2014), "VADER: A Parsimonious Rule-based Model for Sentiment Analysis
        of Social Media Text", ICWSM-14; the vaderSentiment package.
    """

    name: ClassVar[str] = "vader"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = "text"
    rows: ClassVar[str] = "a word"
    libraries: ClassVar[tuple[str, ...]] = ("vaderSentiment",)
    paper: ClassVar[str] = "Hutto and Gilbert (2014), VADER"
    peak_memory: ClassVar[int] = 256 << 20

    @property
    def needs(self) -> Needs:
        return Needs(text=True)

    @property
    def spec(self) -> FeatureSpec:
        return {
            "values": ArraySpec((len(COLUMNS),), "float32", COLUMNS),
            "spans": ArraySpec((2,), "int32", ("start", "end")),
            "sentence": ArraySpec((len(SENTENCE),), "float32", SENTENCE),
        }

    def weights(self) -> Mapping[str, Path]:
        found = importlib.util.find_spec("vaderSentiment")
        if found is None or not found.submodule_search_locations:
            raise BadCall("vader needs vaderSentiment: pip install vaderSentiment")
        folder = Path(found.submodule_search_locations[0])
        return {Path(name).stem: folder / name for name in LEXICONS}

    def extract(self, clip: Clip) -> Features:
        """Map the transcript to a row a word.

        Raises:
            EmptyTranscript: it has no word, emoticon or emoji.
            BadInput: it has letters but no Latin one; the lexicon is English.
        """
        analyzer = load_analyzer()
        read, origin = emoji_as_words(clip.text, analyzer.emojis)
        words, spans = split_words(read, origin)
        entries = [analyzer.lexicon.get(word.lower(), 0.0) for word in words]
        if not any(entries) and not any(map(str.isalnum, clip.text)):
            raise EmptyTranscript(f"'{clip.id}' has no word in its transcript {clip.text[:60]!r}")
        if not any(entries) and not may_be_english(clip.text):
            raise BadInput(
                f"'{clip.id}': vader reads English, and the transcript {clip.text[:20]!r} has no "
                "Latin letter; use hf-text with a model of its language"
            )
        sentence = analyzer.polarity_scores(clip.text)
        values = np.array([_valences(analyzer, read), entries], np.float32)  # (2, n_words)
        negated = (values[0] * values[1] < 0).astype(np.float32)
        return Features(
            np.stack([*values, negated], axis=1),
            no_times(len(words)),
            COLUMNS,
            more={
                "spans": Features(spans, no_times(len(words)), ("start", "end")),
                "sentence": Features(
                    np.array([[sentence[name] for name in SENTENCE]], np.float32),
                    no_times(1),
                    SENTENCE,
                ),
            },
        )


@lru_cache(maxsize=1)
def load_analyzer() -> Any:
    """The library's reader of sentiment, with its lexicon; loaded once in each process."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()


def emoji_as_words(text: str, emojis: Mapping[str, str]) -> tuple[str, Array]:
    """Text with each emoji written out as the library does, and where its characters come from.

    Returns:
        The text and, for each of its characters, the number of the one in ``text`` it stands for.
    """
    read: list[str] = []
    origin: list[int] = []
    after_space = True
    for number, character in enumerate(text):
        words = emojis.get(character)
        if words is None:
            piece, after_space = character, character == " "
        else:
            piece, after_space = words if after_space else f" {words}", False
        read.append(piece)
        origin.extend([number] * len(piece))
    return "".join(read), np.array(origin, np.int32)


def split_words(read: str, origin: Array) -> tuple[list[str], Array]:
    """The library's words of a text, and their characters in the transcript.

    Returns:
        n words, and (n, 2) int32 first and last (half open) character.
    """
    words, spans = [], []
    for match in re.finditer(r"\S+", read):
        word, start = match.group(), match.start()
        bare = word.strip(string.punctuation)
        if len(bare) > 2:
            start += len(word) - len(word.lstrip(string.punctuation))
            word = bare
        words.append(word)
        spans.append((origin[start], origin[start + len(word) - 1] + 1))
    return words, np.array(spans, np.int32).reshape(-1, 2)


def may_be_english(text: str) -> bool:
    """Whether some letter is Latin, or there is no letter at all (numbers, say)."""
    letters = [character for character in text if character.isalpha()]
    return not letters or any("LATIN" in unicodedata.name(letter, "") for letter in letters)


def _valences(analyzer: Any, read: str) -> list[float]:
    """Valence of each word: the list that ``polarity_scores`` builds and does not hand out."""
    from vaderSentiment.vaderSentiment import BOOSTER_DICT, SentiText

    sentence = SentiText(read.strip())
    words = sentence.words_and_emoticons
    valences: list[float] = []
    for i, word in enumerate(words):
        kind_of = word.lower() == "kind" and words[i + 1 : i + 2] and words[i + 1].lower() == "of"
        if word.lower() in BOOSTER_DICT or kind_of:
            valences.append(0.0)
        else:
            valences = analyzer.sentiment_valence(0.0, sentence, word, i, valences)
    changed: list[float] = analyzer._but_check(words, valences)
    return changed
