"""Instants of glottal closure by SEDREAMS: one a voiced cycle.

Source:
    Drugman and Dutoit (2009), "Glottal closure and opening instant detection from speech signals",
    Interspeech; Drugman et al. (2012), "Detection of glottal closure instants from speech signals:
    a quantitative review", IEEE Transactions on Audio, Speech and Language Processing 20(3).
"""

from __future__ import annotations

import math

import numba
import numpy as np

from ....cache.records import Array
from .signal import (
    PIECE,
    blackman,
    forward_backward,
    half_away,
    highpass,
    rounded,
)
from .srh import Pitch

#: A residual above this share of its maximum surely marks a closure.
SURE = 0.4
#: The closure lies within this share of the rise of the mean-based signal around the usual place.
REACH = 0.35


def closures_in_rises(residual: Array, rises: tuple[Array, Array], pitch: Pitch) -> Array:
    """Instants at which the glottis closes, in voiced speech of positive polarity.

    A mean over 1.7 periods leaves an oscillation with one rise in each cycle; the closure is the
    residual's highest peak around the place in that rise at which the file's strongest peaks lie.

    Args:
        residual: (n_samples,) of linear prediction, without NaN.
        rises: of the signal; see ``mean_based_rises``.
        pitch: of the signal; only its voicing counts.

    Returns:
        (n,) int, ascending numbers of samples (from 0) of the residual's peaks; COVAREP's own list
        is one sample earlier. Empty where nothing is voiced or the sound is shorter than the mean.
    """
    troughs, lengths = rises
    if not len(troughs):
        return np.empty(0, np.int64)
    peak = max(residual.max(), -residual.min())
    place = _usual_place(residual, SURE * peak, troughs, lengths)
    first = troughs + half_away((place - REACH) * lengths).astype(np.int64)
    last = troughs + half_away((place + REACH) * lengths).astype(np.int64)
    first, last = np.maximum(first, 0), np.minimum(last, len(residual) - 1)
    found = [
        a + int(np.argmax(residual[a : b + 1]))
        for a, b in zip(first.tolist(), last.tolist(), strict=True)
        if b >= a
    ]
    closures: Array = np.unique(np.array(found, np.int64))
    kept: Array = closures[(closures >= 1) & pitch.voiced_at(closures - 1)]
    return kept


def mean_based_signal(signal: Array, rate: int, f0: float) -> Array:
    """Mean of the speech over 1.7 periods (Blackman window), without what is under 50 Hz.

    It swings once a cycle, whatever the vowel.

    Args:
        signal: (n_samples,) mono.
        rate: Hz.
        f0: typical F0 of the voice, Hz.

    Returns:
        (n_samples,) in [-1, 1]; all 0 where ``f0`` is NaN, or the sound is too short.
    """
    from scipy.signal import oaconvolve

    mean = np.zeros(len(signal))
    if not math.isfinite(f0):
        return mean
    half = rounded(1.7 * rounded(rate / f0) / 2)
    b, a = highpass(50, 30, rate)
    if len(signal) <= max(2 * half, 3 * (len(a) - 1)):
        return mean
    window = blackman(2 * half + 1) / (2 * half + 1)
    for begin in range(half, len(signal) - half, PIECE):
        stop = min(begin + PIECE, len(signal) - half)
        around = np.asarray(signal[begin - half : stop + half], np.float64)
        mean[begin:stop] = oaconvolve(around, window, mode="valid")
    mean = forward_backward(b, a, mean)
    peak = max(mean.max(), -mean.min())
    if peak > 0:
        mean /= peak
    return mean


def mean_based_rises(signal: Array, rate: int, f0: float, sign: int = 1) -> tuple[Array, Array]:
    """Rises of the mean-based signal, one a cycle: samples of the minima, and lengths in samples.

    Args:
        signal: (n_samples,) mono.
        rate: Hz.
        f0: typical F0 of the voice, Hz.
        sign: -1 where the signal is of negative polarity.
    """
    mean = mean_based_signal(signal, rate, f0)
    troughs, crests = local_maxima(mean, -float(sign)), local_maxima(mean, float(sign))
    if len(troughs) and len(crests):
        crests = crests[crests > troughs[0]]
    if len(troughs) and len(crests):
        troughs = troughs[troughs < crests[-1]]
    n = min(len(troughs), len(crests))
    return troughs[:n], crests[:n] - troughs[:n]


@numba.njit(cache=True, nogil=True)
def local_maxima(line: Array, sign: float = 1.0) -> Array:
    """Samples of ``sign * line`` higher than both neighbours; of a plateau the first; (n,) int."""
    found = np.empty(len(line), np.int64)
    n = 0
    since = 0  # first sample of the level that the line is on; 0: it did not rise to it
    for k in range(1, len(line)):
        change = sign * (line[k] - line[k - 1])
        if change > 0:
            since = k
        elif change < 0:
            if since > 0:
                found[n] = since
                n += 1
            since = 0
    return found[:n].copy()


def _usual_place(residual: Array, sure: float, troughs: Array, rises: Array) -> float:
    """Where in a rise the strongest residual peaks lie: median share of it; 0 without any."""
    strong = np.flatnonzero(residual > sure)
    if not len(strong):
        return 0.0
    after = np.clip(np.searchsorted(troughs, strong), 1, max(len(troughs) - 1, 1))
    before, after = after - 1, np.minimum(after, len(troughs) - 1)
    nearer = np.abs(troughs[after] - strong) < np.abs(troughs[before] - strong)
    nearest = np.where(nearer, after, before)
    return float(np.median((strong - troughs[nearest]) / rises[nearest]))
