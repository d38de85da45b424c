"""Sinusoidal frames: the spectrum of three periods of speech, and its harmonics.

Rd, the true envelope and the phase distortion all start from these frames, so they are made
once and in pieces: ten minutes of speech are 60,000 spectra of 2,049 bins, a gigabyte if they
were kept.

Source:
    Degottex and Erro (2014), "A uniform phase representation for the harmonic model in speech
    synthesis applications", EURASIP JASMP 2014:38, section 2. Peak picking and the strict grid
    follow the behaviour of COVAREP's feature extraction (version 1.4.2).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numba
import numpy as np

from ....cache.records import Array
from .signal import half_away

#: Length of the Fourier transform of a frame, samples.
N_FFT = 4096
#: Frames that are handled at once; bounds the memory, changes no number.
PIECE = 64


@dataclass(frozen=True, eq=False)
class SinusoidalFrames:
    """A piece of n consecutive frames, each analysed over three periods of its own F0.

    Args:
        index: (n,) int, number of each frame among those asked for; frames whose window would
            leave the signal are missing.
        f0: (n,) Hz, the F0 that the frame was analysed with.
        log_magnitude: (n, 2049), natural logarithm of the spectrum's magnitude from 0 to
            rate / 2; -inf in digital silence. A sine of amplitude 1 has -ln 2.
        spacing: (n,) Hz, harmonic h lies at ``h * spacing``; the median distance of the peaks,
            therefore not exactly ``f0``.
        n_harmonics: (n,) int, harmonics of each frame, without the one at 0 Hz.
        amplitude: (n, H + 1), linear, from 0 Hz to harmonic H; NaN where a frame has fewer.
        phase: (n, H + 1), rad in [-pi, pi], at the centre of the window; NaN likewise.
    """

    index: Array
    f0: Array
    log_magnitude: Array
    spacing: Array
    n_harmonics: Array
    amplitude: Array
    phase: Array

    def __len__(self) -> int:
        return len(self.index)


def wrap(phase: Array) -> Array:
    """Bring phases in rad into [-pi, pi]."""
    turns = phase / (2 * np.pi)
    wrapped: Array = phase - 2 * np.pi * half_away(turns)
    return wrapped


def sinusoidal_frames(
    samples: Array, rate: int, f0: Array, centres: Array
) -> Iterator[SinusoidalFrames]:
    """Analyse a signal around given instants, a piece of frames at a time.

    Args:
        samples: (n_samples,) mono, full scale [-1, 1].
        rate: Hz.
        f0: (n,) Hz, F0 at each instant; 0 counts as 100, as the toolbox has it.
        centres: (n,) int, sample numbers counted from 0 on which the windows are centred.
    """
    samples = np.asarray(samples, np.float64)
    f0 = np.where(np.asarray(f0, np.float64) == 0, 100.0, f0)
    centres = np.asarray(centres, np.int64)
    half = half_away(3 * rate / f0 / 2).astype(np.int64)  # samples on either side
    inside = (centres - half >= 0) & (centres + half < len(samples))
    kept = np.flatnonzero(inside)
    for start in range(0, len(kept), PIECE):
        index = kept[start : start + PIECE]
        spectrum = _spectra(samples, centres[index], half[index])
        yield _harmonics(spectrum, index, f0[index], rate)


def _spectra(samples: Array, centres: Array, half: Array) -> Array:
    """Half spectra (n, 2049), complex, with phase 0 at the centre of each window."""
    n = len(centres)
    spectra = np.empty((n, N_FFT // 2 + 1), np.complex128)
    fits = 2 * half + 1 <= N_FFT
    if fits.any():
        spectra[fits] = _short(samples, centres[fits], half[fits])
    for i in np.flatnonzero(~fits):  # F0 below 12 Hz: there was none, in digital silence
        spectra[i] = _truncated(samples, int(centres[i]), int(half[i]))
    return spectra


def _short(samples: Array, centres: Array, half: Array) -> Array:
    buffer = np.zeros((len(centres), N_FFT))
    for row, centre, side in zip(buffer, centres.tolist(), half.tolist(), strict=True):
        frame = samples[centre - side : centre + side + 1] * _window(side)
        row[: side + 1] = frame[side:]
        row[N_FFT - side :] = frame[:side]  # before the centre: end of the circle
    return _rfft(buffer)


def _truncated(samples: Array, centre: int, half: int) -> Array:
    """A window longer than the transform: only its first 4096 samples count."""
    frame = samples[centre - half : centre - half + N_FFT] * _window(half)[:N_FFT]
    if not frame.any():
        return np.zeros(N_FFT // 2 + 1, np.complex128)
    bins = np.arange(N_FFT // 2 + 1)
    turns = bins * half % N_FFT / N_FFT
    spectrum: Array = _rfft(frame) * np.exp(2j * np.pi * turns)
    return spectrum


def _rfft(frames: Array) -> Array:
    from scipy import fft

    spectra: Array = fft.rfft(frames)  # several rows at once, unlike numpy's
    return spectra


@lru_cache(maxsize=1024)
def _window(half: int) -> Array:
    """Blackman window of ``2 * half + 1`` samples, sum 1."""
    cosine = np.cos(np.pi * (np.arange(-half, half + 1) / half))
    window: Array = 0.34 + cosine * (0.5 + 0.16 * cosine)  # cos 2x = 2 cos^2 x - 1
    window /= window.sum()
    return window


def _harmonics(spectrum: Array, index: Array, f0: Array, rate: int) -> SinusoidalFrames:
    power = spectrum.real**2 + spectrum.imag**2
    with np.errstate(divide="ignore"):
        log_magnitude = np.log(power)
    log_magnitude /= 2
    counts = half_away((rate / 2 - f0 / 2) / f0).astype(np.int64)  # (n,)
    order = np.arange(int(counts.max()) + 1)  # (H + 1,)
    step = (N_FFT * f0 / rate)[:, None]
    bins = order * step  # (n, H + 1)
    nearest = np.minimum(half_away(bins).astype(np.int64), N_FFT // 2)
    amplitude = np.sqrt(np.take_along_axis(power, nearest, axis=1))
    peak, height = _nearest_peaks(log_magnitude, bins)
    found = (np.abs(peak - bins) < step / 2) & (order > 0)
    bins = np.where(found, peak, bins)
    amplitude = np.where(found, np.exp(height), amplitude)
    phase = _phase_at(spectrum, np.minimum(bins, N_FFT // 2))
    missing = order > counts[:, None]
    bins[missing], amplitude[missing], phase[missing] = np.nan, np.nan, np.nan
    spacing = np.nanmedian(np.diff(bins, axis=1), axis=1) * rate / N_FFT
    return SinusoidalFrames(index, f0, log_magnitude, spacing, counts, amplitude, phase)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _nearest_peaks(log_magnitude, bins):  # type: ignore[no-untyped-def]
    """The spectral peak nearest to each bin: its place in bins and its height, (n, H + 1).

    Place and height come from a parabola through the three highest points; NaN where a frame
    has no peak at all.
    """
    near, heights = np.full(bins.shape, np.nan), np.full(bins.shape, np.nan)
    n_bins = log_magnitude.shape[1]
    place, height = np.empty(n_bins), np.empty(n_bins)
    for i in range(len(bins)):
        line = log_magnitude[i]
        n = 0
        for k in range(1, n_bins - 1):
            if line[k] > line[k - 1] and line[k] >= line[k + 1]:
                low, top, high = line[k - 1], line[k], line[k + 1]
                shift = (low - high) / (2 * (low - 2 * top + high))
                place[n], height[n] = k + shift, top - (low - high) * shift / 4
                n += 1
        peak = 0
        for h in range(bins.shape[1] if n else 0):
            wanted = bins[i, h]
            while peak + 1 < n and abs(place[peak + 1] - wanted) < abs(place[peak] - wanted):
                peak += 1
            near[i, h], heights[i, h] = place[peak], height[peak]
    return near, heights


def _phase_at(spectrum: Array, bins: Array) -> Array:
    """Phase between two bins, on the shorter way round; rad in [-pi, pi]."""
    low = np.minimum(bins.astype(np.int64), N_FFT // 2 - 1)
    first = np.angle(np.take_along_axis(spectrum, low, axis=1))
    second = np.angle(np.take_along_axis(spectrum, low + 1, axis=1))
    return wrap(first + (bins - low) * wrap(second - first))
