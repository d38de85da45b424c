"""What a creaky voice leaves in the residual of linear prediction, seen through a resonator.

A resonator at the median F0 smooths the residual: where the voice creaks, secondary peaks remain
between the pulses, and the second harmonic of the slow pulses is strong.

Source:
    Drugman, Kane and Gobl (2012), "Resonator-based creaky voice detection", Interspeech; Kane,
    Drugman and Gobl (2013), "Improved automatic detection of creak", Computer Speech and
    Language 27(4).
"""

from __future__ import annotations

import numba
import numpy as np

from ....cache.records import Array
from .signal import HOP, hanning, rounded

#: Radius of the resonator's poles: for peaks and periods, for harmonics.
BROAD, SHARP = 0.8, 0.97
#: Frames of the harmonics, seconds.
LENGTH = 0.05
#: Step of the prominence, seconds; share of a window about its peak that is left out.
PEAK_HOP, PEAK_SHARE = 0.02, 0.2
#: Log energy under the most within so many seconds, below which there is no prominence.
QUIETER, NEARBY = 4.0, 0.4
#: Frames that are transformed at once; bounds the memory, changes no number.
PIECE = 128


def resonated(residual: Array, rate: int, f0: float, radius: float) -> Array:
    """The residual through a resonator at ``f0`` Hz whose poles have this radius, (n_samples,)."""
    from scipy.signal import lfilter

    turn = 2 * np.pi * f0 / rate
    ringing: Array = lfilter([1.0], [1.0, -2 * radius * np.cos(turn), radius**2], residual)
    return ringing


def harmonics_at_creak(broad: Array, sharp: Array, rate: int) -> tuple[Array, Array]:
    """Second over first harmonic, and the F0 at which it is read, of 50 ms every 10 ms.

    Args:
        broad: (n_samples,) the residual resonated, for the period.
        sharp: (n_samples,) the residual resonated sharply, for the harmonics.
        rate: Hz.

    Returns:
        (n,) H2H1 in dB, NaN in silence; (n,) F0 in Hz; both smoothed over 9 frames.
    """
    length, hop = rounded(LENGTH * rate), rounded(HOP * rate)
    starts, window = np.arange(0, len(broad) - length, hop), hanning(length)
    ratio, f0 = np.full(len(starts), np.nan), np.zeros(len(starts))
    rings, harmonics = (np.lib.stride_tricks.sliding_window_view(s, length) for s in (broad, sharp))
    for begin in range(0, len(starts), PIECE):
        part = slice(begin, begin + PIECE)
        periods = _autocorrelations(rings[starts[part]] * window)
        lines = _autocorrelations(harmonics[starts[part]] * window**2)
        _second_over_first(periods, lines, rate, ratio[part], f0[part])
    return _averaged(ratio), _averaged(median_of(7, f0))


def _autocorrelations(frames: Array) -> Array:
    """Sums of products at lags of 1 to length - 1, (n, length - 1)."""
    from scipy import fft

    length = frames.shape[1]
    n_fft = fft.next_fast_len(2 * length, real=True)
    spectra = fft.rfft(frames, n_fft)
    lags: Array = fft.irfft(spectra.real**2 + spectra.imag**2, n_fft)[:, 1:length]
    return lags


@numba.njit(cache=True, nogil=True)
def _second_over_first(periods: Array, lines: Array, rate: int, ratio: Array, f0: Array) -> None:
    """Write F0 of the best period, and the level at twice F0 over that at F0.

    Args:
        periods: (n, n_lags) autocorrelations from lag 1 on; its best lag, of at least 5 and
            after the first that is negative, is the period.
        lines: (n, n_lags) the autocorrelations whose spectrum is read, 1 Hz below each harmonic.
        rate: Hz.
        ratio: (n,) dB, written to where there is sound.
        f0: (n,) whole Hz, written to.
    """
    n_lags = periods.shape[1]
    for j in range(len(periods)):
        line = periods[j]
        begin = 0
        while begin < n_lags - 1 and line[begin] > 0:
            begin += 1
        best, period = 0.0, 5  # lags before the first zero crossing count as 0
        for i in range(max(begin, 4), n_lags):
            value = line[i] * n_lags / (n_lags - i)
            if (i == 4 and begin <= 4) or value > best:
                best, period = value, i + 1
        f0[j] = np.floor(rate / period + 0.5)
        levels = np.zeros(2)
        for h in range(2):
            turn = 2 * np.pi * ((h + 1) * f0[j] - 1) / rate
            step = np.exp(-1j * turn)
            total, phasor = 0j, 1 + 0j
            for i in range(n_lags):
                total += lines[j, i] * phasor
                phasor *= step
            levels[h] = np.abs(total)
        if levels.min() > 0:
            ratio[j] = 20 * np.log10(levels[1] / levels[0])


def _averaged(values: Array) -> Array:
    """Mean of each value and its four neighbours on either side; fewer towards the ends."""
    n = len(values)
    reach = np.minimum(4, np.minimum(np.arange(n), np.arange(n)[::-1]))
    padded = np.pad(values, 4)
    sums = np.zeros(n)
    for k in range(-4, 5):
        sums += np.where(abs(k) <= reach, padded[4 + k : 4 + k + n], 0)
    means: Array = sums / (2 * reach + 1)
    return means


def peak_prominence(ringing: Array, energy: Array, rate: int, f0: float) -> tuple[Array, Array]:
    """How far the highest peak of the resonated residual stands above the others about it.

    Args:
        ringing: (n_samples,) the residual resonated broadly.
        energy: (n,) log energy, spread over the sound; quiet frames have no prominence.
        rate: Hz.
        f0: median F0, Hz; the window holds two periods of what is high for creak.

    Returns:
        (n,) samples (halves) of the frames, 20 ms apart; (n,) in [0, 1], a median of 5.
    """
    highest = 90 if f0 > 100 else 80 if f0 == 100 else 65 if f0 >= 85 else 55
    length, hop = 2 * rounded(rate / highest), rounded(PEAK_HOP * rate)
    middles = np.arange(0, len(ringing) - length, hop) + length // 2
    loudness = np.interp(
        np.arange(len(ringing)), np.linspace(0, len(ringing) - 1, len(energy)), energy
    )
    prominence = _prominences(
        ringing, loudness, middles, length // 2, rounded(PEAK_SHARE * length), round(NEARBY * rate)
    )
    return middles, median_of(5, prominence)


@numba.njit(cache=True, nogil=True)
def _prominences(
    ringing: Array, loudness: Array, middles: Array, half: int, share: int, nearby: int
) -> Array:
    """1 less the next highest peak over the highest, (n,); 0 in quiet and at the ends.

    Args:
        ringing: (n_samples,).
        loudness: (n_samples,) log energy.
        middles: (n,) int, of the frames.
        half: samples of half a frame.
        share: samples on either side of the middle that are not looked at.
        nearby: samples on either side among which the loudness must not be far below the most.
    """
    found = np.zeros(len(middles))
    for j in range(len(middles)):
        at = middles[j]
        most = loudness[max(0, at - nearby) : at + nearby + 1].max()
        peak = at - half + np.argmax(np.abs(ringing[at - half : at + half]))
        first = peak - half + 1  # the window stands one sample late
        if first < 0 or first + 2 * half >= len(ringing) or not loudness[at] >= most - QUIETER:
            continue
        window = ringing[first : first + 2 * half + 1]
        sign = 1.0 if window.max() >= -window.min() else -1.0
        highest = (sign * window).max()
        if highest <= 0:
            continue
        rest = 0.0
        for k in range(2 * half + 1):
            if abs(first + k - peak) > share:
                rest = max(rest, sign * window[k])
        found[j] = 1 - rest / highest
    return found


def median_of(n: int, values: Array) -> Array:
    """Median of ``n`` neighbours (odd), zeros around the ends; same length."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, n // 2), n)
    medians: Array = np.median(windows, axis=1)
    return medians
