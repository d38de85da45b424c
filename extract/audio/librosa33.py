"""The 33 columns of librosa that CH-SIMS and FmlMSN use: zero crossings, MFCC, chroma."""

from __future__ import annotations

import functools
import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ...cache.errors import BadCall, BadInput
from ...cache.records import Array, ArraySpec, Features, FeatureSpec, frame_times
from ..base import Extractor, Needs
from ..clip import Clip

#: Rate of the sound in Hz, librosa's own default.
RATE = 22050
#: Samples of the window that zero crossings and MFCC look at; the shortest sound that is taken.
N_WINDOW = 2048
NOTES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
#: Halved once for each octave of the chroma below the highest, so hops must divide by it.
_OCTAVES = 64
#: What librosa says of sound that it pads with zeros (every clip under about 3 s, in the lower
#: octaves of the chroma) and of silence (tuned to 440 Hz then); both are meant.
_EXPECTED = (
    r"n_fft=\d+ is too large for input signal",
    "Trying to estimate tuning from empty frequency set",
)


@dataclass(frozen=True)
class Librosa33(Extractor):
    """Zero crossing rate (1), MFCC (20) and constant-Q chroma (12) of each frame, at 22050 Hz.

    Frames are centred: row i describes the sound around ``i * n_hop / 22050`` s, and its times are
    the hop around that instant, so that rows tile the clip; the first begins half a hop before 0.
    What is before and after the clip counts as silence. Zero crossings and MFCC see 93 ms around
    the instant, the chroma between 1 s at its lowest note and 12 ms at its highest.

    Two things are taken from the clip as a whole, so that a row depends on the rest: levels more
    than 80 dB under the clip's loudest are raised to that before the MFCC, and the chroma is tuned
    to the clip.

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
        samples = clip.audio(RATE).samples
        if len(samples) < N_WINDOW:
            raise BadInput(
                f"'{self.name}' needs at least {N_WINDOW / RATE * 1000:.0f} ms of sound, "
                f"'{clip.id}' has {len(samples) / RATE * 1000:.0f} ms"
            )
        values = self._analyse(samples)
        hop = self.n_hop / RATE
        times = frame_times(len(values), hop, start=-hop / 2)
        return Features(values, times, self.spec["values"].columns)

    def _analyse(self, samples: Array) -> Array:
        import librosa

        with _one_thread().limit(limits=1), warnings.catch_warnings():
            for message in _EXPECTED:
                warnings.filterwarnings("ignore", message=message, category=UserWarning)
            crossings = librosa.feature.zero_crossing_rate(
                samples, frame_length=N_WINDOW, hop_length=self.n_hop
            )
            cepstrum = librosa.feature.mfcc(
                y=samples,
                sr=RATE,
                n_mfcc=self.n_mfcc,
                n_fft=N_WINDOW,
                hop_length=self.n_hop,
                htk=self.htk,
            )
            chroma = librosa.feature.chroma_cqt(y=samples, sr=RATE, hop_length=self.n_hop)
        return np.concatenate([crossings, cepstrum, chroma]).T.astype(np.float32)  # (T, 33)


@functools.cache
def _one_thread() -> Any:
    """Holds numpy's matrix products to one thread: their last bits depend on the number."""
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return ThreadpoolController()
