"""Hidden states of a text's tokens as the rows that were asked for: tokens, words, one for all."""

from __future__ import annotations

import numpy as np

from ...cache.errors import EmptyTranscript
from ...cache.records import Array, ArraySpec, Features, no_times
from .tokens import Tokens
from .words import word_spans

LEVELS = ("token", "word", "cls", "mean")
SPANS = ArraySpec((2,), "int32", ("start", "end"))
TOKENS = ArraySpec((2,), "int32", ("input_id", "special"))


def token_rows(tokens: Tokens, values: Array) -> Features:
    """A row a token: ``values`` (n, D), its characters, its number."""
    numbers = np.stack([tokens.ids, tokens.special], axis=1).astype(np.int32)
    times = no_times(len(tokens))
    more = {
        "spans": Features(tokens.spans, times, SPANS.columns),
        "tokens": Features(numbers, times, TOKENS.columns),
    }
    return Features(values, times, more=more)


def mean_row(tokens: Tokens, values: Array) -> Features:
    """One row (1, D), the mean over tokens; its characters are those that they cover."""
    inside = tokens.spans[~tokens.special]
    span = np.array([[inside[:, 0].min(), inside[:, 1].max()]], np.int32)
    mean = values.mean(axis=0, keepdims=True, dtype=np.float64).astype(values.dtype)
    return Features(mean, no_times(1), more={"spans": Features(span, no_times(1), SPANS.columns)})


def word_rows(text: str, tokens: Tokens, values: Array) -> Features:
    """A row a word: the mean over the tokens that cover some of its characters.

    A token that covers several words (a Chinese word of several characters) counts for each of
    them; added tokens and punctuation that touches no word count for none. A word without a
    token (control characters, which tokenizers drop) is a masked row of zeros.

    Raises:
        EmptyTranscript: the text has no word.
    """
    spans = np.array(word_spans(text), np.int32).reshape(-1, 2)
    if not len(spans):
        raise EmptyTranscript(f"no word in the transcript {text[:60]!r}")
    starts, ends = spans[:, 0], spans[:, 1]
    first = np.searchsorted(ends, tokens.spans[:, 0], "right")  # (n_tokens,) first word met
    last = np.searchsorted(starts, tokens.spans[:, 1], "left")  # half open
    n_met = np.where(tokens.special, 0, np.maximum(last - first, 0))
    token = np.repeat(np.arange(len(tokens)), n_met)
    step = np.arange(len(token)) - np.repeat(np.cumsum(n_met) - n_met, n_met)
    word = np.repeat(first, n_met) + step
    order = np.argsort(word, kind="stable")
    found, begins, counts = np.unique(word[order], return_index=True, return_counts=True)
    pooled = np.zeros((len(spans), values.shape[1]), values.dtype)
    if len(found):
        sums = np.add.reduceat(values[token[order]], begins, axis=0, dtype=np.float64)
        pooled[found] = sums / counts[:, None]
    mask = np.isin(np.arange(len(spans)), found)
    times = no_times(len(spans))
    return Features(pooled, times, mask=mask, more={"spans": Features(spans, times, SPANS.columns)})
