"""Sharpness of the glottal closure seen by wavelets: maxima dispersion (MDQ) and peak slope.

Source:
    Kane and Gobl (2013), "Wavelet maxima dispersion for breathy to tense voice discrimination",
    IEEE Transactions on Audio, Speech and Language Processing 21(6) (MDQ); Kane and Gobl (2011),
    "Identifying regions of non-modal phonation using features of the wavelet transform",
    Interspeech (peak slope). The wavelet is that of d'Alessandro and Sturmel (2011), "Glottal
    closure instant and voice source analysis using time-scale lines of maximum amplitude".
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numba
import numpy as np

from ....cache.records import Array
from .signal import HOP, rounded, without_nan

#: Samples on either side to which a wavelet is drawn.
REACH = 1000
#: Octaves of scale, of the residual for MDQ and of the speech for the peak slope; octave i is
#: centred on rate / 2^(i + 1), 8 kHz to 125 Hz at 16 kHz.
MDQ_OCTAVES, SLOPE_OCTAVES = (2, 3, 4, 5, 6), (0, 1, 2, 3, 4, 5, 6)
#: Length of the transform, samples: what is not wavelet (6192) is filtered in one piece.
N_FFT = 8192
PIECE = N_FFT - 2 * REACH


def mdq(residual: Array, closures: Array) -> Array:
    """Maxima dispersion quotient of each cycle: how far apart the octaves have their maxima.

    At a sharp closure all of them peak together: near 0 in a tense voice, 0.1 and more in a
    breathy one. COVAREP takes the window's second sample after the centre for the centre: no
    dispersion reads as one sample of the period.

    Args:
        residual: (n_samples,) of linear prediction; NaN counts as 0.
        closures: (n,) int, samples of glottal closure, ascending.

    Returns:
        (n,) in periods; 0 where the cycle leaves the sound.
    """
    n = len(closures)
    spread = np.zeros(n)
    if n < 2:
        return spread
    periods = np.diff(closures, prepend=2 * closures[0] - closures[1])
    inside = (closures + 1 > periods) & (closures + 1 + periods <= len(residual))
    sides = np.trunc(0.2 * periods + 0.5).astype(np.int64)
    firsts, stops = (closures - sides)[inside], (closures + sides + 1)[inside]
    highest = np.full((len(firsts), len(MDQ_OCTAVES)), -np.inf)
    places = np.zeros(highest.shape, np.int64)
    unfinished = 0
    for begin, bands in _bands(without_nan(residual), MDQ_OCTAVES):
        unfinished = _note_highest(bands, begin, firsts, stops, unfinished, highest, places)
    off = np.abs((places + 1 - firsts[:, None]) - sides[inside][:, None])
    spread[inside] = off.sum(axis=1) / (len(MDQ_OCTAVES) * periods[inside])
    return spread


@numba.njit(cache=True, nogil=True)
def _note_highest(  # type: ignore[no-untyped-def]
    bands, begin, firsts, stops, unfinished, highest, places
):
    """Where each band is highest in each window, as far as a piece of the bands says.

    Args:
        bands: (n_octaves, n) from sample ``begin`` on.
        begin: sample.
        firsts: (n_windows,) first sample of each window, ascending.
        stops: (n_windows,) sample after its last.
        unfinished: number of the first window that earlier pieces did not finish.
        highest: (n_windows, n_octaves) highest so far, raised.
        places: (n_windows, n_octaves) sample of it, the first of equals.

    Returns:
        ``unfinished`` for the next piece.
    """
    end = begin + bands.shape[1]
    i = unfinished
    while i < len(firsts) and firsts[i] < end:
        for octave in range(len(bands)):
            for n in range(max(firsts[i], begin), min(stops[i], end)):
                if bands[octave, n - begin] > highest[i, octave]:
                    highest[i, octave], places[i, octave] = bands[octave, n - begin], n
        i += 1
    while unfinished < i and stops[unfinished] <= end:
        unfinished += 1
    return unfinished


def peak_slope(signal: Array, rate: int) -> tuple[Array, Array]:
    """Slope over the octaves of the strongest wavelet response in each frame of 40 ms.

    Near 0 in tense voice, -0.5 in breathy; depends on the loudness of no band.

    Args:
        signal: (n_samples,) mono.
        rate: Hz.

    Returns:
        (n,) int, the samples to which the values belong, every 10 ms; (n,) log10 of amplitude an
        octave; NaN in digital silence (COVAREP: 0), infinite or NaN beside it, where some octaves
        only are exactly silent.
    """
    length, hop = rounded(0.040 * rate), rounded(HOP * rate)
    n = max(0, (len(signal) - length) // hop + 1)
    starts = np.arange(n) * hop
    peaks = np.zeros((n, len(SLOPE_OCTAVES)))  # (n, octave) from 0 on
    for begin, bands in _bands(signal, SLOPE_OCTAVES):
        end = begin + bands.shape[1]
        first = max(0, (begin - length) // hop + 1)
        last = min(n, -(-end // hop))
        for i in range(first, last):  # frames that meet this piece
            part = bands[:, max(0, starts[i] - begin) : starts[i] + length - begin]
            np.maximum(peaks[i], np.maximum(part.max(axis=1), -part.min(axis=1)), out=peaks[i])
    with np.errstate(divide="ignore", invalid="ignore"):
        level = np.log10(peaks[:, ::-1])  # lowest band first
        weights = np.arange(len(SLOPE_OCTAVES)) - (len(SLOPE_OCTAVES) - 1) / 2
        slope = (level * weights).sum(axis=1) / (weights**2).sum()
    return starts + rounded(length / 2) - 1, slope


def _bands(signal: Array, octaves: tuple[int, ...]) -> Iterator[tuple[int, Array]]:
    """Consecutive pieces of all bands: number of the first sample, (n_octaves, n) values.

    Where the signal is exactly 0 over the whole wavelet, so is the band.
    """
    from scipy import fft

    spectra, reaches = _wavelets(octaves)
    for start in range(0, len(signal), PIECE):
        n = min(PIECE, len(signal) - start)
        piece = np.zeros(N_FFT)
        left = max(0, start - REACH)
        right = min(len(signal), start + n + REACH)
        piece[left - start + REACH : right - start + REACH] = signal[left:right]
        bands = fft.irfft(fft.rfft(piece) * spectra, N_FFT)[:, REACH : REACH + n]
        sounding = np.concatenate([[0], np.cumsum(piece != 0)])
        if sounding[-1] < right - left:
            here = np.arange(n) + REACH
            for band, reach in zip(bands, reaches, strict=True):
                band[sounding[here + reach + 1] == sounding[here - reach]] = 0
        yield start, bands


@functools.lru_cache(maxsize=4)
def _wavelets(octaves: tuple[int, ...]) -> tuple[Array, tuple[int, ...]]:
    """Spectra (n_octaves, n_bins), real, and how far each wavelet reaches, samples."""
    places = np.arange(-REACH, REACH + 1)
    spectra, reaches = [], []
    for octave in octaves:
        scale = 2.0**octave
        wavelet = -np.cos(np.pi * places / scale) * np.exp(-((places / scale) ** 2) / 2)
        circle = np.zeros(N_FFT)
        circle[places] = wavelet
        spectra.append(np.fft.rfft(circle).real)
        reaches.append(int(places[wavelet != 0].max()))
    return np.array(spectra), tuple(reaches)
