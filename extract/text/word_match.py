"""Words with times, brought onto the words of a transcript; only spelling is compared."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np

from ...cache.errors import BadInput
from ...cache.records import Array, no_times
from .word_files import Word


def match(words: Sequence[Word], text: str, spans: Sequence[tuple[int, int]]) -> Array:
    """Times of a transcript's words from those of the same words in a file.

    Both are compared letter by letter; case, accents, punctuation and symbols do not count, and
    neither does where one word ends and the next begins. Letters of a word in the file share its
    time evenly, so that a word that the transcript splits (Chinese characters) is split in time,
    and one that it joins ("do n't") lasts from the first part to the last.

    Args:
        words: of the file, in order.
        text: the transcript.
        spans: its words; see ``word_spans``.

    Returns:
        (n_words, 2) float64 seconds; NaN for a word without a letter or digit (an emoji).

    Raises:
        BadInput: they are not the same words; the first that differs is named.
    """
    said = [(c, w, k) for w, word in enumerate(words) for k, c in enumerate(letters(word.text))]
    sizes = [len(letters(word.text)) for word in words]
    written = [(c, i) for i, (start, end) in enumerate(spans) for c in letters(text[start:end])]
    for at in range(max(len(said), len(written))):
        if at >= min(len(said), len(written)) or said[at][0] != written[at][0]:
            theirs = words[said[at][1]].text if at < len(said) else ""
            ours = text[slice(*spans[written[at][1]])] if at < len(written) else ""
            raise BadInput(_difference(theirs, ours))
    times = no_times(len(spans))
    for (_, w, k), (_, i) in zip(said, written, strict=True):
        word = words[w]
        part = (word.end - word.start) / sizes[w]
        if np.isnan(times[i, 0]):
            times[i, 0] = word.start + k * part
        times[i, 1] = word.end if k == sizes[w] - 1 else word.start + (k + 1) * part
    return times


def letters(word: str) -> str:
    """Letters and digits of a word, without case and accents.

    >>> letters("Café's") == letters("cafes")
    True
    """
    parts = unicodedata.normalize("NFKD", word).casefold()
    return "".join(c for c in parts if unicodedata.category(c)[0] in "LN")


def _difference(theirs: str, ours: str) -> str:
    if not theirs:
        return f"the file has no word for '{ours}' of the transcript"
    if not ours:
        return f"the file's word '{theirs}' comes after the transcript's last"
    return (
        f"the file has '{theirs}' where the transcript has '{ours}'; they must be the same words "
        "(case and punctuation do not count)"
    )
