"""Fundamental frequency by probabilistic YIN, in memory that does not grow with the length."""

from __future__ import annotations

import numpy as np

from ...cache.records import Array
from .load_librosa import load_librosa
from .spectra import BLOCK, CONTEXT, Grid


def pyin(samples: Array, grid: Grid, lowest: float, highest: float) -> Array:
    """Pitch of each frame, (T, 3) float32: Hz, whether it is voiced (0 or 1), and how likely.

    The frequency is 0 where a frame is not voiced. Which frames are, and the pitch of them all, is
    one path through the sound; sound of over ``BLOCK`` seconds is worked through in blocks that
    see ``CONTEXT`` seconds on both sides, in which paths that begin differently have long met.

    Args:
        samples: (n_samples,) sound.
        grid: how it is cut into frames; two periods of ``lowest`` fit into one.
        lowest: least pitch, Hz.
        highest: largest pitch, Hz.

    Source:
        Mauch and Dixon (2014), "pYIN: A Fundamental Frequency Estimator Using Probabilistic
        Threshold Distributions", ICASSP; computed by librosa.
    """
    librosa = load_librosa()

    n_rows, half = grid.rows(samples), grid.n_fft // 2
    size, beside = (max(1, seconds * grid.rate // grid.n_hop) for seconds in (BLOCK, CONTEXT))
    found = np.empty((n_rows, 3), np.float32)
    for first in range(0, n_rows, size):
        begin, last = max(first - beside, 0), min(first + size, n_rows)
        end = min(last + beside, n_rows)
        pitch, voiced, likely = librosa.pyin(
            grid.cut(samples, begin * grid.n_hop - half, (end - 1) * grid.n_hop + half),
            fmin=lowest,
            fmax=highest,
            sr=grid.rate,
            frame_length=grid.n_fft,
            hop_length=grid.n_hop,
            fill_na=0.0,
            center=False,
        )
        kept = slice(first - begin, last - begin)
        found[first:last] = np.stack([pitch, voiced, likely], axis=1)[kept]
    return found
