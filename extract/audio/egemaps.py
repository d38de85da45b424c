"""openSMILE's eGeMAPSv02 low-level descriptors: 25 columns of voice, 100 rows a second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...cache.records import ArraySpec, Features, FeatureSpec, frame_times
from ..base import Extractor, Needs
from ..clip import Clip
from .opensmile_run import HOP, LICENCE, RATE, run
from .samples import samples_of

#: Length of the shorter of openSMILE's two windows in seconds.
WIDTH = 0.020
#: Samples of the longer window (60 ms, for pitch and formants): the shortest sound that is taken.
N_LONGEST = 960
#: openSMILE's names, kept; ``sma3``: mean over 3 rows, ``nz``: over voiced rows only.
COLUMNS = (
    "Loudness_sma3",
    "alphaRatio_sma3",
    "hammarbergIndex_sma3",
    "slope0-500_sma3",
    "slope500-1500_sma3",
    "spectralFlux_sma3",
    "mfcc1_sma3",
    "mfcc2_sma3",
    "mfcc3_sma3",
    "mfcc4_sma3",
    "F0semitoneFrom27.5Hz_sma3nz",
    "jitterLocal_sma3nz",
    "shimmerLocaldB_sma3nz",
    "HNRdBACF_sma3nz",
    "logRelF0-H1-H2_sma3nz",
    "logRelF0-H1-A3_sma3nz",
    "F1frequency_sma3nz",
    "F1bandwidth_sma3nz",
    "F1amplitudeLogRelF0_sma3nz",
    "F2frequency_sma3nz",
    "F2bandwidth_sma3nz",
    "F2amplitudeLogRelF0_sma3nz",
    "F3frequency_sma3nz",
    "F3bandwidth_sma3nz",
    "F3amplitudeLogRelF0_sma3nz",
)


@dataclass(frozen=True)
class Egemaps(Extractor):
    """The 25 low-level descriptors of eGeMAPSv02, at 16 kHz, a row every 10 ms.

    Row i covers openSMILE's frame from ``i * 10`` ms on. Its times say 20 ms, as openSMILE does;
    pitch, jitter, shimmer, HNR and formants see 60 ms from the same start. Unvoiced rows have
    pitch 0 and formant amplitudes of -201, openSMILE's marks, which are kept.

    openSMILE takes 16 bits: samples are cut to that towards zero, and what passes full scale (a
    clipped recording, after resampling) saturates.

    The licence of openSMILE allows research and other non-commercial use only.

    Source:
        Eyben et al. (2016), "The Geneva Minimalistic Acoustic Parameter Set (GeMAPS) for Voice
        Research and Affective Computing", IEEE Transactions on Affective Computing 7(2);
        computed by the ``opensmile`` package of audEERING.
    """

    name: ClassVar[str] = "egemaps"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = "audio"
    libraries: ClassVar[tuple[str, ...]] = ("opensmile",)
    paper: ClassVar[str] = "Eyben et al. (2016), GeMAPS"
    licence: ClassVar[str] = LICENCE

    @property
    def needs(self) -> Needs:
        return Needs(audio=RATE)

    @property
    def spec(self) -> FeatureSpec:
        return {"values": ArraySpec((len(COLUMNS),), "float32", COLUMNS, HOP)}

    def extract(self, clip: Clip) -> Features:
        """Map sound to (2 + (n_samples - 960) // 160, 25) float32, units as in the paper.

        Raises:
            BadInput: the sound is shorter than openSMILE's longest window, 60 ms.
        """
        samples = samples_of(clip, self.name, RATE, N_LONGEST)
        values = run("eGeMAPSv02", "LowLevelDescriptors", samples)
        return Features(values, frame_times(len(values), HOP, WIDTH), COLUMNS)
