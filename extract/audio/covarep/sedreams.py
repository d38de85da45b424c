"""Instants of glottal closure by SEDREAMS: one a voiced cycle.

Source:
    Drugman and Dutoit (2009), "Glottal closure and opening instant detection from speech signals",
    Interspeech; Drugman et al. (2012), "Detection of glottal closure instants from speech signals:
    a quantitative review", IEEE Transactions on Audio, Speech and Language Processing 20(3).
"""

from __future__ import annotations

import math

import numpy as np

from ....cache.records import Array
from .residual import lp_residual
from .signal import blackman, forward_backward, half_away, highpass, interpolated, rounded
from .srh import Pitch

#: A residual above this share of its maximum surely marks a closure.
SURE = 0.4
#: The closure lies within this share of the rise of the mean-based signal around the usual place.
REACH = 0.35


def glottal_closures(
    signal: Array, rate: int, pitch: Pitch, residual: Array | None = None
) -> Array:
    """Instants at which the glottis closes, in voiced speech.

    A mean over 1.7 periods leaves an oscillation with one rise in each cycle; the closure is the
    residual's highest peak around the place in that rise at which the file's strongest peaks lie.

    Args:
        signal: (n_samples,) mono, of positive polarity.
        rate: Hz.
        pitch: of this signal; only its median and its voicing count.
        residual: ``lp_residual(signal, rate)``, where it is there already; NaN counts as 0.

    Returns:
        (n,) int, ascending numbers of samples (from 0) of the residual's peaks; COVAREP's own list
        is one sample earlier. Empty where nothing is voiced or the sound is shorter than the mean.
    """
    if residual is None:
        residual = lp_residual(signal, rate)
    mean = mean_based_signal(signal, rate, pitch.median)
    troughs, rises = _rises(mean)
    if not len(troughs):
        return np.empty(0, np.int64)
    residual = np.nan_to_num(residual)
    peak = np.abs(residual).max()
    place = _usual_place(residual, SURE * peak, troughs, rises)
    first = troughs + half_away((place - REACH) * rises).astype(np.int64)
    last = troughs + half_away((place + REACH) * rises).astype(np.int64)
    first, last = np.maximum(first, 0), np.minimum(last, len(residual) - 1)
    found = [
        a + int(np.argmax(residual[a : b + 1]))
        for a, b in zip(first.tolist(), last.tolist(), strict=True)
        if b >= a
    ]
    closures: Array = np.unique(np.array(found, np.int64))
    share = interpolated(closures - 1, pitch.centres, pitch.voiced.astype(float))
    kept: Array = closures[(closures >= 1) & (np.nan_to_num(share) >= 0.5)]
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

    nothing = np.zeros(len(signal))
    if not math.isfinite(f0):
        return nothing
    half = rounded(1.7 * rounded(rate / f0) / 2)
    b, a = highpass(50, 30, rate)
    if len(signal) <= max(2 * half, 3 * (len(a) - 1)):
        return nothing
    window = blackman(2 * half + 1)
    mean = nothing
    mean[half : len(signal) - half] = oaconvolve(
        np.asarray(signal, np.float64), window / len(window), mode="valid"
    )
    mean = forward_backward(b, a, mean)
    peak = np.abs(mean).max()
    return mean / peak if peak > 0 else mean


def _rises(mean: Array) -> tuple[Array, Array]:
    """Each minimum (sample) and the length (samples) of the rise to the maximum after it."""
    troughs, crests = local_maxima(-mean), local_maxima(mean)
    if len(troughs) and len(crests):
        crests = crests[crests > troughs[0]]
    if len(troughs) and len(crests):
        troughs = troughs[troughs < crests[-1]]
    n = min(len(troughs), len(crests))
    return troughs[:n], crests[:n] - troughs[:n]


def local_maxima(line: Array) -> Array:
    """Samples higher than both neighbours; of a plateau the first, (n,) int."""
    change = np.flatnonzero(np.diff(line))  # the last sample of each level
    rising = line[change + 1] > line[change] if len(change) else np.empty(0, bool)
    turn = rising[:-1] & ~rising[1:]
    maxima: Array = change[:-1][turn] + 1
    return maxima


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
