"""The word of a transcript that says most sentiment, masked, and what it was worth."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from ...cache.errors import BadCall, EmptyTranscript
from ...cache.keys import WHERE
from ...cache.records import Array, ArraySpec, Features, FeatureSpec, no_times
from ..base import TRANSCRIPT, Extractor, Needs
from ..clip import Clip
from .english import is_english
from .levels import SPANS
from .lexicon import Found, negates, read_lexicon, units, vader_words
from .tokens import MASK
from .transcript import TEXT, TEXT_SPEC, as_rows
from .vader import Vader

COLUMNS = ("masked_valence", "in_lexicon")
LANGUAGES = ("any", "en")


@dataclass(frozen=True)
class MaskSentiment(Extractor):
    """A transcript with its word of the strongest sentiment masked, and that word's valence.

    ``text`` is the transcript, so that the node may fill the role ``transcript``: whichever
    Hugging Face tokenizer reads it takes the masked word for one mask token of its own (see
    ``tokens.MASK``). ``values`` (1, 2), without times:

    - ``masked_valence``: the lexicon's score of the masked word, in [-``scaled_to``,
      ``scaled_to``], whatever stands around it; 0 for a word that is not in the lexicon;
    - ``in_lexicon``: 1 where it is.

    ``spans`` (1, 2): the word's characters in the transcript as it was, half open; the mask is one
    character in the place of the first of them. Of several words of one strength the first is
    masked, punctuation around it stays. Where there is no word of the lexicon, a word is drawn at
    random, by the transcript's content and ``seed`` alone. Words that negate are left alone, and
    turn no sign: of ``not good`` it is ``good`` that is masked, at its own score.

    What the node found serves as labels of a fit (``labels_from``)::

        masked: {extract: mask-sentiment}
        text:   {extract: hf-text, model: FOLDER, layer: 0, on: {transcript: masked}}
        place:  {extract: masked-tokens, on: {tokens: text, masked: masked}}
        learn:  {fit: kebr, on: [text, place, audio, vision], labels_from: masked,
                 tasks: [masked_valence]}

    Args:
        lexicon: a text file of words and scores, a line each, with a tab, a comma or a space
            between them (any language; Chinese words need no spaces around them); empty: VADER's,
            for English, emoticons and emoji among its words. Its content counts towards the
            fingerprint.
        largest: the lexicon's scores lie in [-largest, largest].
        scaled_to: the range that they are brought to, that of the labels of the later fits.
        keep: further words that are never masked, such as a language's negations; English ones
            are kept in any case.
        language: ``en``: a transcript that is not English (``english.is_english``) is left as it
            is and gets a masked row, so that it is no example for a fit; ``any``: none is.
        seed: of the random words.

    Source:
        KEBR (2024), section 3.2, with the lexicon of Hutto and Gilbert (2014); they do not say
        which of several words of one strength they mask, nor what becomes of negations.
    """

    name: ClassVar[str] = "mask-sentiment"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = "text"
    provides: ClassVar[tuple[str, ...]] = (TRANSCRIPT, "masked")
    rows: ClassVar[str] = "one"
    libraries: ClassVar[tuple[str, ...]] = ("vaderSentiment",)
    paper: ClassVar[str] = "KEBR (ACM Multimedia 2024); VADER: Hutto and Gilbert (2014)"
    peak_memory: ClassVar[int] = 512 << 20

    lexicon: str = field(default="", metadata=WHERE)
    largest: float = 4.0
    scaled_to: float = 3.0
    keep: tuple[str, ...] = ()
    language: str = "any"
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("largest", "scaled_to"):
            value = getattr(self, name)
            if not (value > 0 and math.isfinite(value)):
                raise BadCall(f"mask-sentiment: {name} must be greater than 0, not {value!r}")
        if self.language not in LANGUAGES:
            known = " or ".join(map(repr, LANGUAGES))
            raise BadCall(f"mask-sentiment: language must be {known}, not {self.language!r}")

    @property
    def needs(self) -> Needs:
        return Needs(text=True)

    @property
    def spec(self) -> FeatureSpec:
        return {
            "values": ArraySpec((len(COLUMNS),), "float32", COLUMNS),
            "spans": SPANS,
            TEXT: TEXT_SPEC,
        }

    def weights(self) -> Mapping[str, Path]:
        return {"lexicon": Path(self.lexicon).expanduser()} if self.lexicon else Vader().weights()

    def extract(self, clip: Clip) -> Features:
        """Map a transcript to the masked one.

        Raises:
            EmptyTranscript: it has no word.
            BadCall: the lexicon cannot be read; the message names the line.
        """
        text, words = clip.text, units(clip.text)
        found = self._strongest(text)
        if found is None and not words:
            raise EmptyTranscript(f"'{clip.id}' has no word in its transcript {text[:60]!r}")
        if self.language == "en" and not is_english(text):
            clip.warn(f"its transcript {text[:40]!r} is not English: no word of it is masked")
            return self._features(text, Found(0, 0, 0.0), real=False)
        chosen = found or self._drawn(text, words)
        masked = text[: chosen.start] + MASK + text[chosen.end :]
        return self._features(masked, chosen)

    def unfit(self, values: Array) -> str:
        """No labels, or none that comes from the lexicon: another language, most likely."""
        known = values[np.isfinite(values).all(axis=1), COLUMNS.index("in_lexicon")]
        if known.any():
            return ""
        if not len(values):
            return "no utterance has a transcript of which it could mask a word"
        if not len(known):
            return (
                f"none of {len(values)} transcripts is English, and 'language: en' leaves others "
                "out, so that no word is masked. Set 'language: any', and 'lexicon' to a file of "
                "words and scores in their language"
            )
        lexicon = f"lexicon '{self.lexicon}'" if self.lexicon else "VADER's English lexicon"
        return (
            f"{lexicon} covers no word of {len(known)} transcripts, so that there is no sentiment "
            "to learn. Give one of their language: 'lexicon' is a file of words and scores"
        )

    def _strongest(self, text: str) -> Found | None:
        """The first word of the largest score, by its size; None where the lexicon knows none."""
        if self.lexicon:
            words = read_lexicon(Path(self.lexicon).expanduser(), self.largest).find(text)
        else:
            words = vader_words(text)
        allowed = [one for one in words if not self._kept(text[one.start : one.end])]
        return max(allowed, key=lambda one: abs(one.score), default=None)

    def _drawn(self, text: str, words: list[tuple[int, int]]) -> Found:
        """A word at random; one that is kept only where there is no other."""
        free = [span for span in words if not self._kept(text[slice(*span)])] or words
        digest = hashlib.sha256(f"{self.seed}\0{text}".encode()).digest()
        return Found(*free[int.from_bytes(digest[:8], "big") % len(free)], 0.0)

    def _kept(self, word: str) -> bool:
        return word in self.keep or negates(word)

    def _features(self, text: str, word: Found, real: bool = True) -> Features:
        scaled = word.score * self.scaled_to / self.largest
        row = np.array([[scaled, word.score != 0]], np.float32)
        span = np.array([[word.start, word.end]], np.int32)
        more = {TEXT: as_rows(text), "spans": Features(span, no_times(1), SPANS.columns)}
        return Features(row, no_times(1), COLUMNS, mask=np.array([real]), more=more)
