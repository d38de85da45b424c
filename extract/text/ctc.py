"""CTC: the likeliest path of a known transcript through posteriors, and what they say alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...cache.errors import BadInput
from ...cache.records import Array

#: Cells of frames x states whose steps are kept at once, one byte each. A longer alignment keeps
#: the scores of some frames only and goes over the frames between them a second time.
CELLS = 64 << 20
FORBIDDEN = -math.inf


@dataclass(frozen=True, eq=False)
class Alignment:
    """Where each token of a transcript was emitted.

    Args:
        starts: (n_tokens,) int64 first frame.
        ends: (n_tokens,) int64 last frame, half open: at least one after ``starts``, at most the
            next token's start.
        scores: (n_tokens,) float64 in [0, 1], the mean of the token's posterior over its frames.
        log_prob: of the whole path, natural logarithm.
    """

    starts: Array
    ends: Array
    scores: Array
    log_prob: float


def align(log_probs: Array, tokens: Sequence[int], blank: int = 0, cells: int = CELLS) -> Alignment:
    """Viterbi path of a token sequence through CTC posteriors.

    States are the tokens with a blank before, between and behind them. From frame to frame a path
    stays, goes to the next state, or skips the blank between two different tokens; it starts in
    one of the first two states and ends in one of the last two. Of equally likely steps it stays.

    Time is O(n_frames x n_tokens), memory O(cells + sqrt(n_frames) x n_tokens).

    Args:
        log_probs: (n_frames, n_vocabulary) natural logarithms of the posteriors; -inf is allowed.
        tokens: (n_tokens,) numbers of the transcript's tokens, none of them the blank.
        blank: number of the blank.
        cells: frames x states whose steps are kept at once.

    Raises:
        BadInput: no token; fewer frames than the tokens need; no path has a probability above 0.

    Source:
        Graves et al. (2006), "Connectionist Temporal Classification", ICML, section 4.1 (the states
        and their steps; the maximum in place of the sum). Kuerzinger et al. (2020),
        "CTC-Segmentation of Large Corpora for German End-to-end Speech Recognition",
        arXiv:2007.09127, align a transcript by the same posteriors; they let a long recording
        begin anywhere, here the whole transcript covers the whole sound.
    """
    labels, skips = _states(tokens, blank)
    _check(log_probs, tokens, labels)
    n_frames, n_states = len(log_probs), len(labels)
    block = max(math.isqrt(n_frames) + 1, cells // n_states)
    alpha = np.full(n_states, FORBIDDEN)
    alpha[:2] = log_probs[0, labels[:2]]
    kept = {0: alpha}  # first frame of a block -> scores of the states there
    for first in range(0, n_frames - 1, block):
        last = min(first + block, n_frames - 1)
        alpha, moves = _advance(log_probs[first : last + 1], labels, kept[first], skips)
        kept[last] = alpha
    state = n_states - 1 if alpha[-1] > alpha[-2] else n_states - 2
    score = float(alpha[state])
    if score == FORBIDDEN:
        raise BadInput("the posteriors give no path of this transcript a probability above 0")
    path = np.empty(n_frames, np.int64)
    path[-1] = state
    last = n_frames - 1
    for first in reversed(range(0, n_frames - 1, block)):
        if last != n_frames - 1:  # the steps of the last block are at hand
            _, moves = _advance(log_probs[first : last + 1], labels, kept[first], skips)
        for frame in range(last - 1, first - 1, -1):
            path[frame] = path[frame + 1] - moves[frame - first, path[frame + 1]]
        last = first
    return _alignment(log_probs, labels, path, score)


def _states(tokens: Sequence[int], blank: int) -> tuple[Array, Array]:
    """Label of each state, and 0 where a path may come from two states before, else -inf."""
    labels = np.full(2 * len(tokens) + 1, blank, np.int64)
    labels[1::2] = tokens
    skips = np.full(len(labels), FORBIDDEN)
    skips[2:][(labels[2:] != blank) & (labels[2:] != labels[:-2])] = 0.0
    return labels, skips


def _check(log_probs: Array, tokens: Sequence[int], labels: Array) -> None:
    if not len(tokens):
        raise BadInput("there is no token to align")
    needed = len(tokens) + int(np.sum(labels[1:-2:2] == labels[3::2]))
    if len(log_probs) < needed:
        raise BadInput(
            f"{len(tokens)} tokens need at least {needed} frames, the sound has {len(log_probs)}"
        )
    if np.isnan(log_probs).any():
        raise BadInput("the posteriors hold NaN")


def _advance(log_probs: Array, labels: Array, alpha: Array, skips: Array) -> tuple[Array, Array]:
    """Take a block of frames, vectorised over the states.

    Args:
        log_probs: (n + 1, n_vocabulary); row 0 is the frame that ``alpha`` belongs to.
        labels: (n_states,) number of each state's label.
        alpha: (n_states,) scores before.
        skips: (n_states,) 0 where the state before the last one may be skipped.

    Returns:
        Scores after the last frame, and (n, n_states) uint8: by how many states each moved on.
    """
    moves = np.empty((len(log_probs) - 1, len(alpha)), np.uint8)
    padded = np.full(len(alpha) + 2, FORBIDDEN)
    stay, step, skip = padded[2:], padded[1:-1], padded[:-2]
    stay[:] = alpha
    skipped = np.empty_like(alpha)
    for frame in range(len(moves)):
        np.add(skip, skips, out=skipped)
        moves[frame] = step > stay
        best = np.maximum(stay, step)
        moves[frame][skipped > best] = 2
        np.maximum(best, skipped, out=best)
        best += log_probs[frame + 1].take(labels)
        stay[:] = best
    return stay.copy(), moves


def _alignment(log_probs: Array, labels: Array, path: Array, score: float) -> Alignment:
    frames = np.flatnonzero(path % 2 == 1)  # odd states are tokens
    owner = path[frames] // 2
    n_tokens = len(labels) // 2
    starts = frames[np.searchsorted(owner, np.arange(n_tokens), "left")]
    ends = frames[np.searchsorted(owner, np.arange(n_tokens), "right") - 1] + 1
    posteriors = np.exp(log_probs[frames, labels[path[frames]]].astype(np.float64))
    sums = np.bincount(owner, posteriors, n_tokens)
    return Alignment(starts, ends, sums / np.bincount(owner, minlength=n_tokens), score)


def greedy(log_probs: Array, blank: int = 0) -> tuple[Array, Alignment]:
    """The likeliest token of each frame, repeats joined, blanks dropped.

    Args:
        log_probs: (n_frames, n_vocabulary) natural logarithms of the posteriors.
        blank: number of the blank.

    Returns:
        (n_tokens,) int64 tokens, perhaps none, and where each was emitted.

    Source:
        Graves et al. (2006), section 3.2, "best path decoding".
    """
    best = log_probs.argmax(axis=1)
    starts = np.flatnonzero(np.diff(best, prepend=-1))
    ends = np.append(starts[1:], len(best))
    real = best[starts] != blank
    starts, ends = starts[real], ends[real]
    posteriors = np.exp(log_probs[np.arange(len(best)), best].astype(np.float64))
    sums = np.concatenate([[0.0], np.cumsum(posteriors)])
    scores = (sums[ends] - sums[starts]) / np.maximum(ends - starts, 1)
    total = float(np.log(posteriors).sum()) if len(best) else 0.0
    return best[starts], Alignment(starts, ends, scores, total)
