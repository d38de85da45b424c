"""Flow through the glottis by iterative adaptive inverse filtering (IAIF), cycle by cycle.

Source:
    Alku (1992), "Glottal wave analysis with pitch synchronous iterative adaptive inverse
    filtering", Speech Communication 11(2-3).
"""

from __future__ import annotations

import functools

import numpy as np

from ....cache.records import Array
from .lpc import symmetric_filter, without_tract
from .signal import hanning, rounded

#: Leak of the integration that undoes the radiation at the lips.
LEAK = 0.99
#: Windows of up to this many samples are kept for the next cycle.
KEPT = 2048


def glottal_flow(signal: Array, rate: int, closures: Array) -> tuple[Array, Array]:
    """Glottal flow and its derivative of all voiced speech, by overlapping cycles.

    Each closure's frame reaches one period to both sides; the period is the distance to the
    closure before, also where that lies before a pause: such a frame spans the pause.

    Args:
        signal: (n_samples,) mono, of positive polarity.
        rate: Hz.
        closures: (n,) int, samples of the residual's peaks, ascending; the frames are centred one
            sample earlier.

    Returns:
        The flow and its derivative, (n_samples,) each, in the signal's unit, 0 where there is no
        closure near.
    """
    flow, derivative = np.zeros(len(signal)), np.zeros(len(signal))
    if len(closures) < 2:
        return flow, derivative
    centres = closures - 1
    periods = np.diff(centres, prepend=2 * centres[0] - centres[1])
    for centre, period in zip(centres.tolist(), periods.tolist(), strict=True):
        first, stop = max(0, centre - period), min(len(signal), centre + period + 1)
        frame = np.asarray(signal[first:stop], np.float64)
        cycle = iaif(frame * _window(len(frame)), rate)
        if cycle is not None:
            flow[first:stop] += cycle[0]
            derivative[first:stop] += cycle[1]
    return flow, derivative


def iaif(frame: Array, rate: int) -> tuple[Array, Array] | None:
    """Glottal flow of one frame of voiced speech, and its derivative.

    Twice the effect of the glottis is estimated and taken off, to see the vocal tract; the vocal
    tract is taken off to see the glottis.

    Args:
        frame: (length,) two periods or more, windowed.
        rate: Hz.

    Returns:
        Flow and derivative, (length,) each; None for a frame no longer than the vocal tract's
        model (20 samples at 16 kHz), or without sound.
    """
    n_tract, n_glottis = 2 * rounded(rate / 2000) + 4, 2 * rounded(rate / 4000)
    if len(frame) <= n_tract:
        return None
    speech = symmetric_filter(_highpass(rate), frame)
    flow, derivative = without_tract(speech, _window(len(frame)), n_tract, n_glottis, LEAK)
    return (flow, derivative) if np.isfinite(derivative[-1]) else None


def _window(length: int) -> Array:
    """Windows of ordinary cycles are kept; those that span a pause would fill the memory."""
    return _short_window(length) if length <= KEPT else hanning(length)


@functools.lru_cache(maxsize=1024)
def _short_window(length: int) -> Array:
    return hanning(length)


@functools.lru_cache(maxsize=8)
def _highpass(rate: int) -> Array:
    """Linear-phase high-pass, stop up to 40 Hz, pass from 70 Hz: 301 taps at 16 kHz."""
    from scipy.signal import firls

    order = rounded(300 * rate / 16000)
    order += order % 2
    taps: Array = firls(order + 1, [0, 40, 70, rate / 2], [0, 0, 1, 1], fs=rate)
    return np.ascontiguousarray(taps)
