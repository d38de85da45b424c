"""openSMILE's standard feature sets: frame by frame, with derivatives, or one row an utterance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...cache.errors import BadCall, BadInput, unknown
from ...cache.records import Array, ArraySpec, Features, FeatureSpec, frame_times
from ..base import Extractor, Needs
from ..clip import Clip
from .opensmile_run import HOP, LICENCE, RATE, names, run
from .samples import samples_of


@dataclass(frozen=True)
class FeatureSet:
    """What is to be known of one of openSMILE's sets.

    Args:
        least: samples without which there is no row: its longest window.
        width: length of the window that openSMILE's times tell of (the shortest), seconds.
        longest: seconds of sound that it takes less than 4 GB of memory for.
    """

    least: int
    width: float
    longest: float = float("inf")


SETS = {
    "eGeMAPSv02": FeatureSet(960, 0.020),
    "GeMAPSv01b": FeatureSet(960, 0.020),
    "ComParE_2016": FeatureSet(960, 0.060, longest=5400),
    "emobase": FeatureSet(640, 0.025, longest=720),
    "IS09": FeatureSet(400, 0.025),
    "IS10": FeatureSet(1120, 0.025, longest=720),
}
#: Our names of levels -> openSMILE's, whose columns stand one beside the other.
LEVELS = {
    "lld": ("LowLevelDescriptors",),
    "delta": ("LowLevelDescriptors_Deltas",),
    "lld+delta": ("LowLevelDescriptors", "LowLevelDescriptors_Deltas"),
    "functionals": ("Functionals",),
}


@dataclass(frozen=True)
class OpenSmile(Extractor):
    """Any of openSMILE's standard sets, at 16 kHz: descriptors, their derivatives, or functionals.

    ================  ====  =====  ===========
    set               lld   delta  functionals
    ================  ====  =====  ===========
    ``eGeMAPSv02``    25    none   88
    ``GeMAPSv01b``    18    none   62
    ``ComParE_2016``  65    65     6373
    ``emobase``       26    26     988
    ``IS09``          16    16     384
    ``IS10``          38    38     1582
    ================  ====  =====  ===========

    Columns keep openSMILE's names, and its marks for what is not defined (pitch 0 in unvoiced
    rows). Row i of the descriptors covers openSMILE's frame from ``i * 10`` ms on; its times say
    the set's shorter window, as openSMILE's do, and the longer begins with it. Functionals are one
    row over the whole utterance. openSMILE gives two rows more of derivatives than of descriptors;
    beside these they are left out.

    openSMILE takes 16 bits: samples are cut to that towards zero, and what passes full scale
    saturates. Its licence allows research and other non-commercial use only.

    Args:
        feature_set: which set.
        level: ``lld``: descriptors frame by frame; ``delta``: their derivatives; ``lld+delta``:
            both; ``functionals``: statistics over the utterance.

    Source:
        Eyben, Wöllmer and Schuller (2010), "openSMILE: the Munich versatile and fast open-source
        audio feature extractor", ACM Multimedia. Sets: Eyben et al. (2016), GeMAPS; Schuller et
        al. (2009, 2010, 2016), Interspeech challenges. Computed by the package ``opensmile``.
    """

    name: ClassVar[str] = "opensmile"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = "audio"
    rows: ClassVar[str] = "100 Hz, or one"
    sizes: ClassVar[str] = "16 to 6373"
    libraries: ClassVar[tuple[str, ...]] = ("opensmile",)
    paper: ClassVar[str] = "Eyben et al. (2010), openSMILE"
    licence: ClassVar[str] = LICENCE

    feature_set: str = "eGeMAPSv02"
    level: str = "functionals"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.feature_set not in SETS:
            raise unknown(f"feature_set of '{self.name}'", str(self.feature_set), SETS)
        if self.level not in LEVELS:
            raise unknown(f"level of '{self.name}'", str(self.level), LEVELS)
        if "delta" in self.level and "GeMAPS" in self.feature_set:
            raise BadCall(
                f"'{self.name}': {self.feature_set} has no derivatives; its levels are 'lld' and "
                "'functionals'"
            )

    @property
    def needs(self) -> Needs:
        return Needs(audio=RATE)

    @property
    def spec(self) -> FeatureSpec:
        columns = tuple(c for level in LEVELS[self.level] for c in names(self.feature_set, level))
        hop = None if self.level == "functionals" else HOP
        return {"values": ArraySpec((len(columns),), "float32", columns, hop)}

    def extract(self, clip: Clip) -> Features:
        """Map sound to (2 + (n_samples - least) // 160, columns) float32; functionals to one row.

        ``least`` is the set's longest window in samples; of ``delta`` there are two rows more.

        Raises:
            BadInput: the sound is shorter than that, or so long that openSMILE, which keeps each
                step of its analysis to the end, would need more than 4 GB.
        """
        kind = SETS[self.feature_set]
        samples = samples_of(clip, self.name, RATE, kind.least)
        seconds = len(samples) / RATE
        if seconds > kind.longest:
            raise BadInput(
                f"'{self.name}' takes {kind.longest / 60:g} minutes of sound for "
                f"{self.feature_set} (it needs 4 GB for them), '{clip.id}' has {seconds / 60:.1f}; "
                "cut it into segments (start and end), or take another set"
            )
        parts = [run(self.feature_set, level, samples) for level in LEVELS[self.level]]
        n_rows = min(map(len, parts))
        values: Array = np.concatenate([part[:n_rows] for part in parts], axis=1)
        times = frame_times(n_rows, HOP, kind.width)
        if self.level == "functionals":
            times = frame_times(1, seconds)
        return Features(values, times, self.spec["values"].columns)
