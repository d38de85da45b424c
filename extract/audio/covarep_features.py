"""COVAREP's 74 acoustic features of CMU-MOSI and CMU-MOSEI, whole or by families."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...cache.errors import BadCall
from ...cache.keys import WHERE
from ...cache.records import ArraySpec, Features, FeatureSpec, frame_times
from ..base import Extractor, Needs
from ..clip import Clip, Waveform
from .covarep.families import FAMILIES
from .soundness import check_sound

if TYPE_CHECKING:
    from .covarep.creak_network import CreakNetwork
    from .covarep.rows import CovarepRows

#: Rate of the sound in Hz for which the features are made.
RATE = 16000
#: Seconds from row to row.
HOP = 0.010
#: Versions of the toolbox between which Rd changed.
RD_VERSIONS = ("1.4.1", "1.4.2")


class CovarepFamilies(Extractor):
    """What the extractors of COVAREP's families have in common; a row every 10 ms.

    Class attributes:
        families: names of ``covarep.families.FAMILIES``.
    """

    version: ClassVar[int] = 1
    modality: ClassVar[str] = "audio"
    paper: ClassVar[str] = "Degottex et al. (2014), COVAREP"
    families: ClassVar[tuple[str, ...]]
    compat: bool

    @property
    def needs(self) -> Needs:
        return Needs(audio=RATE)

    @property
    def spec(self) -> FeatureSpec:
        columns = tuple(name for family in self.families for name in FAMILIES[family])
        return {"values": ArraySpec((len(columns),), "float32", columns, HOP)}

    def extract(self, clip: Clip) -> Features:
        """Map sound to (T, n_columns) float32, T = (n_samples - 80) // 160 + 1 at 16 kHz.

        Row k describes the sound around its middle, ``k * 10 + 5`` ms. Where a column has no
        value it is 0; rows without any value are masked, and the clip is warned of. Sound too
        short for one row gives one masked row.

        Raises:
            NoAudio: there is no sound.
            BadInput: a sample is not a number.
        """
        sound = clip.audio(self._rate(clip))
        rows = self._rows(sound)
        check_sound(clip, sound)
        for note in rows.notes:
            clip.warn(note)
        values, mask = rows.values, rows.mask
        if not len(values):
            clip.warn(f"the sound is shorter than a row ({1000 * sound.duration:.3g} ms)")
            values, mask = np.zeros((1, len(rows.columns))), np.zeros(1, bool)
        hop = round(HOP * sound.rate) / sound.rate
        return Features(values, frame_times(len(values), hop), rows.columns, mask)

    def _rate(self, clip: Clip) -> int:
        """The toolbox takes sound as it is, whatever its rate."""
        if not self.compat or clip.media is None:
            return RATE
        from ..media import probe

        return probe(clip.media).audio_rate or RATE

    def _rows(self, sound: Waveform) -> CovarepRows:
        return self._computed(sound)

    def _computed(self, sound: Waveform, **settings: Any) -> CovarepRows:
        from .covarep.pipeline import covarep_rows  # loads numba

        return covarep_rows(
            sound.samples, sound.rate, self.families, compat=self.compat, **settings
        )


def _check_rd(name: str, rd: str) -> None:
    if rd not in RD_VERSIONS:
        raise BadCall(f"'{name}': rd must be one of {', '.join(RD_VERSIONS)}, not {rd!r}")


@dataclass(frozen=True)
class Covarep(CovarepFamilies):
    """COVAREP's 74 acoustic features, as in CMU-MOSI and CMU-MOSEI, 100 rows a second.

    ``F0`` (Hz), ``VUV`` (0 or 1), ``NAQ``, ``QOQ``, ``H1H2`` (dB), ``PSP``, ``MDQ``,
    ``peakSlope``, ``Rd``, ``Rd_conf``, ``creak``, ``MCEP_0..24``, ``HMPDM_0..24`` (rad),
    ``HMPDD_0..12``. No MATLAB is needed: the features are computed anew from the papers, and come
    within rounding of the toolbox's (see docs/covarep.md).

    ``creak`` is 0 without ``creak_weights``: the toolbox's have no licence that would let them be
    shipped, and 0 is what it gives where they are missing.

    What is different without ``compat``, feature by feature:

    - sound: brought to 16 kHz first; in ``compat`` it keeps its rate. (Of several channels the
      mean is taken in both; the toolbox takes the first.)
    - F0, VUV, Rd, Rd_conf, HMPDM, HMPDD: the first frame stands for the 45 ms before its middle,
      the last for those after it (``compat``: 0 there). A pitch frame that touches digital silence
      is measured by what else it holds (``compat``: F0 is 1 Hz, and what follows from it is of no
      meaning).
    - HMPDM, HMPDD: frames on either side of digital silence are smoothed apart; less than 73
      frames will do (``compat``: the whole file has no features).
    - MCEP: each frame stands at its own time (``compat``: the frames are stretched over the file,
      up to 50 ms off at its ends, and more where frames are missing).
    - NAQ, QOQ, H1H2, PSP, MDQ: the same numbers, lines from cycle to cycle also across unvoiced
      sound, 0 before the first closure of the glottis and after the last. Sound with less than
      two closures has the other features (``compat``: none).
    - peakSlope: frames beside digital silence are left out (``compat``: 0, or masked rows
      where it is infinite); the first and last frame reach to the ends.
    - rows in digital silence (25 ms on either side) are masked.

    Args:
        compat: the toolbox's behaviour to the letter, to go on with features made by it.
        rd: version of COVAREP whose Rd is meant: ``1.4.2`` (2016 and since), or ``1.4.1`` and
            before, which is the published method. They differ a lot (r = 0.59). Which of them
            CMU used is not known.
        creak_weights: a file of weights of creak's network, ``.npz`` or ``.safetensors`` (its
            arrays: see docs/covarep.md); its content counts towards the fingerprint.

    Source:
        Degottex, Kane, Drugman, Raitio and Scherer (2014), "COVAREP: a collaborative voice
        analysis repository for speech technologies", ICASSP. The features of CMU-MOSI and
        CMU-MOSEI: Zadeh et al. (2018), ACL. The paper of each feature is named in its file.
    """

    name: ClassVar[str] = "covarep"
    families: ClassVar[tuple[str, ...]] = tuple(FAMILIES)

    compat: bool = False
    rd: str = "1.4.2"
    creak_weights: str = field(default="", metadata=WHERE)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_rd(self.name, self.rd)

    @property
    def spec(self) -> FeatureSpec:
        self._creak()  # so that a wrong file is found before a run
        return super().spec

    def weights(self) -> Mapping[str, Path]:
        return {"creak": Path(self.creak_weights).expanduser()} if self.creak_weights else {}

    def _creak(self) -> CreakNetwork | None:
        if not self.creak_weights:
            return None
        from .covarep.creak_network import read_creak_network

        return read_creak_network(self.weights()["creak"])

    def _rows(self, sound: Waveform) -> CovarepRows:
        return self._computed(sound, conjugate=self.rd == "1.4.2", creak=self._creak())


@dataclass(frozen=True)
class CovarepGlottal(CovarepFamilies):
    """How the glottis moves: NAQ, QOQ, H1H2, PSP, MDQ, peakSlope, Rd and Rd_conf, every 10 ms.

    Args:
        compat: see ``covarep``.
        rd: see ``covarep``.

    Source:
        See ``covarep``, of whose columns these are eight.
    """

    name: ClassVar[str] = "covarep-glottal"
    families: ClassVar[tuple[str, ...]] = ("cycles", "slope", "rd")

    compat: bool = False
    rd: str = "1.4.2"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_rd(self.name, self.rd)

    def _rows(self, sound: Waveform) -> CovarepRows:
        return self._computed(sound, conjugate=self.rd == "1.4.2")


@dataclass(frozen=True)
class CovarepMcep(CovarepFamilies):
    """Mel-warped cepstrum of the True Envelope, 25 coefficients (MCEP_0..24), every 10 ms.

    Args:
        compat: see ``covarep``.

    Source:
        See ``covarep``, of whose columns these are 25; Roebel and Rodet (2005), DAFx.
    """

    name: ClassVar[str] = "covarep-mcep"
    families: ClassVar[tuple[str, ...]] = ("mcep",)

    compat: bool = False


@dataclass(frozen=True)
class CovarepHmpd(CovarepFamilies):
    """Phase distortion of the harmonics: mean (HMPDM_0..24, rad) and deviation (HMPDD_0..12).

    Args:
        compat: see ``covarep``.

    Source:
        See ``covarep``, of whose columns these are 38; Degottex and Erro (2014), EURASIP JASMP.
    """

    name: ClassVar[str] = "covarep-hmpd"
    families: ClassVar[tuple[str, ...]] = ("hmpd",)

    compat: bool = False


@dataclass(frozen=True)
class SrhPitch(CovarepFamilies):
    """F0 (Hz, in unvoiced sound too) and voicing (VUV, 0 or 1) by residual harmonics.

    Args:
        compat: see ``covarep``.

    Source:
        Drugman and Alwan (2011), "Joint robust voicing detection and pitch estimation based on
        residual harmonics", Interspeech; as in COVAREP.
    """

    name: ClassVar[str] = "srh-pitch"
    families: ClassVar[tuple[str, ...]] = ("pitch",)

    compat: bool = False
