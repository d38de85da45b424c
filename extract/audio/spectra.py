"""What librosa measures of each frame, worked through in blocks: long sound needs little memory.

librosa takes a sound whole: its constant-Q chroma needs 110 MB a minute. Here a block of ``BLOCK``
seconds is taken at a time. What looks at its own frame alone is given just that; the constant-Q
transform gets ``CONTEXT`` seconds on both sides, and the little that librosa takes from the whole
sound (the loudest level, the tuning) is found first. Sound of up to one block goes to librosa in
one piece: its numbers are librosa's, bit for bit. Longer sound is the same within 1e-5 of a
column's range, but for chroma in digital silence: there librosa divides what rounding has left of
the sound beside it by its own maximum.

All functions take samples (n_samples,) float32 and give (T, columns) float32 with
``T = 1 + n_samples // n_hop``: frames are centred, row i looks at the sound around ``i * n_hop``
samples, and silence is taken to be before the first sample and after the last.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...cache.errors import BadCall
from ...cache.records import Array
from .load_librosa import load_librosa

#: Seconds that are worked through in one go.
BLOCK = 120
#: Seconds beside a block that its constant-Q transform gets to see; its lowest filter reaches 0.8.
CONTEXT = 4
#: Notes of the chroma, in librosa's order.
NOTES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
#: Bins of an octave in the transform under the chroma, librosa's own number.
_BINS = 36
#: The least power that is told from silence, as in ``librosa.power_to_db``: -100 dB.
LEAST_POWER = 1e-10
#: What librosa says of sound that it pads with zeros (every clip under about 3 s, in the lower
#: octaves of the chroma) and of silence (tuned to 440 Hz then); both are meant.
_EXPECTED = (
    r"n_fft=\d+ is too large for input signal",
    "Trying to estimate tuning from empty frequency set",
)


@dataclass(frozen=True)
class Grid:
    """How sound is cut into frames, and the frames into blocks.

    Args:
        rate: samples per second, Hz.
        n_fft: samples of a frame; even.
        n_hop: samples from frame to frame.
    """

    rate: int
    n_fft: int
    n_hop: int

    def rows(self, samples: Array) -> int:
        """How many frames there are."""
        return 1 + len(samples) // self.n_hop

    @property
    def block(self) -> int:
        """Frames of one block."""
        return max(1, BLOCK * self.rate // self.n_hop)

    def blocks(self, samples: Array, mode: str = "constant") -> Iterator[tuple[slice, Array]]:
        """Rows of each block and the samples that exactly these rows look at.

        Args:
            samples: (n_samples,) sound.
            mode: what stands before and after it, as in ``numpy.pad``.
        """
        n_rows = self.rows(samples)
        half = self.n_fft // 2
        for first in range(0, n_rows, self.block):
            last = min(first + self.block, n_rows)
            left, right = first * self.n_hop - half, (last - 1) * self.n_hop + half
            yield slice(first, last), self.cut(samples, left, right, mode)

    def cut(self, samples: Array, left: int, right: int, mode: str = "constant") -> Array:
        """Samples [left, right), padded where that reaches over their ends."""
        inside = samples[max(left, 0) : max(right, 0)]
        pad = (max(-left, 0), max(right - len(samples), 0))
        if not any(pad):
            return inside
        padded: Array = np.pad(inside, pad, mode=mode)  # type: ignore[call-overload]
        return padded

    def spectra(self, samples: Array) -> Iterator[tuple[slice, Array]]:
        """Rows of each block and the magnitudes of their spectra, (1 + n_fft // 2, rows)."""
        librosa = load_librosa()

        for rows, piece in self.blocks(samples):
            spectrum = librosa.stft(piece, n_fft=self.n_fft, hop_length=self.n_hop, center=False)
            yield rows, np.abs(spectrum)


@contextmanager
def quiet() -> Iterator[None]:
    """One thread for numpy's matrix products, and no warning of what is meant.

    The last bits of a matrix product depend on the number of threads.
    """
    with _one_thread().limit(limits=1), warnings.catch_warnings():
        for message in _EXPECTED:
            warnings.filterwarnings("ignore", message=message, category=UserWarning)
        yield


@functools.cache
def _one_thread() -> Any:
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return ThreadpoolController()


def zero_crossings(samples: Array, grid: Grid) -> Array:
    """Share of a frame's samples at which the sign changes, (T, 1) in [0, 1]."""
    librosa = load_librosa()

    found = np.empty((grid.rows(samples), 1), np.float32)
    for rows, piece in grid.blocks(samples, "edge"):
        found[rows] = librosa.feature.zero_crossing_rate(
            piece, frame_length=grid.n_fft, hop_length=grid.n_hop, center=False
        ).T
    return found


def root_mean_square(samples: Array, grid: Grid) -> Array:
    """Linear amplitude of each frame, (T, 1); 1 is full scale."""
    librosa = load_librosa()

    found = np.empty((grid.rows(samples), 1), np.float32)
    for rows, piece in grid.blocks(samples):
        found[rows] = librosa.feature.rms(
            y=piece, frame_length=grid.n_fft, hop_length=grid.n_hop, center=False
        ).T
    return found


def mel_levels(samples: Array, grid: Grid, n_mels: int, htk: bool, floor: float) -> Array:
    """Level of each mel band, (T, n_mels), dB re a power of 1.

    Args:
        samples: (n_samples,) sound.
        grid: how it is cut into frames.
        n_mels: number of bands from 0 Hz to half the rate.
        htk: HTK's mel scale; False: Slaney's. The bands have equal area in both.
        floor: levels further below the sound's loudest are raised to this distance, dB.

    Raises:
        BadCall: a band is narrower than the spectrum's bins.
    """
    librosa = load_librosa()

    levels = np.empty((grid.rows(samples), n_mels), np.float32)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Empty filters", category=UserWarning)
        for rows, spectrum in grid.spectra(samples):
            try:
                power = librosa.feature.melspectrogram(
                    S=spectrum**2, sr=grid.rate, n_fft=grid.n_fft, n_mels=n_mels, htk=htk
                )
            except UserWarning as warning:
                raise BadCall(
                    f"{n_mels} mel bands are more than {grid.n_fft} samples at {grid.rate} Hz "
                    "tell apart; lower n_mels or raise n_fft"
                ) from warning
            levels[rows] = librosa.power_to_db(power, amin=LEAST_POWER, top_db=None).T
    np.maximum(levels, levels.max() - np.float32(floor), out=levels)
    return levels


def cepstrum(levels: Array, n_mfcc: int) -> Array:
    """MFCC of levels (T, n_mels) in dB: the first ``n_mfcc`` of their cosine transform."""
    from scipy.fft import dct

    found: Array = dct(levels, axis=1, type=2, norm="ortho")[:, :n_mfcc]
    return found


def slope(values: Array, order: int, width: int) -> Array:
    """Derivative over time of (T, columns), a row, by a polynomial fitted to ``width`` rows."""
    librosa = load_librosa()

    found: Array = librosa.feature.delta(values, width=width, order=order, axis=0)
    return found


def tempogram(levels: Array, grid: Grid, n_lags: int) -> Array:
    """Local autocorrelation of the strength of onsets, (T, n_lags) in [0, 1], lag in rows.

    Args:
        levels: (T, n_mels) dB.
        grid: how the sound was cut into frames.
        n_lags: rows of the window, and number of lags.
    """
    librosa = load_librosa()

    strength = librosa.onset.onset_strength(
        S=levels.T, sr=grid.rate, n_fft=grid.n_fft, hop_length=grid.n_hop
    )  # (T,)
    n_rows, half = len(strength), n_lags // 2
    padded = np.pad(strength, half, mode="linear_ramp", end_values=0)
    found = np.empty((n_rows, n_lags), np.float32)
    for first in range(0, n_rows, grid.block):
        last = min(first + grid.block, n_rows)
        # not centred: the padding of the whole is at hand, and rows are counted from its start
        piece = padded[first : last - 1 + n_lags]
        found[first:last] = librosa.feature.tempogram(
            onset_envelope=piece, sr=grid.rate, win_length=n_lags, center=False
        ).T[: last - first]
    return found


def chroma_stft(samples: Array, grid: Grid) -> Array:
    """Energy of the 12 notes from the short-time spectrum, (T, 12), 1 at a frame's strongest."""
    librosa = load_librosa()

    tuning = _tuning(samples, grid, len(NOTES), power=2)
    found = np.empty((grid.rows(samples), len(NOTES)), np.float32)
    for rows, spectrum in grid.spectra(samples):
        found[rows] = librosa.feature.chroma_stft(
            S=spectrum**2, sr=grid.rate, n_fft=grid.n_fft, tuning=tuning
        ).T
    return found


def chroma_cqt(samples: Array, rate: int, n_hop: int) -> Array:
    """Strength of the 12 notes from the constant-Q transform, (T, 12), 1 at a frame's strongest.

    ``n_hop`` is a multiple of 64: it is halved for each octave below the highest.
    """
    librosa = load_librosa()

    # librosa tunes on frames of its own default, whatever the hop of the chroma
    tuning = _tuning(samples, Grid(rate, 2048, 512), _BINS, power=1)
    n_rows = 1 + len(samples) // n_hop
    size, beside = (max(1, seconds * rate // n_hop) for seconds in (BLOCK, CONTEXT))
    found = np.empty((n_rows, len(NOTES)), np.float32)
    for first in range(0, n_rows, size):
        begin, last = max(first - beside, 0), min(first + size, n_rows)
        piece = samples[begin * n_hop : (last + beside) * n_hop]
        chroma = librosa.feature.chroma_cqt(
            y=piece, sr=rate, hop_length=n_hop, tuning=tuning, bins_per_octave=_BINS
        )
        found[first:last] = chroma.T[first - begin : last - begin]
    return found


def _tuning(samples: Array, grid: Grid, bins_per_octave: int, power: int) -> float:
    """Deviation from 440 Hz that most of the stronger spectral peaks share, in bins."""
    librosa = load_librosa()

    pitches, levels = [], []
    for _, spectrum in grid.spectra(samples):
        pitch, level = librosa.piptrack(S=spectrum**power, sr=grid.rate, n_fft=grid.n_fft)
        pitches.append(pitch[pitch > 0])
        levels.append(level[pitch > 0])
    pitch, level = np.concatenate(pitches), np.concatenate(levels)
    strong = pitch[level >= np.median(level)] if len(pitch) else pitch
    tuning: float = librosa.pitch_tuning(strong, resolution=0.01, bins_per_octave=bins_per_octave)
    return tuning
