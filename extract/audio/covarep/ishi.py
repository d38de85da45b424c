"""Creak after Ishi: pulses far apart, seen in short-term power and in how alike they are.

Source:
    Ishi, Sakakibara, Ishiguro and Hagita (2008), "A method for automatic detection of vocal fry",
    IEEE Transactions on Audio, Speech, and Language Processing 16(1); with the settings of
    Drugman, Kane and Gobl (2014), Computer Speech and Language 28(5).
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from ....cache.records import Array
from .signal import half_away, interpolated, rounded

#: Pass band of the voice's pulses, Hz, and where 40 dB are reached.
PASS, STOP = (100, 1500), (50, 3000)
#: Short-term power: length of a frame and step, seconds.
POWER_LENGTH, POWER_HOP = 0.004, 0.002
#: Frames of the periodicity: length and step, seconds.
LENGTH, HOP = 0.032, 0.010
#: Largest lag, and half the length of the pulses that are compared, seconds.
MAX_LAG, PULSE = 0.015, 0.0075
#: Width of the search about a multiple of a period, seconds.
WIDTH = 0.001
#: dB by which a peak of the power stands out, dB under the highest at which none counts any more.
STANDS_OUT, DEEPEST = 2, 30
#: Frames from a peak to where it must stand out, and in which the power's fall is looked for.
AWAY, SLOPE = 3, 5
#: Seconds between peaks above which they are not compared, and for which a peak stands.
FARTHEST, HELD = 0.1, 0.035
#: Periodicity below which its neighbours before are not periodic either.
PERIODIC = 0.5
#: Frames that are transformed at once; bounds the memory, changes no number.
PIECE = 256


@dataclass(frozen=True, eq=False)
class Ishi:
    """What Ishi's method measures, on n rows.

    Args:
        periodicity: (n,) intra-frame periodicity in [0, 1].
        similarity: (n,) of a pulse to the one before, at most 1; 0 without.
        fall: (n,) dB by which the power falls after a pulse.
        rise: (n,) dB by which it rises before a pulse.
    """

    periodicity: Array
    similarity: Array
    fall: Array
    rise: Array


def ishi_features(signal: Array, rate: int, n_rows: int) -> Ishi:
    """Measure pulses and periodicity.

    Args:
        signal: (n_samples,) float64 mono.
        rate: Hz.
        n_rows: spread evenly from the first to the last sample, as COVAREP spreads them.
    """
    from scipy.signal import butter, buttord, sosfiltfilt

    order, edges = buttord(PASS, STOP, 3, 40, fs=rate)
    sections = butter(order, edges, "bandpass", fs=rate, output="sos")
    band = sosfiltfilt(sections, signal, padlen=min(6 * order, len(signal) - 1))
    band = np.ascontiguousarray(band)
    at = half_away(np.linspace(0, len(signal) - 1, n_rows))
    centres, periodic = periodicity(band, rate)
    power = power_contour(band, rate)
    peaks = power_peaks(power)
    where = rounded(POWER_HOP * rate) * peaks + rounded(POWER_LENGTH * rate) // 2
    around = np.lib.stride_tricks.sliding_window_view(np.pad(power, SLOPE, "edge"), SLOPE)
    rise = power[peaks] - around[peaks].min(axis=1)
    fall = power[peaks] - around[peaks + SLOPE + 1].min(axis=1)
    alike = pulse_similarity(
        band, where, rounded(PULSE * rate), rounded(MAX_LAG * rate), round(FARTHEST * rate)
    )
    following = np.searchsorted(where, at)  # the first peak at the row or after it
    there = following < len(where)
    there[there] = where[following[there]] - at[there] <= HELD * rate
    held = np.zeros((3, n_rows))
    held[:, there] = np.stack([alike, fall, rise])[:, following[there]]
    return Ishi(np.nan_to_num(interpolated(at, centres, periodic)), *held)


def power_contour(signal: Array, rate: int) -> Array:
    """Short-term power every 2 ms, (n,), 20 log10 of the mean square: twice its dB.

    Frames of nothing but zeros get the least value of the others.
    """
    hop, length = rounded(POWER_HOP * rate), rounded(POWER_LENGTH * rate)
    frames = np.lib.stride_tricks.sliding_window_view(signal, length)[::hop]
    with np.errstate(divide="ignore"):
        power: Array = 20 * np.log10(np.einsum("ij,ij->i", frames, frames) / length)
    real = np.isfinite(power)
    power[~real] = power[real].min() if real.any() else 0
    return power


def power_peaks(power: Array) -> Array:
    """Frames (int) whose power is more than next to them, and 2 dB more than 3 frames away."""
    i = np.arange(AWAY, len(power) - AWAY)
    here = power[i]
    top = (here > power[i - 1]) & (here > power[i + 1]) & (here >= power.max() - DEEPEST)
    foot = np.maximum(power[i - AWAY], power[i + AWAY])
    found: Array = i[top & (here - foot >= STANDS_OUT)]
    return found


def periodicity(signal: Array, rate: int) -> tuple[Array, Array]:
    """How periodic each frame is, at periods up to 15 ms.

    The normalised autocorrelation must be high at a period and at all its multiples. A frame
    is not periodic (0) where one of the next two has less than 0.5.

    Returns:
        (n,) int, samples on which frames of 32 ms are centred, 10 ms apart; (n,) in [0, 1].
    """
    from scipy import fft

    length, hop = rounded(LENGTH * rate), rounded(HOP * rate)
    n_lags, width = rounded(MAX_LAG * rate) + 1, rounded(WIDTH * rate)
    starts = np.arange(0, len(signal) - length, hop)
    found = np.zeros(len(starts))
    frames = np.lib.stride_tricks.sliding_window_view(signal, length)
    for begin in range(0, len(starts), PIECE):
        n_fft = fft.next_fast_len(length + n_lags, real=True)
        spectra = fft.rfft(frames[starts[begin : begin + PIECE]], n_fft)
        lags = fft.irfft(spectra.real**2 + spectra.imag**2, n_fft)[:, :n_lags]
        _least_at_multiples(lags, length, width, found[begin : begin + PIECE])
    _only_lasting(found, PERIODIC)
    return starts + length // 2, np.clip(found, 0, 1)


@numba.njit(cache=True, nogil=True)
def _least_at_multiples(lags: Array, length: int, width: int, found: Array) -> None:
    """Write the least of the autocorrelations at the best period and about its multiples.

    Args:
        lags: (n, n_lags) autocorrelations, written to.
        length: of a frame, samples.
        width: samples on either side of a multiple; the first ``width`` lags are no period.
        found: (n,) written to; 0 for frames of nothing but zeros.
    """
    n_lags = lags.shape[1]
    for j in range(len(lags)):
        line = lags[j]
        if line[0] <= 0:
            continue
        for lag in range(n_lags - 1, -1, -1):
            line[lag] *= length / ((length - lag - 1) * line[0])
        line[: width + 1] = 0
        best = np.argmax(line)
        least = line[best]
        if best > 0:
            for middle in range(2 * best, n_lags, best):
                least = min(least, line[middle - width : middle + width + 1].max())
        found[j] = least


@numba.njit(cache=True, nogil=True)
def _only_lasting(values: Array, least: float) -> None:
    """Set to 0, in order, what is followed within two by less than ``least``; not the last 3."""
    for n in range(len(values) - 3):
        if values[n + 1] < least or values[n + 2] < least:
            values[n] = 0


@numba.njit(cache=True, nogil=True)
def pulse_similarity(signal: Array, where: Array, half: int, n_lags: int, farthest: int) -> Array:
    """Greatest normalised cross-correlation of each pulse with the one before, (n,).

    Args:
        signal: (n_samples,).
        where: (n,) int, samples of the pulses.
        half: samples on either side that belong to a pulse.
        n_lags: samples by which they are moved against each other at most.
        farthest: samples between pulses above which the result is 0, as it is at the ends.
    """
    alike = np.zeros(len(where))
    length = 2 * half + 1
    for i in range(1, len(where)):
        first, second = where[i - 1] - half, where[i] - half
        if second - first > farthest or first < 0 or second + length > len(signal):
            continue
        a, b = signal[first : first + length], signal[second : second + length]
        energies, best = np.sqrt(np.dot(a, a) * np.dot(b, b)), -np.inf
        for lag in range(-min(n_lags, length - 1), min(n_lags, length - 1) + 1):
            n = length - abs(lag)
            total = 0.0
            for k in range(n):
                total += a[k + max(0, -lag)] * b[k + max(0, lag)]
            best = max(best, total)
        alike[i] = best / energies if energies > 0 else 0.0
    return alike
