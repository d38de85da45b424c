"""What there is to see in one clip: tracks, the face that is taken, its score over time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from ..cache.errors import BadCall, NoAudio
from ..cache.records import Array, Features, Utterance
from ..extract.base import Extractor
from ..extract.clip import Clip, Frame
from ..extract.container import open_media
from ..extract.vision.chosen import column, picture_times
from ..extract.vision.crops import FacePath, Window
from ..extract.vision.face_encoder import FaceEncoder
from ..extract.vision.faces import TrackedFaces
from ..extract.vision.mouth_motion import RATE, SOUND_RATE, loudness
from .nodes import Extract
from .recipe import load_recipe
from .result import Reporter

#: The recipe whose nodes are looked at: tracks, the chosen face, crops of it.
RECIPE = "speaker"
TRACKS, SPEAKER, CROPS = "faces", "speaker", "vision"
SPEAKERS = ("mouth-motion", "active-speaker", "largest-face")


class WatchedClip(Clip):
    """A clip that says of each picture that it was handed out."""

    passed: Callable[[], None]

    def frames(self, rate: float) -> Iterator[Frame]:
        """Pictures at a rate; see ``Clip.frames``."""
        for frame in super().frames(rate):
            self.passed()
            yield frame


@dataclass(frozen=True, eq=False)
class Inspection:
    """What was found in a clip, ready to be drawn.

    Args:
        clip: the clip.
        rate: pictures a second at which faces were looked for, Hz.
        tracks: what ``faces`` found; every picture has a row at least.
        chosen: the face that is taken, a row a picture.
        speaker: name of the extractor that took it.
        crops: which part of a picture a network gets to see, and how large.
        loud: root mean square of the sound at 25 Hz; empty where there is none.
        reporter: hears how drawing goes on.
    """

    clip: WatchedClip
    rate: float
    tracks: Features
    chosen: Features
    speaker: str
    crops: Window
    loud: Array
    reporter: Reporter

    def __post_init__(self) -> None:
        _, picture = picture_times(self.tracks)
        edges = np.searchsorted(picture, np.arange(len(self.chosen) + 1))
        object.__setattr__(self, "_edges", edges)
        object.__setattr__(self, "path", FacePath(self.chosen, self.crops))

    path: FacePath = cast(FacePath, None)
    _edges: Array = cast(Array, None)

    def __len__(self) -> int:
        return len(self.chosen)
