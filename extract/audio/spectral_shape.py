"""Shape of each frame's spectrum: where its weight lies, how wide, how peaked; as librosa does it.

All functions take samples (n_samples,) float32 and give (T, columns) float32, in blocks as in
``spectra.py``. In silence they are 0 (flatness: 1).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...cache.records import Array
from .load_librosa import load_librosa
from .spectra import LEAST_POWER, Grid

#: Upper bounds of the bands of the contrast, Hz; the last band goes on to half the rate.
CONTRAST_BOUNDS = tuple(200.0 * 2**octave for octave in range(7))
#: Share of a band's bins that count as its peak, and as its valley.
_SHARE = 0.02


def centroid(samples: Array, grid: Grid) -> Array:
    """Mean frequency of each frame, weighed by magnitude, (T, 1), Hz."""
    return _by_librosa("spectral_centroid", samples, grid, sr=grid.rate)


def bandwidth(samples: Array, grid: Grid) -> Array:
    """Root-mean-square distance from the centroid, weighed by magnitude, (T, 1), Hz."""
    return _by_librosa("spectral_bandwidth", samples, grid, sr=grid.rate)


def rolloff(samples: Array, grid: Grid) -> Array:
    """Frequency under which 85% of the magnitude lie, (T, 1), Hz."""
    return _by_librosa("spectral_rolloff", samples, grid, sr=grid.rate)


def flatness(samples: Array, grid: Grid) -> Array:
    """Geometric over arithmetic mean of the powers, (T, 1) in [0, 1]; 1: white noise."""
    return _by_librosa("spectral_flatness", samples, grid)


def _by_librosa(name: str, samples: Array, grid: Grid, **settings: Any) -> Array:
    librosa = load_librosa()

    measure: Callable[..., Array] = getattr(librosa.feature, name)
    found = np.empty((grid.rows(samples), 1), np.float32)
    for rows, spectrum in grid.spectra(samples):
        found[rows] = measure(S=spectrum, n_fft=grid.n_fft, **settings).T
    return found


def contrast(samples: Array, grid: Grid, floor: float) -> Array:
    """Level of the peaks over that of the valleys in seven bands, (T, 7), dB.

    Bands are octaves from 200 Hz on, with one below. Peak and valley are means over the largest
    and smallest 2% of a band's magnitudes (one bin at least), taken as if they were powers, as
    librosa does.

    Args:
        samples: (n_samples,) sound.
        grid: how it is cut into frames.
        floor: peaks further below the sound's loudest peak are raised to this distance, dB; so
            are valleys.

    Source:
        Jiang et al. (2002), "Music type classification by spectral contrast feature", ICME, with
        the bands of ``librosa.feature.spectral_contrast``, which is written anew here because
        its floor is that of the whole sound.
    """
    peaks = np.empty((grid.rows(samples), len(CONTRAST_BOUNDS)))
    valleys = np.empty_like(peaks)
    bands = _bands(grid)
    for rows, spectrum in grid.spectra(samples):
        for band, (bins, n_extreme) in enumerate(bands):
            ranked = np.sort(spectrum[bins], axis=0)
            valleys[rows, band] = ranked[:n_extreme].mean(axis=0)
            peaks[rows, band] = ranked[-n_extreme:].mean(axis=0)
    high, low = (10 * np.log10(np.maximum(part, LEAST_POWER)) for part in (peaks, valleys))
    high, low = (np.maximum(level, level.max() - floor) for level in (high, low))
    found: Array = (high - low).astype(np.float32)
    return found


def _bands(grid: Grid) -> list[tuple[slice, int]]:
    """Bins of each band, and how many of them are its extremes.

    A band has all bins within its bounds and one more below; the last of them is left out, but
    for the highest band, and counts towards the 2%.
    """
    frequencies = np.arange(1 + grid.n_fft // 2) * grid.rate / grid.n_fft
    bands = []
    for band, high in enumerate(CONTRAST_BOUNDS):
        low = CONTRAST_BOUNDS[band - 1] if band else 0.0
        top = band == len(CONTRAST_BOUNDS) - 1
        first = int(np.searchsorted(frequencies, low)) - (band > 0)
        last = len(frequencies) if top else int(np.searchsorted(frequencies, high, "right"))
        n_extreme = max(1, round(_SHARE * (last - first)))
        bands.append((slice(first, last if top else last - 1), n_extreme))
    return bands
