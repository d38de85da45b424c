"""Harmonic model and phase distortion (HMPD): mean (HMPDM) and deviation (HMPDD) of the phases.

The phase distortion at a harmonic is how far its phase runs ahead of what the harmonic before it
and the fundamental explain, the vocal tract's share taken out: the shape of the glottal pulse.
Its mean over some periods describes that shape, its deviation how much it varies: breathiness
and noise.

Source:
    Degottex and Erro (2014), "A uniform phase representation for the harmonic model in speech
    synthesis applications", EURASIP JASMP 2014:38; Degottex and Erro (2014), "A measure of phase
    randomness for the harmonic model in speech synthesis", Interspeech. COVAREP uses frames every
    10 ms, not those in step with the pitch, and so does this.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ....cache.records import Array
from .harmonics import SinusoidalFrames, wrap
from .mcep import warped_cepstrum
from .signal import half_away
from .smoothing import both_ways, median_of_9

#: Length of the Fourier transform whose bins carry the distortion.
N_GRID = 1024
#: Columns of the mean and of the deviation.
N_MEAN, N_DEVIATION = 25, 13
#: Taps of the three filters along time, in frames, and the neighbours that all of them need.
MEAN_TAPS = np.ones(25) / 25
TREND_TAPS = (0.5 - 0.5 * np.cos(np.pi / 4 * np.arange(9))) / 4
SPREAD_TAPS = np.ones(9) / 9
NEIGHBOURS = 24
#: Frames that are filtered at once; bounds the memory, changes no number but by rounding.
PIECE = 256
#: Seconds from step to step of the grid on which the toolbox keeps the statistics.
STEP = 0.005


def phase_distortion(frames: SinusoidalFrames, rate: int, rng: np.random.Generator) -> Array:
    """Phase distortion of n frames at 513 frequencies from 0 to rate / 2, (n, 513) rad.

    Between 0 and F0 it is 0. Above the last harmonic there is no phase to measure; as in the
    toolbox it runs towards a random one there, of which ``rng`` gives one a frame.
    """
    tract = _tract_phase(frames, rate)
    phase = wrap(frames.phase - tract)
    bends = wrap(phase[:, 1:] - phase[:, :-1] - phase[:, 1:2])  # (n, H): PD_h of h = 0 ... H - 1
    bends[:, 0] = 0
    distortion = np.concatenate([bends, np.zeros((len(frames), 1))], axis=1)
    rows = np.arange(len(frames))
    distortion[rows, frames.n_harmonics] = rng.uniform(-np.pi, np.pi, len(frames))
    place = np.arange(N_GRID // 2 + 1) * (rate / N_GRID) / frames.f0[:, None]  # in harmonics
    below = np.clip(place.astype(np.int64), 1, frames.n_harmonics[:, None])
    first = np.take_along_axis(distortion, below - 1, axis=1)
    second = np.take_along_axis(distortion, below, axis=1)
    between = wrap(first + (place - below) * wrap(second - first))
    result: Array = np.where(place > 1, between, 0)
    return result


def _tract_phase(frames: SinusoidalFrames, rate: int) -> Array:
    """Minimum phase of the amplitude envelope at each harmonic, (n, H + 1) rad, 0 at 0 Hz.

    The envelope is a line from harmonic to harmonic in ln units, level at both ends; where a
    harmonic is zero, there is none.
    """
    from scipy import fft

    n_bins = N_GRID // 2 + 1
    height = np.full(frames.amplitude.shape, np.nan)
    np.log(frames.amplitude, where=frames.amplitude > 0, out=height)
    height[:, 0] = height[:, 1]
    place = np.arange(n_bins) * (rate / N_GRID) / frames.spacing[:, None]  # in harmonics
    below = np.clip(place.astype(np.int64), 0, frames.n_harmonics[:, None] - 1)
    share = np.minimum(place - below, 1)
    first = np.take_along_axis(height, below, axis=1)
    second = np.take_along_axis(height, below + 1, axis=1)
    envelope = first + share * (second - first)
    cepstrum: Array = fft.irfft(envelope)
    cepstrum[:, n_bins:] *= -1
    cepstrum[:, [0, n_bins - 1]] = 0
    minimum: Array = fft.rfft(cepstrum).imag  # (n, 513)
    bins = np.arange(frames.amplitude.shape[1]) * frames.spacing[:, None] * (N_GRID / rate)
    low = np.clip(bins.astype(np.int64), 0, n_bins - 2)
    first = np.take_along_axis(minimum, low, axis=1)
    second = np.take_along_axis(minimum, low + 1, axis=1)
    return np.where(bins <= n_bins - 1, first + (bins - low) * (second - first), 0)


class Hmpd:
    """HMPDM and HMPDD of frames in a row, every 10 ms, which come piece by piece.

    Args:
        rate: Hz.
        compat: see ``distortion_statistics``.
    """

    def __init__(self, rate: int, compat: bool) -> None:
        self.rate, self.compat = rate, compat
        self._waiting = np.empty((0, N_GRID // 2 + 1))
        self._done: list[Array] = []

    def push(self, distortion: Array) -> None:
        """Take the phase distortion (n, 513) of the next n frames."""
        self._waiting = np.concatenate([self._waiting, distortion])
        if len(self._waiting) >= PIECE + 3 * NEIGHBOURS:
            self._do(last=False)
            self._waiting = self._waiting[-2 * NEIGHBOURS :]

    def close(self) -> Array:
        """The statistics (n_all, 38) of all frames; those of no frame are an empty table."""
        if len(self._waiting):
            self._do(last=True)
        return np.concatenate([np.empty((0, N_MEAN + N_DEVIATION)), *self._done])

    def _do(self, last: bool) -> None:
        first = not self._done
        self._done.append(distortion_statistics(self._waiting, self.rate, first, last, self.compat))


def distortion_statistics(
    distortion: Array, rate: int, first: bool = True, last: bool = True, compat: bool = False
) -> Array:
    """HMPDM and HMPDD of frames in a row, every 10 ms.

    Args:
        distortion: (n, 513) rad, of consecutive frames.
        rate: Hz.
        first: the frames begin where the signal does. Otherwise 24 frames at the beginning are
            only neighbours, and get no result.
        last: likewise at the end.
        compat: continue the signal beyond its ends as COVAREP does. Its deviation then is noise
            of rounding in the first and last row, and not far from that in the next eight;
            otherwise the signal is mirrored.

    Returns:
        (n_results, 38): 25 columns rad in [-pi, pi], then 13 of the deviation's cepstrum.
    """
    unit = np.stack([np.cos(distortion), np.sin(distortion)], axis=1)  # (n, 2, 513)
    ends = (first, last, not compat)
    mean = both_ways(unit, MEAN_TAPS, *ends)
    trend = both_ways(median_of_9(unit, *ends), TREND_TAPS, *ends)
    rest = unit[0 if first else 12 : None if last else -12]
    spread = _modulus(both_ways(_turned_back(rest, trend), SPREAD_TAPS, *ends))
    spread = spread[0 if first else 4 : None if last else -4]
    with np.errstate(divide="ignore"):
        deviation = np.sqrt(np.maximum(-2 * np.log(spread), 0))
    return np.concatenate([_band_means(mean), _deviation_cepstrum(deviation, rate)], axis=1)


def _turned_back(unit: Array, trend: Array) -> Array:
    """Unit phasors (n, 2, 513) turned back by the angle of the trend."""
    cosine, sine = unit[:, 0], unit[:, 1]
    length = _modulus(trend)
    still = length == 0
    along, across = np.where(still, 1, trend[:, 0]), np.where(still, 0, trend[:, 1])
    length[still] = 1
    back = np.stack([cosine * along + sine * across, sine * along - cosine * across], axis=1)
    back /= length[:, None]
    return back


def _modulus(phasors: Array) -> Array:
    length: Array = np.sqrt(phasors[:, 0] ** 2 + phasors[:, 1] ** 2)
    return length


def _band_means(mean: Array) -> Array:
    """Circular means (n, 25) of the angles of phasors (n, 2, 513) over the bands."""
    length = _modulus(mean)
    phasors = mean / np.where(length == 0, 1, length)[:, None]
    phasors[:, 0] += length == 0
    sums = phasors[:, :, :-1] @ _bands()
    angles: Array = np.arctan2(sums[:, 1], sums[:, 0])
    return angles


@lru_cache(maxsize=1)
def _bands() -> Array:
    """Which of the lower 512 bins belong to which of 25 bands, (512, 25) of 0 and 1.

    The first eight are single bins; the rest widens along a Bezier curve through (8, 8),
    (25, 25) and (512, 25).
    """
    number = np.arange(1, N_GRID // 2 + 1)
    t = np.linspace(0, 1, 101)
    along = (1 - t) ** 2 * 8 + 2 * t * (1 - t) * 25 + t**2 * 512
    up = (1 - t) ** 2 * 8 + 2 * t * (1 - t) * 25 + t**2 * 25
    band = np.where(number <= 8, number, half_away(np.interp(number, along, up)))
    members: Array = (band[:, None] == np.arange(1, N_MEAN + 1)).astype(np.float64)
    return members


def _deviation_cepstrum(deviation: Array, rate: int) -> Array:
    """Mel-warped cepstrum (n, 13) of deviations (n, 513), 0 counted as 0.001."""
    deviation = np.where(deviation == 0, 0.001, deviation)
    deviation[:, 0] = deviation[:, 1]
    return warped_cepstrum(deviation, rate, N_DEVIATION)


def hmpd_at(statistics: Array, times: Array, at: Array) -> Array:
    """Statistics (n, 38) of frames at ``times`` (n,) s, read off at other times (T,) s: (T, 38).

    As the toolbox does, by way of a grid of 5 ms; angles turn the shorter way round. NaN before
    the first step of the grid, and after the last.
    """
    first, last = np.ceil(times[0] / STEP - 1e-6), np.floor(times[-1] / STEP + 1e-6)
    grid = np.arange(first, last + 1) * STEP
    for where in (grid, at):
        statistics = statistics.copy()
        statistics[:, :N_MEAN] = np.unwrap(statistics[:, :N_MEAN], axis=0)
        lines = [
            np.interp(where, times, column, left=np.nan, right=np.nan) for column in statistics.T
        ]
        statistics = np.stack(lines, axis=1)
        statistics[:, :N_MEAN] = wrap(statistics[:, :N_MEAN])
        times = grid
    return statistics
