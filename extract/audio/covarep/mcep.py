"""Cepstrum of spectral envelopes on the mel scale (MCEP)."""

from __future__ import annotations

from functools import lru_cache

import numba
import numpy as np

from ....cache.records import Array
from .signal import half_away
from .true_envelope import true_envelope


def mcep(log_magnitude: Array, f0: Array, rate: int, n_coefficients: int = 25) -> Array:
    """Mel-warped cepstrum of the True Envelope of spectra.

    Args:
        log_magnitude: (n, n_bins), natural logarithm of magnitude, 0 to rate / 2 inclusive;
            ``n_bins - 1`` must be a multiple of 16.
        f0: (n,) Hz; the envelope follows the harmonics and not what lies between them.
        rate: Hz.
        n_coefficients: how many, the 0th counted.

    Returns:
        (n, n_coefficients) in ln units; NaN where a spectrum is not finite (digital silence).

    Source:
        Roebel and Rodet (2005), "Efficient spectral envelope estimation and its application to
        pitch shifting and envelope preservation", DAFx; order and tolerance as in COVAREP.
    """
    result = np.full((len(log_magnitude), n_coefficients), np.nan)
    real = np.isfinite(log_magnitude).all(axis=1)
    if real.any():
        order = half_away(0.5 * rate / np.asarray(f0, np.float64)[real]).astype(np.int64)
        envelope = true_envelope(log_magnitude[real], order)
        result[real] = warped_cepstrum(np.exp(envelope), rate, n_coefficients)
    return result


def warped_cepstrum(amplitude: Array, rate: int, n_coefficients: int) -> Array:
    """Real cepstrum of spectra whose frequency axis is warped to mel, (n, n_coefficients).

    Args:
        amplitude: (n, n_bins), linear and positive, 0 to rate / 2 inclusive.
        rate: Hz.
        n_coefficients: how many, the 0th counted.

    Source:
        The scale is mel(F) = ln(1 + F / 700), in units of its value at rate / 2.
    """
    top = amplitude.shape[1] - 1
    low, share = _warp(top, rate)
    warped = _between(amplitude, low, share)
    weights = _cepstral_weights(top, n_coefficients)
    result: Array = np.log(warped) @ weights
    return result


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _between(lines: Array, low: Array, share: Array) -> Array:
    """Lines (n, m) read off between column ``low`` (m,) and the next, at a share of the way."""
    found = np.empty((len(lines), len(low)))
    for i in range(len(lines)):
        for k in range(len(low)):
            first = lines[i, low[k]]
            found[i, k] = first * (1 - share[k]) + lines[i, low[k] + 1] * share[k]
    return found


@lru_cache(maxsize=4)
def _warp(top: int, rate: int) -> tuple[Array, Array]:
    """For each uniform bin: the bin below it on the warped axis, and the share of the next."""
    frequency = np.arange(top + 1) * (rate / 2 / top)
    place = rate / 2 * np.log1p(frequency / 700) / np.log1p(rate / 2 / 700)
    low = np.clip(np.searchsorted(place, frequency, side="right") - 1, 0, top - 1)
    share = (frequency - place[low]) / (place[low + 1] - place[low])
    return low, np.minimum(share, 1.0)


@lru_cache(maxsize=4)
def _cepstral_weights(top: int, n_coefficients: int) -> Array:
    """Matrix (n_bins, n_coefficients) from a log spectrum to c_0, 2 c_1, 2 c_2 ..."""
    weights = np.cos(np.pi / top * np.outer(np.arange(top + 1), np.arange(n_coefficients)))
    weights[1:-1] *= 2
    weights[:, 1:] *= 2
    scaled: Array = weights / (2 * top)
    return scaled
