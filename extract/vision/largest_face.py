"""The largest face of an utterance, where nobody is asked who speaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...cache.records import Features, FeatureSpec
from ..base import Extractor, Needs
from ..clip import Clip
from .chosen import CHOSEN_SPEC, chosen_faces, column, track_numbers
from .speaker_choice import taken_tracks


@dataclass(frozen=True)
class LargestFace(Extractor):
    """The face that fills most of the picture for most of the time; it may be that of a listener.

    The track with the largest sum of areas over its pictures is taken, then each further one that
    shares no picture with those taken before. Unlike the main face of ``mtcnn-face`` it never
    changes from one face to another that is seen beside it.

    ``values`` (n_pictures, 20) has the pictures of ``tracks`` and the columns of ``mtcnn-face``,
    so whatever reads faces reads it, and ``score``: the area of the face as a share of the
    picture's, in [0, 1] or a little more. Pictures without the face are masked.

    Source:
        Ours; taking the largest face for the speaker is usual where no detector is at hand.
    """

    name: ClassVar[str] = "largest-face"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = "vision"
    provides: ClassVar[str] = "faces"
    rows: ClassVar[str] = "as 'tracks'"
    peak_memory: ClassVar[int] = 256 << 20

    @property
    def needs(self) -> Needs:
        return Needs(features=("tracks",))

    @property
    def spec(self) -> FeatureSpec:
        return CHOSEN_SPEC

    def extract(self, clip: Clip) -> Features:
        """Map the faces of a clip to the largest one."""
        tracks = self.upstream(clip, "tracks")
        x1, y1, x2, y2 = (column(tracks, side) for side in ("x1", "y1", "x2", "y2"))
        picture = column(tracks, "frame_width") * column(tracks, "frame_height")
        share = (x2 - x1) * (y2 - y1) / np.maximum(picture, 1)
        number = column(tracks, "track")
        filled = {int(n): float(share[number == n].sum()) for n in track_numbers(tracks)}
        if not filled:
            clip.warn("no face was seen, so every row is masked")
        order = sorted(filled, key=lambda track: -filled[track])
        return chosen_faces(tracks, taken_tracks(tracks, order), share)
