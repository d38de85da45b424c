"""Transcripts longer than a model reads at once: overlapping windows, and one answer from them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...cache.errors import BadCall, BadInput, EmptyTranscript
from ...cache.records import Array
from ..clip import Clip
from .tokens import Tokens

#: What to do with a text that is longer than a model reads at once.
LONG = ("error", "truncate", "window")
#: All tokens of a text, and the parts in which a model reads them.
Read = tuple[Tokens, list[Tokens]]


def within_limit(
    clip: Clip, tokens: Tokens, limits: Sequence[int | None], long: str, ways_out: Sequence[str]
) -> Read:
    """A text's tokens under the policy for long ones, and the parts in which a model reads them.

    Args:
        clip: whose transcript it is.
        tokens: of its whole transcript.
        limits: numbers of tokens, the least of which counts; None: no limit.
        long: one of ``LONG``.
        ways_out: policies that an error may name.

    Raises:
        EmptyTranscript: there is no token but added ones.
        BadInput: there are more than the limit, and the policy is ``error``.
    """
    if tokens.special.all():
        raise EmptyTranscript(f"'{clip.id}' has no token in its transcript {clip.text[:60]!r}")
    most = min((limit for limit in limits if limit is not None), default=len(tokens))
    if len(tokens) <= most:
        return tokens, [tokens]
    if long == "error":
        raise BadInput(
            f"the transcript of '{clip.id}' has {len(tokens)} tokens, the limit is {most}; "
            f"set long to {' or '.join(map(repr, ways_out))}"
        )
    found = windows(tokens, most)
    return (found[0], found[:1]) if long == "truncate" else (tokens, found)


def windows(tokens: Tokens, limit: int) -> list[Tokens]:
    """Cut a text into windows of at most ``limit`` tokens that overlap by half.

    Each window gets the tokens that the tokenizer added before and after the whole text.

    Raises:
        BadCall: the added tokens alone fill the limit.
    """
    before, after = tokens.added
    n = len(tokens) - before - after
    size = limit - before - after
    if size < 2:
        raise BadCall(
            f"a limit of {limit} tokens leaves no room beside {before + after} added ones"
        )
    starts = _starts(n, size)
    head, tail = np.arange(before), np.arange(len(tokens) - after, len(tokens))
    return [
        tokens[np.concatenate([head, before + np.arange(s, min(s + size, n)), tail])]
        for s in starts
    ]


def _starts(n: int, size: int) -> list[int]:
    """First tokens of the windows over n tokens; the last window ends with the text."""
    step = max(1, size // 2)
    starts = list(range(0, max(n - size, 0), step))
    return [*starts, max(n - size, 0)]


def joined(tokens: Tokens, states: Sequence[Array], causal: bool = False) -> Array:
    """One state for each token of a text from the states of its windows.

    Each token is taken from the window that shows it farthest from an end (the earlier of two);
    the added tokens before the text from the first window, those after it from the last.

    Args:
        tokens: the whole text.
        states: (n_window, D) for each of its windows, all of one length.
        causal: the model sees only what stands before a token, so that only a window's first
            end counts.

    Returns:
        (n_tokens, D).
    """
    if len(states) == 1:
        return states[0]
    before, after = tokens.added
    n = len(tokens) - before - after
    size = len(states[0]) - before - after
    places = np.arange(n)
    starts = np.array(_starts(n, size))[:, None]
    # How far from an end each window shows each token, (n_windows, n); negative: not at all.
    behind, ahead = places - starts, starts + size - 1 - places
    room = np.where(ahead < 0, ahead, behind) if causal else np.minimum(behind, ahead)
    best = room.argmax(axis=0)
    inside = np.stack([states[w][before + i - starts[w, 0]] for i, w in enumerate(best)])
    return np.concatenate([states[0][:before], inside, states[-1][before + size :]])
