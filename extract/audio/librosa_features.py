"""Any of librosa's frame features, chosen by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np

from ...cache.errors import BadCall, BadInput, unknown
from ...cache.records import Array, ArraySpec, Features, FeatureSpec, frame_times
from ..base import Extractor, Needs
from ..clip import Clip
from . import spectral_shape
from .pitch import pyin
from .samples import samples_of
from .spectra import (
    NOTES,
    Grid,
    cepstrum,
    chroma_cqt,
    chroma_stft,
    mel_levels,
    quiet,
    root_mean_square,
    slope,
    tempogram,
    zero_crossings,
)

#: What can be asked for.
KNOWN = (
    "zcr",
    "rms",
    "logmel",
    "mfcc",
    "mfcc_delta",
    "mfcc_delta2",
    "chroma_stft",
    "chroma_cqt",
    "spectral_centroid",
    "spectral_bandwidth",
    "spectral_rolloff",
    "spectral_flatness",
    "spectral_contrast",
    "tempogram",
    "f0_pyin",
)
#: Rates in Hz that the highest band of a feature needs.
LEAST_RATE = {"chroma_cqt": 9000, "spectral_contrast": 12801}


@dataclass(frozen=True)
class Librosa(Extractor):
    """Any of librosa's frame features: MFCC with deltas, chroma, contrast, tempogram, pitch ...

    The columns are those of ``features``, in that order; what is not set here is librosa's default.

    ======================  =====================================================================
    ``zcr``                 share of samples at which the sign changes, [0, 1]
    ``rms``                 linear amplitude; full scale is 1
    ``logmel``              ``logmel_0`` ... ``logmel_{n_mels - 1}``: dB re a power of 1
    ``mfcc``                ``mfcc_0`` ... ``mfcc_{n_mfcc - 1}``: cosine transform of ``logmel``
    ``mfcc_delta``          first derivative of the MFCC, a row; ``mfcc_delta2``: second
    ``chroma_stft``         12 notes from the short-time spectrum, 1 at a row's strongest
    ``chroma_cqt``          12 notes from the constant-Q transform, 1 at a row's strongest
    ``spectral_centroid``   Hz; so are ``spectral_bandwidth`` and ``spectral_rolloff`` (85%)
    ``spectral_flatness``   [0, 1]; 1 is white noise, and silence
    ``spectral_contrast``   ``spectral_contrast_0`` ... ``_6``: dB
    ``tempogram``           ``tempogram_0`` ...: autocorrelation of onsets by lag in rows, [0, 1]
    ``f0_pyin``             ``f0`` (Hz; 0 where not voiced), ``voiced`` (0 or 1),
                            ``voiced_probability`` [0, 1]
    ======================  =====================================================================

    Rows are centred as in ``librosa-33``: row i describes the sound around ``i * n_hop / rate`` s,
    and its times are the hop around that instant. Levels are raised to ``floor`` under the
    clip's loudest before MFCC and contrast, and the chroma is tuned to the clip, so that a row
    depends on the rest. In digital silence within a sound ``chroma_cqt`` is what rounding leaves.

    An unvoiced row is a measurement too ("there is no pitch"): it is not masked, its ``f0`` is 0,
    and ``voiced`` tells that from a low pitch.

    Args:
        features: what to measure, in the order of the columns.
        rate: rate of the sound, Hz.
        n_hop: samples from row to row; for ``chroma_cqt`` a multiple of 64.
        n_fft: samples of a row's window, even.
        n_mfcc: number of MFCC.
        n_mels: number of mel bands, under the MFCC and the tempogram too.
        htk: HTK's mel scale; False: Slaney's.
        floor: distance of the lowest level from the loudest, dB.
        n_delta: rows to which a line (parabola) is fitted for a derivative, odd.
        f0_min: least pitch, Hz; two of its periods must fit into the window.
        f0_max: largest pitch, Hz.
        n_tempogram: rows of the tempogram's window, and number of its columns.

    Source:
        McFee et al. (2015), "librosa: Audio and Music Signal Analysis in Python", SciPy.
    """

    name: ClassVar[str] = "librosa"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = "audio"
    sizes: ClassVar[str] = "as chosen; 81"
    libraries: ClassVar[tuple[str, ...]] = ("librosa", "scipy")
    paper: ClassVar[str] = "McFee et al. (2015), librosa"

    features: tuple[str, ...] = (
        "zcr",
        "rms",
        "mfcc",
        "mfcc_delta",
        "mfcc_delta2",
        "chroma_cqt",
        "spectral_contrast",
    )
    rate: int = 22050
    n_hop: int = 512
    n_fft: int = 2048
    n_mfcc: int = 20
    n_mels: int = 128
    htk: bool = False
    floor: float = 80.0
    n_delta: int = 9
    f0_min: float = 60.0
    f0_max: float = 600.0
    n_tempogram: int = 384

    def __post_init__(self) -> None:
        super().__post_init__()
        wanted = (self.features,) if isinstance(self.features, str) else tuple(self.features)
        object.__setattr__(self, "features", wanted)
        for feature in wanted:
            if feature not in KNOWN:
                raise unknown(f"feature of '{self.name}'", str(feature), KNOWN)
        if not wanted or len(set(wanted)) != len(wanted):
            raise BadCall(f"'{self.name}': features must name each wanted one once, not {wanted}")
        for fault in self._faults():
            raise BadCall(f"'{self.name}': {fault}")

    def _faults(self) -> list[str]:
        """What is wrong with the settings, in words."""
        asked = set(self.features)
        least = max((LEAST_RATE.get(name, 1000) for name in asked), default=0)
        pitched = "f0_pyin" in asked
        checks = (
            (self.rate >= least, f"rate must be at least {least} Hz, not {self.rate!r}"),
            (
                self.n_fft >= 16 and self.n_fft % 2 == 0,
                f"n_fft must be even and at least 16, not {self.n_fft!r}",
            ),
            (
                1 <= self.n_hop <= self.n_fft,
                f"n_hop must be from 1 to n_fft ({self.n_fft}) samples, not {self.n_hop!r}",
            ),
            (
                "chroma_cqt" not in asked or self.n_hop % 64 == 0,
                f"'chroma_cqt' needs an n_hop that is a multiple of 64, not {self.n_hop!r}",
            ),
            (
                1 <= self.n_mfcc <= self.n_mels,
                f"n_mfcc must be from 1 to n_mels ({self.n_mels}), not {self.n_mfcc!r}",
            ),
            (self.floor > 0, f"floor must be above 0 dB, not {self.floor!r}"),
            (
                self.n_delta >= 3 and self.n_delta % 2 == 1,
                f"n_delta must be odd and at least 3, not {self.n_delta!r}",
            ),
            (self.n_tempogram >= 2, f"n_tempogram must be at least 2, not {self.n_tempogram!r}"),
            (
                not pitched or 0 < self.f0_min < self.f0_max <= self.rate / 2,
                f"f0_min and f0_max must lie in this order between 0 and {self.rate / 2:g} Hz, "
                f"not {self.f0_min!r} and {self.f0_max!r}",
            ),
            (
                not pitched or self.f0_min <= 0 or self.n_fft // 2 > self.rate / self.f0_min,
                f"two periods of f0_min ({self.f0_min:g} Hz) must fit into n_fft, which must be "
                f"at least {2 * int(self.rate / max(self.f0_min, 1e-9) + 1)}, not {self.n_fft!r}",
            ),
        )
        return [message for right, message in checks if not right]

    @property
    def needs(self) -> Needs:
        return Needs(audio=self.rate)

    @property
    def spec(self) -> FeatureSpec:
        columns = tuple(column for name in self.features for column in self._columns(name))
        return {"values": ArraySpec((len(columns),), "float32", columns, self.n_hop / self.rate)}

    def _columns(self, feature: str) -> tuple[str, ...]:
        if feature.startswith("chroma"):
            return tuple(f"{feature}_{note}" for note in NOTES)
        if feature == "f0_pyin":
            return ("f0", "voiced", "voiced_probability")
        numbers = {
            "logmel": self.n_mels,
            "spectral_contrast": len(spectral_shape.CONTRAST_BOUNDS),
            "tempogram": self.n_tempogram,
        }
        if feature.startswith("mfcc"):
            numbers[feature] = self.n_mfcc
        if feature in numbers:
            return tuple(f"{feature}_{i}" for i in range(numbers[feature]))
        return (feature,)

    def extract(self, clip: Clip) -> Features:
        """Map sound to (1 + n_samples // n_hop, columns) float32.

        Raises:
            BadInput: the sound is shorter than one window, or has fewer rows than a derivative
                needs.
            BadCall: there are more mel bands than the window tells apart.
        """
        samples = samples_of(clip, self.name, self.rate, self.n_fft)
        grid = Grid(self.rate, self.n_fft, self.n_hop)
        n_rows = grid.rows(samples)
        if n_rows < self.n_delta and {"mfcc_delta", "mfcc_delta2"} & set(self.features):
            raise BadInput(
                f"'{self.name}': derivatives need {self.n_delta} rows, "
                f"'{clip.id}' has {n_rows}; lower n_delta or n_hop"
            )
        columns = self.spec["values"].columns
        values = np.empty((n_rows, len(columns)), np.float32)
        place = 0
        with quiet():
            for part in self._parts(samples, grid):
                values[:, place : place + part.shape[1]] = part
                place += part.shape[1]
        if "voiced" in columns and not values[:, columns.index("voiced")].any():
            clip.warn(f"'{self.name}' found no voiced row, so f0 is 0 throughout")
        hop = self.n_hop / self.rate
        return Features(values, frame_times(n_rows, hop, start=-hop / 2), columns)

    def _parts(self, samples: Array, grid: Grid) -> Iterator[Array]:
        """The columns of each feature asked for, (T, n) each, in order."""

        @cache
        def levels() -> Array:
            return mel_levels(samples, grid, self.n_mels, self.htk, self.floor)

        @cache
        def mfcc() -> Array:
            return cepstrum(levels(), self.n_mfcc)

        measures: dict[str, Callable[[], Array]] = {
            "zcr": lambda: zero_crossings(samples, grid),
            "rms": lambda: root_mean_square(samples, grid),
            "logmel": levels,
            "mfcc": mfcc,
            "mfcc_delta": lambda: slope(mfcc(), 1, self.n_delta),
            "mfcc_delta2": lambda: slope(mfcc(), 2, self.n_delta),
            "chroma_stft": lambda: chroma_stft(samples, grid),
            "chroma_cqt": lambda: chroma_cqt(samples, self.rate, self.n_hop),
            "spectral_centroid": lambda: spectral_shape.centroid(samples, grid),
            "spectral_bandwidth": lambda: spectral_shape.bandwidth(samples, grid),
            "spectral_rolloff": lambda: spectral_shape.rolloff(samples, grid),
            "spectral_flatness": lambda: spectral_shape.flatness(samples, grid),
            "spectral_contrast": lambda: spectral_shape.contrast(samples, grid, self.floor),
            "tempogram": lambda: tempogram(levels(), grid, self.n_tempogram),
            "f0_pyin": lambda: pyin(samples, grid, self.f0_min, self.f0_max),
        }
        for feature in self.features:
            yield measures[feature]()
