"""Where somebody speaks in a long recording, told by the loudness of its sound alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from av.audio.frame import AudioFrame

from ...cache.records import Array
from ..container import open_media
from ..decoding import MAX_SECONDS, Decoded
from ..sound import mono

#: Frames of loudness a second, and how many of them are averaged.
RATE, SMOOTH = 100, 5
#: Seconds of sound that are added up at once; times in a file are rounded by up to so many.
BLOCK, ROUNDING = 5.0, 0.002
#: Loudness of silence, dB re full scale: that of digital zeros would be -inf.
SILENCE = -90.0
#: With less than this many dB between quiet and loud no pauses can be told: all is taken.
FLAT = 9.0
#: Pauses up to this many seconds do not part speech.
PAUSE = 0.5
#: Seconds taken beside speech, and the shortest speech worth taking.
MARGIN, SHORTEST = 0.15, 1.0


def spans_of_speech(path: str | Path, longest: float) -> list[tuple[float, float]]:
    """Stretches of a recording in which somebody speaks, start and end in seconds.

    Loud is what lies above a threshold between the recording's quiet and loud frames (Otsu's);
    stretches of it that pauses of up to 0.5 s part are one. One longer than ``longest`` is cut at
    the quietest moment of its second half, again and again. Loud music is taken for speech.

    Args:
        path: the recording.
        longest: seconds that no stretch is longer than; at least 2.

    Raises:
        BadMedia: the file cannot be decoded, or has no sound (``NoAudio``).
        BadInput: it is longer than ``MAX_SECONDS``.

    Source:
        Otsu (1979), "A threshold selection method from gray-level histograms", IEEE Transactions
        on Systems, Man, and Cybernetics 9, 62-66; of loudness in dB instead of grey levels.
    """
    level = np.convolve(loudness(path), np.full(SMOOTH, 1 / SMOOTH), "same")
    found: list[tuple[int, int]] = []
    for begin, end in _runs(level > _threshold(level)):
        if end - begin >= SHORTEST * RATE:
            left = max(begin - round(MARGIN * RATE), 0)
            right = min(end + round(MARGIN * RATE), len(level))
            found += _cut(level, left, right, round(longest * RATE))
    return [(begin / RATE, end / RATE) for begin, end in found]


def loudness(path: str | Path) -> Array:
    """Loudness of each hundredth of a second, (n,) in dB re full scale, at least ``SILENCE``.

    Raises:
        BadMedia: the file cannot be decoded, or has no sound (``NoAudio``).
        BadInput: it is longer than ``MAX_SECONDS``.
    """
    power, counts = np.zeros((2, round(MAX_SECONDS) * RATE))
    n = 0
    with open_media(path) as source:
        decoding = source.sound()
        for rate, place, samples in _blocks(decoding.frames()):
            places = (place + np.arange(len(samples))) * RATE // rate
            inside = (places >= 0) & (places < len(power))
            if inside.any():
                first = int(places[inside][0])
                sums = np.bincount(places[inside] - first, samples[inside].astype(np.float64) ** 2)
                n = max(n, first + len(sums))
                power[first : first + len(sums)] += sums
                counts[first : first + len(sums)] += np.bincount(places[inside] - first)
        decoding.check(None)
    floor = 10 ** (SILENCE / 10)
    found: Array = 10 * np.log10(np.maximum(power[:n] / np.maximum(counts[:n], 1), floor))
    return found


def _blocks(frames: Iterable[Decoded[AudioFrame]]) -> Iterator[tuple[int, int, Array]]:
    """Frames that follow one another as blocks: rate in Hz, number of the first sample, samples."""
    pieces: list[Array] = []
    rate = first = end = 0
    for item in frames:
        own = item.frame.sample_rate
        place = round(item.start * own)
        follows = own == rate and abs(place - end) <= ROUNDING * rate
        if pieces and not (follows and end - first < BLOCK * rate):
            yield rate, first, np.nan_to_num(np.concatenate(pieces))
            pieces = []
        if not pieces:
            rate, first, end = own, place, place
        pieces.append(mono(item.frame))
        end += item.frame.samples
    if pieces:
        yield rate, first, np.nan_to_num(np.concatenate(pieces))


def _threshold(level: Array) -> float:
    """Loudness that best parts quiet frames from loud ones; below all where nothing does."""
    low, high = np.percentile(level, [5, 95])
    if high - low < FLAT:
        return -np.inf
    counts, edges = np.histogram(level, 64, (low, high))
    middles = (edges[1:] + edges[:-1]) / 2
    below, above = np.cumsum(counts)[:-1], np.cumsum(counts[::-1])[::-1][1:]
    sums = np.cumsum(counts * middles)
    means = sums[:-1] / np.maximum(below, 1), (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    return float(edges[1:-1][np.argmax(below * above * (means[1] - means[0]) ** 2)])


def _runs(loud: Array) -> list[tuple[int, int]]:
    """First frame and the one after the last of each stretch, short pauses included."""
    steps = np.flatnonzero(np.diff(np.concatenate([[False], loud, [False]]).astype(np.int8)))
    joined: list[tuple[int, int]] = []
    for begin, end in steps.reshape(-1, 2).tolist():
        if joined and begin - joined[-1][1] <= PAUSE * RATE:
            joined[-1] = joined[-1][0], end
        else:
            joined.append((begin, end))
    return joined


def _cut(level: Array, begin: int, end: int, longest: int) -> Sequence[tuple[int, int]]:
    """A stretch in pieces of at most ``longest`` frames, none of them a mere rest."""
    pieces = []
    while end - begin > longest:
        # The last cut leaves a rest of more than half of the shortest piece.
        stop = min(begin + longest, end - longest // 4)
        at = begin + longest // 2 + int(np.argmin(level[begin + longest // 2 : stop]))
        pieces.append((begin, at))
        begin = at
    return [*pieces, (begin, end)]
