"""EASUM's acoustic features: the levels of 64 mel bands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...cache.errors import BadCall
from ...cache.records import ArraySpec, Features, FeatureSpec, frame_times
from ..base import Extractor, Needs
from ..clip import Clip
from .samples import samples_of
from .spectra import Grid, mel_levels, quiet

#: Number of mel bands.
N_MELS = 64


@dataclass(frozen=True)
class LogMel64(Extractor):
    """Levels of 64 mel bands from librosa, at 16 kHz, a row every 32 ms.

    Rows are centred: row i describes the sound around ``i * n_hop / rate`` s, and its times are
    the hop around that instant; what is before and after the clip counts as silence. Levels more
    than ``floor`` under the clip's loudest are raised to that, so that a row depends on the rest.

    EASUM says only "librosa" and a size of 157 by 64. A mel spectrogram is what UniMSE, which
    it follows, names; the rate and the hop are ours: at these, 157 rows are five seconds, and
    librosa's own window and hop give them. Mel bands are librosa's default (Slaney's), from 0 Hz
    to half the rate, and levels are in dB re a power of 1.

    Args:
        rate: rate of the sound, Hz.
        n_hop: samples from row to row.
        n_fft: samples of a row's window, even.
        htk: HTK's mel scale; False: Slaney's.
        floor: distance of the lowest level from the loudest, dB.

    Source:
        Hwang and Kim (2024), "EASUM", WACV, section 4.4, after Hu et al. (2022), "UniMSE", EMNLP.
    """

    name: ClassVar[str] = "logmel-64"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = "audio"
    libraries: ClassVar[tuple[str, ...]] = ("librosa",)
    paper: ClassVar[str] = "Hwang and Kim (2024), EASUM"

    rate: int = 16000
    n_hop: int = 512
    n_fft: int = 2048
    htk: bool = False
    floor: float = 80.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rate < 1000:
            raise BadCall(f"'{self.name}': rate must be at least 1000 Hz, not {self.rate!r}")
        if self.n_fft < 4 * N_MELS or self.n_fft % 2:
            raise BadCall(
                f"'{self.name}': n_fft must be even and at least {4 * N_MELS} samples, "
                f"not {self.n_fft!r}"
            )
        if not 1 <= self.n_hop <= self.n_fft:
            raise BadCall(
                f"'{self.name}': n_hop must be from 1 to n_fft ({self.n_fft}) samples, "
                f"not {self.n_hop!r}"
            )
        if not self.floor > 0:
            raise BadCall(f"'{self.name}': floor must be above 0 dB, not {self.floor!r}")

    @property
    def needs(self) -> Needs:
        return Needs(audio=self.rate)

    @property
    def spec(self) -> FeatureSpec:
        columns = tuple(f"logmel_{i}" for i in range(N_MELS))
        return {"values": ArraySpec((N_MELS,), "float32", columns, self.n_hop / self.rate)}

    def extract(self, clip: Clip) -> Features:
        """Map sound to (1 + n_samples // n_hop, 64) float32, dB; -100 in silence.

        Raises:
            BadInput: the sound is shorter than one window.
            BadCall: the window is too short to tell the lowest bands apart.
        """
        samples = samples_of(clip, self.name, self.rate, self.n_fft)
        grid = Grid(self.rate, self.n_fft, self.n_hop)
        with quiet():
            values = mel_levels(samples, grid, N_MELS, self.htk, self.floor)
        hop = self.n_hop / self.rate
        times = frame_times(len(values), hop, start=-hop / 2)
        return Features(values, times, self.spec["values"].columns)
