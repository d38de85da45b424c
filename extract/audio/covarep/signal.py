"""Conventions that all of COVAREP's features share: rounding, windows, filtering, rows.

Samples are numbered from 0 here. COVAREP counts positions from 1, and its offsets of one sample
between features are kept; they are said where they occur.

Source:
    COVAREP 1.4.2 (Degottex et al. 2014, "COVAREP: a collaborative voice analysis repository for
    speech technologies", ICASSP), described in formulas by its behaviour.
"""

from __future__ import annotations

import functools
from typing import Any

import numba
import numpy as np

from ....cache.records import Array

#: Seconds from row to row, and from the beginning to the first row.
HOP, FIRST = 0.010, 0.005
#: Samples that are filtered at once; bounds the memory, changes no number.
PIECE = 1 << 18


def half_away(value: Any) -> Any:
    """Round half away from zero (numpy rounds half to even); float in, float out."""
    return np.trunc(value + np.copysign(0.5, value))


def rounded(value: float) -> int:
    """The whole number nearest to ``value``, halves away from zero."""
    return int(half_away(value))


def hanning(length: int) -> Array:
    """Hann window without its zeros at the ends, (length,)."""
    steps = np.arange(1, length + 1)
    window: Array = 0.5 - 0.5 * np.cos(2 * np.pi * steps / (length + 1))
    return window


def hamming(length: int) -> Array:
    """Symmetric Hamming window, (length,)."""
    steps = np.arange(length)
    window: Array = 0.54 - 0.46 * np.cos(2 * np.pi * steps / (length - 1))
    return window


def blackman(length: int) -> Array:
    """Symmetric Blackman window, (length,); zero at both ends up to rounding."""
    turn = 2 * np.pi * np.arange(length) / (length - 1)
    window: Array = 0.42 - 0.5 * np.cos(turn) + 0.08 * np.cos(2 * turn)
    return window


def row_samples(n_samples: int, rate: int) -> Array:
    """Sample numbers at which COVAREP's rows stand: 79, 239, 399 ... at 16 kHz, (n_rows,) int."""
    first, hop = rounded(FIRST * rate), rounded(HOP * rate)
    rows: Array = np.arange(first - 1, n_samples, hop)
    return rows


def interpolated(where: Array, knots: Array, values: Array) -> Array:
    """Straight lines between knots in ascending order; NaN before the first, after the last.

    A line that begins at an infinite value is NaN, one that ends at it is infinite.
    """
    if not len(knots):
        return np.full(len(where), np.nan)
    line: Array = np.interp(where, knots, values, left=np.nan, right=np.nan)
    if np.isinf(values).any():
        before = np.clip(np.searchsorted(knots, where, side="right") - 1, 0, None)
        line[np.isinf(values[before])] = np.nan
    return line


def without_nan(signal: Array) -> Array:
    """The signal with 0 for NaN; itself, not a copy, where there is none."""
    return np.nan_to_num(signal) if np.isnan(signal).any() else signal


def highpass(edge: float, stop: float, rate: int) -> tuple[Array, Array]:
    """Elliptic high-pass of least order: 3 dB ripple from ``edge`` Hz, 60 dB below ``stop`` Hz.

    The order is that which the pair of edges needs; the filter then begins to pass at ``edge``,
    so that for ``stop > edge`` (COVAREP's polarity: 480 and 500 Hz) the edges change roles.

    Returns:
        Numerator and denominator of the transfer function.
    """
    from scipy.signal import ellip, ellipord

    order, _ = ellipord(edge, stop, 3, 60, fs=rate)
    b, a = ellip(order, 3, 60, edge, btype="highpass", fs=rate)
    return b, a


def forward_backward(b: Array, a: Array, signal: Array) -> Array:
    """Filter forwards, then backwards: no phase shift, and the square of the gain.

    The same numbers as ``scipy.signal.filtfilt(b, a, signal, padlen=3 * (n - 1))``, n the number
    of coefficients, in a fraction of its memory.

    Raises:
        ValueError: the signal has at most ``3 * (n - 1)`` samples.
    """
    from scipy.signal import lfilter_zi

    n_edge = 3 * (max(len(a), len(b)) - 1)
    if len(signal) <= n_edge:
        raise ValueError(f"needs more than {n_edge} samples, got {len(signal)}")
    line = np.empty(len(signal) + 2 * n_edge)
    line[n_edge:-n_edge] = signal
    line[:n_edge] = 2 * line[n_edge] - line[2 * n_edge : n_edge : -1]
    line[-n_edge:] = 2 * line[-n_edge - 1] - line[-n_edge - 2 : -2 * n_edge - 2 : -1]
    start = lfilter_zi(b, a)
    _filter_in_place(b, a, line, start)
    _filter_in_place(b, a, line[::-1], start)
    return line[n_edge:-n_edge]


def _filter_in_place(b: Array, a: Array, line: Array, start: Array) -> None:
    from scipy.signal import lfilter

    state = start * line[0]
    for begin in range(0, len(line), PIECE):
        piece = line[begin : begin + PIECE]
        piece[:], state = lfilter(b, a, piece, zi=state)


def zero_padded_power(frames: Array, n_fft: int, n_bins: int) -> tuple[Array, Array]:
    """Power spectrum of frames that are much shorter than the Fourier transform.

    Nine tenths of such a transform would be spent on zeros: bins 10 q + r are those of the
    transform of a tenth of the length, of the frame moved down by r bins.

    Args:
        frames: (n, length).
        n_fft: length of the transform, samples.
        n_bins: bins that are wanted, at most ``n_fft // 2 + 1``.

    Returns:
        (n, n_bins) power from 0 Hz on; (n,) sum of the power over the lower ``n_fft // 2`` bins.
    """
    from scipy import fft

    n_short, length = n_fft // 10, frames.shape[1]
    if n_fft % 20 or length > n_short:
        spectra = fft.rfft(frames, n_fft)
        power = spectra.real**2 + spectra.imag**2
        return power[:, :n_bins], power[:, : n_fft // 2].sum(axis=1)
    power = np.empty((len(frames), n_bins))
    moved = np.zeros((len(frames), n_short), np.complex128)
    for r, turns in enumerate(_turns(length, n_fft)):
        _move(frames, turns, moved)
        _sort_in(fft.fft(moved), r, power)
    signs = np.where(np.arange(length) % 2, -1.0, 1.0)
    ends = frames.sum(axis=1) ** 2 - (frames @ signs) ** 2  # at 0 and at half the rate
    whole: Array = (n_fft * np.einsum("ij,ij->i", frames, frames) + ends) / 2
    return power, whole


@functools.lru_cache(maxsize=8)
def _turns(length: int, n_fft: int) -> Array:
    """What moves a spectrum of ``n_fft`` bins down by 0 to 5 bins, (6, length) complex."""
    turns: Array = np.exp(-2j * np.pi * np.outer(np.arange(6), np.arange(length)) / n_fft)
    return turns


@numba.njit(cache=True, nogil=True)
def _move(frames: Array, turns: Array, moved: Array) -> None:
    """Frames (n, length) times turns (length,), to the beginning of ``moved``'s rows."""
    for i in range(frames.shape[0]):
        for k in range(frames.shape[1]):
            moved[i, k] = frames[i, k] * turns[k]


@numba.njit(cache=True, nogil=True)
def _sort_in(spectra: Array, r: int, power: Array) -> None:
    """Put the power of moved frames to bins 10 q + r, and 10 q - r: a real frame's other half."""
    n_short, n_bins = spectra.shape[1], power.shape[1]
    for i in range(spectra.shape[0]):
        for q in range((n_bins - r + 9) // 10):
            value = spectra[i, q]
            power[i, 10 * q + r] = value.real**2 + value.imag**2
        for q in range(1, (n_bins + r + 9) // 10):
            value = spectra[i, n_short - q]
            power[i, 10 * q - r] = value.real**2 + value.imag**2
