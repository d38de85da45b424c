"""F0 and voicing by the summation of residual harmonics (SRH).

Source:
    Drugman and Alwan (2011), "Joint robust voicing detection and pitch estimation based on
    residual harmonics", Interspeech.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numba
import numpy as np

from ....cache.records import Array
from .residual import lp_residual
from .signal import HOP, blackman, interpolated, rounded, zero_padded_power

#: F0 is looked for in this range, Hz.
LOWEST, HIGHEST = 50, 500
#: Highest rate the method is used at, Hz; faster sound is resampled to it.
MAX_RATE = 16000
#: Harmonics that are summed.
N_HARMONICS = 5
#: Strength above which a frame counts when the range is narrowed.
SURE = 0.1
#: Strength above which a frame is voiced; the second where strengths vary by more than ``VARIED``.
VOICED, VOICED_VARIED, VARIED = 0.07, 0.085, 0.05
#: Frames that are transformed at once; bounds the memory, changes no number.
PIECE = 16


@dataclass(frozen=True, eq=False)
class Pitch:
    """F0 of n frames of 100 ms, 10 ms apart.

    Args:
        centres: (n,) int, samples (from 0) on which the frames are centred, at ``rate``.
        f0: (n,) Hz, in unvoiced frames too; 1 where a frame has no residual (digital silence).
        voiced: (n,) bool.
        strength: (n,) the sum over the harmonics, at most 2.2; above 0.07 is voiced.
        rate: Hz; above 16 kHz the analysis ran at 16 kHz, but ``centres`` are numbers of samples
            at this rate.
    """

    centres: Array
    f0: Array
    voiced: Array
    strength: Array
    rate: int

    def __len__(self) -> int:
        return len(self.centres)

    @property
    def median(self) -> float:
        """Median F0 over voiced frames inside the range of the method, Hz; NaN without any."""
        inside = self.voiced & (self.f0 > LOWEST) & (self.f0 < HIGHEST)
        return float(np.median(self.f0[inside])) if inside.any() else float("nan")

    def where(self, kept: Array) -> Pitch:
        """Some of the frames; ``kept`` is (n,) bool."""
        return Pitch(
            self.centres[kept], self.f0[kept], self.voiced[kept], self.strength[kept], self.rate
        )

    def voiced_at(self, samples: Array) -> Array:
        """Voicing (bool) at any sample: that of the nearer frame; False outside the frames."""
        share = interpolated(samples, self.centres, self.voiced.astype(float))
        voiced: Array = np.nan_to_num(share) >= 0.5
        return voiced


def srh_pitch(
    signal: Array,
    rate: int,
    lowest: int = LOWEST,
    highest: int = HIGHEST,
    residual: Array | None = None,
) -> Pitch:
    """Follow F0 and voicing.

    At every candidate F0 the residual's spectrum is summed over five harmonics, and what lies
    between them is taken off; the best candidate wins. Then the range is narrowed around the
    median and the search repeated. Harmonic k is read at ``k * f0 - 1`` Hz, as COVAREP does: F0
    is up to 1 Hz high.

    Args:
        signal: (n_samples,) mono; sign and scale do not matter.
        rate: Hz; above 16 kHz the sound is resampled to that first.
        lowest: lowest F0, whole Hz.
        highest: highest F0, whole Hz.
        residual: ``srh_residual(signal, rate)`` where it is there already, for instance with its
            NaN (digital silence) replaced; a frame that touches NaN has no F0.

    Returns:
        One frame every 10 ms from 50 ms on, while 100 ms fit; none for shorter sound.
    """
    if residual is None:
        residual = srh_residual(signal, rate)
    used = min(rate, MAX_RATE)
    frames = _Frames(residual, used)
    f0, strength = frames.search(lowest, highest)
    sure = strength > SURE
    if sure.any():
        middle = float(np.median(f0[sure]))
        low, high = max(lowest, rounded(middle / 2)), min(highest, rounded(middle * 2))
        if (low, high) != (lowest, highest):
            outside = np.flatnonzero((f0 < low) | (f0 > high))  # the rest wins again
            f0[outside], strength[outside] = frames.search(low, high, outside)
    varied = len(strength) > 1 and np.std(strength, ddof=1) > VARIED
    voiced = strength > (VOICED_VARIED if varied else VOICED)
    centres = (frames.half + 1 + np.arange(len(frames)) * frames.hop) * rate // used - 1
    return Pitch(centres, f0, voiced, strength, rate)


def srh_residual(signal: Array, rate: int) -> Array:
    """The residual in whose spectrum F0 is looked for, at ``min(rate, 16000)`` Hz.

    The predictor is of order 12 (at 16 kHz), so that it cannot take the harmonics away.
    """
    if rate > MAX_RATE:
        from scipy.signal import resample_poly

        signal, rate = resample_poly(np.asarray(signal, np.float64), MAX_RATE, rate), MAX_RATE
    return lp_residual(signal, rate, rounded(0.75 * rate / 1000))


class _Frames:
    """Windowed frames of a residual, 100 ms long, 10 ms apart, and the search in their spectra."""

    def __init__(self, residual: Array, rate: int) -> None:
        self.residual, self.rate = residual, rate
        self.hop = rounded(HOP * rate)
        self.length = 2 * rounded((rounded(0.1 * rate) - 2) / 2)
        self.half = self.length // 2
        self.window = blackman(self.length)

    def __len__(self) -> int:
        return max(0, (len(self.residual) - self.length - 1) // self.hop + 1)

    def search(self, lowest: int, highest: int, which: Array | None = None) -> tuple[Array, Array]:
        """F0 in whole Hz and strength of all frames or of some; 1 and 0 where nothing is > 0."""
        which = np.arange(len(self)) if which is None else which
        f0, strength = np.ones(len(which)), np.zeros(len(which))
        for begin, spectra in self._spectra(which, N_HARMONICS * highest):
            part = slice(begin, begin + len(spectra))
            _best(spectra, lowest, highest, self.rate // 2, f0[part], strength[part])
        return f0, strength

    def _spectra(self, which: Array, n_wanted: int) -> Iterator[tuple[int, Array]]:
        """Pieces of magnitudes (n, n_bins), bins of 1 Hz, each frame's scaled to unit norm."""
        n_bins = min(self.rate // 2, n_wanted)
        if not len(which):
            return
        windows = np.lib.stride_tricks.sliding_window_view(self.residual, self.length)
        for begin in range(0, len(which), PIECE):
            frames = windows[which[begin : begin + PIECE] * self.hop]
            frames *= self.window
            frames -= frames.mean(axis=1, keepdims=True)
            power, whole = zero_padded_power(frames, self.rate, n_bins)
            with np.errstate(invalid="ignore", divide="ignore"):
                yield begin, np.sqrt(power / whole[:, None])


@numba.njit(cache=True, nogil=True)
def _best(
    spectra: Array, lowest: int, highest: int, n_bins: int, f0: Array, strength: Array
) -> None:
    """Write the candidate whose harmonics stand out most, and by how much, where by more than 0.

    Args:
        spectra: (n, n_wanted) magnitudes, bins of 1 Hz.
        lowest: first candidate, Hz.
        highest: last candidate, Hz.
        n_bins: of the whole spectrum; harmonics above it are read from the beginning again.
        f0: (n,) written to.
        strength: (n,) written to.
    """
    for j in range(len(spectra)):
        spectrum = spectra[j]
        for candidate in range(lowest, highest + 1):
            total = spectrum[(candidate - 1) % n_bins]
            for k in range(2, 6):  # N_HARMONICS
                between = (2 * k - 1) * candidate
                total += spectrum[(k * candidate - 1) % n_bins]
                total -= spectrum[((between + 1) // 2 - 1) % n_bins]  # halves are rounded up
            if total > strength[j]:
                strength[j], f0[j] = total, candidate
