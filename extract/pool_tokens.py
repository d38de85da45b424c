"""Features of tokens: the mean of any feature's rows over the time of each token's word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..cache.errors import BadInput
from ..cache.records import Array, Features, no_times
from .base import ANY, Needs
from .clip import Clip
from .pool_words import PoolWords
from .text.words import word_spans


@dataclass(frozen=True)
class PoolTokens(PoolWords):
    """Any feature averaged over the word of each token, one row a token: beside sub-word states.

    ``values`` (n_tokens, ...) is what ``pool-words`` gives the word whose characters the token
    overlaps, so that all tokens of a word have the same row; a token that overlaps several words
    (some Chinese ones) lasts from the first of them to the last. Added tokens ([CLS], [SEP]),
    punctuation that stands alone, and tokens of words without a time or a real row are masked.
    So the rows stand beside those of ``hf-text`` at its level ``token``.

    Reads ``tokens`` (``hf-text`` at that level, ``hf-tokens``), ``words`` (``word-times``,
    ``word-times-file``, ``asr``), both of the same transcript, and ``any`` feature whose rows have
    times. In a recipe::

        text:    {extract: hf-text, model: FOLDER, layer: 0}
        words:   {extract: word-times, model: FOLDER}
        sound:   {extract: librosa-33}
        aligned: {extract: pool-tokens, on: {tokens: text, words: words, any: sound}}

    Args:
        collapse: what becomes of the rows of a word, as in ``pool-words``.
        nearest: whether a word between two rows takes the nearest; False: it is masked.

    Source:
        Rahman et al. (2020), "Integrating Multimodal Information in Large Pretrained
        Transformers", ACL, arXiv:1908.05787, section 4.2: every token of a word gets its sound
        and sight.
    """

    name: ClassVar[str] = "pool-tokens"
    version: ClassVar[int] = 1
    rows: ClassVar[str] = "a token"
    paper: ClassVar[str] = "Rahman et al. (2020)"

    @property
    def needs(self) -> Needs:
        return Needs(text=True, features=("tokens", "words", ANY))

    def units(self, clip: Clip) -> Features:
        """Times of tokens, (n_tokens, 2).

        Raises:
            BadInput: words or tokens are of another transcript.
        """
        words, tokens = self.upstream(clip, "words"), self.upstream(clip, "tokens")
        if "spans" not in words.more:
            raise BadInput(
                f"'{clip.id}': the words are only times, and not their places in the transcript, "
                "which tokens need: take the words of word-times or word-times-file"
            )
        spans, met = words["spans"].values, tokens["spans"].values
        if spans.tolist() != [list(span) for span in word_spans(clip.text)]:
            raise BadInput(
                f"'{clip.id}': the {len(spans)} words are not those of the transcript "
                f"{clip.text[:60]!r}; where a node heard them, add 'transcript' to what "
                f"'{self.name}' is on"
            )
        if met.max(initial=0) > len(clip.text):
            raise BadInput(
                f"'{clip.id}': the tokens go up to character {met.max()}, the transcript "
                f"{clip.text[:60]!r} has {len(clip.text)}: they are of another one"
            )
        return word_times_of(met, words)


def word_times_of(spans: Array, words: Features) -> Features:
    """When the words are spoken that some characters belong to.

    Args:
        spans: (n, 2) first and last (half open) character; an empty one belongs to no word.
        words: their ``spans``, in order and apart; times, NaN where masked.

    Returns:
        ``values`` (n, 1), nothing; the times, masked where no such word has one.
    """
    own = words["spans"].values
    times = no_times(len(spans))
    for i, (start, end) in enumerate(spans):
        first = np.searchsorted(own[:, 1], start, "right")
        last = np.searchsorted(own[:, 0], end, "left")  # half open
        spoken = words.times[first:last][words.mask[first:last]] if end > start else no_times(0)
        spoken = spoken[np.isfinite(spoken).all(axis=1)]
        if len(spoken):
            times[i] = spoken[:, 0].min(), spoken[:, 1].max()
    return Features(np.zeros((len(spans), 1)), times, mask=~np.isnan(times[:, 0]))
