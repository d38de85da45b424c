"""The 33 columns of librosa that CH-SIMS and FmlMSN use: zero crossings, MFCC, chroma."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...cache.errors import BadCall
from ...cache.records import ArraySpec, Features, FeatureSpec, frame_times
from ..base import Extractor, Needs
from ..clip import Clip
from .samples import samples_of
from .spectra import NOTES, Grid, cepstrum, chroma_cqt, mel_levels, quiet, zero_crossings

#: Rate of the sound in Hz, librosa's own default.
RATE = 22050
#: Samples of the window that zero crossings and MFCC look at; the shortest sound that is taken.
N_WINDOW = 2048
#: Halved once for each octave of the chroma below the highest, so hops must divide by it.
_OCTAVES = 64
#: Mel bands under the MFCC, and how far the quietest may lie below the clip's loudest, dB: both
#: librosa's defaults.
N_MELS, FLOOR = 128, 80.0


@dataclass(frozen=True)
class Librosa33(Extractor):
    """Zero crossing rate (1), MFCC (20) and constant-Q chroma (12) of each frame, at 22050 Hz.

    Frames are centred: row i describes the sound around ``i * n_hop / 22050`` s, and its times are
    the hop around that instant, so that rows tile the clip; the first begins half a hop before 0.
    What is before and after the clip counts as silence. Zero crossings and MFCC see 93 ms around
    the instant, the chroma between 1 s at its lowest note and 12 ms at its highest.

    Two things are taken from the clip as a whole, so that a row depends on the rest: levels more
    than 80 dB under the clip's loudest are raised to that before the MFCC, and the chroma is tuned
    to the clip. Sound of over two minutes is worked through in pieces (see ``spectra.py``).

    Args:
        n_hop: samples from row to row; a multiple of 64.
        n_mfcc: number of MFCC.
        htk: HTK's mel scale and filters, as in the code published with CH-SIMS; False: Slaney's,
            librosa's default.

    Source:
        Peng et al. (2023), Expert Systems with Applications 221, 119721, section 4.1, after
        Yu et al. (2020), CH-SIMS, ACL; the settings are those of the data preparation published
        with CH-SIMS. It resamples by librosa's default of its day; here by ``resample.py``.
    """

    name: ClassVar[str] = "librosa-33"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = "audio"
    libraries: ClassVar[tuple[str, ...]] = ("librosa",)
    paper: ClassVar[str] = "Peng et al. (2023), FmlMSN"

    n_hop: int = 512
    n_mfcc: int = 20
    htk: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_hop < _OCTAVES or self.n_hop % _OCTAVES:
            raise BadCall(
                f"'{self.name}': n_hop must be a multiple of {_OCTAVES} samples, not {self.n_hop!r}"
            )
        if not 1 <= self.n_mfcc <= 128:
            raise BadCall(f"'{self.name}': n_mfcc must be from 1 to 128, not {self.n_mfcc!r}")

    @property
    def needs(self) -> Needs:
        return Needs(audio=RATE)

    @property
    def spec(self) -> FeatureSpec:
        columns = (
            "zcr",
            *(f"mfcc_{i}" for i in range(self.n_mfcc)),
            *(f"chroma_cqt_{note}" for note in NOTES),
        )
        return {"values": ArraySpec((len(columns),), "float32", columns, self.n_hop / RATE)}

    def extract(self, clip: Clip) -> Features:
        """Map sound to (1 + n_samples // n_hop, 33) float32.

        ``zcr`` is a share of samples in [0, 1], ``mfcc_*`` are in dB (``mfcc_0`` is -1131 in
        silence), ``chroma_*`` in [0, 1] with 1 at a frame's strongest note, all 0 in silence.

        Raises:
            BadInput: the sound is shorter than one window of 2048 samples (93 ms).
        """
        samples = samples_of(clip, self.name, RATE, N_WINDOW)
        grid = Grid(RATE, N_WINDOW, self.n_hop)
        with quiet():
            levels = mel_levels(samples, grid, N_MELS, self.htk, FLOOR)
            parts = (
                zero_crossings(samples, grid),
                cepstrum(levels, self.n_mfcc),
                chroma_cqt(samples, RATE, self.n_hop),
            )
        values = np.concatenate(parts, axis=1)  # (T, 33)
        hop = self.n_hop / RATE
        times = frame_times(len(values), hop, start=-hop / 2)
        return Features(values, times, self.spec["values"].columns)
