"""Appearance of the aligned face as histograms of oriented gradients, OpenFace's 31 x 12 x 12."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...cache.errors import BadCall, NoFace, NoVideo
from ...cache.records import ArraySpec, Features, FeatureSpec
from ..base import Extractor, Needs
from ..clip import Clip
from .crops import TEMPLATE_SIDE, face_crops
from .hog import CHANNELS, fhog

CELLS = 12


@dataclass(frozen=True)
class FaceHog(Extractor):
    """Histograms of oriented gradients of the aligned face, 4464 numbers a picture.

    ``values`` (n_pictures, 4464), each in [0, 1]: 12 rows of 12 cells of 8 x 8 pixels with 31
    numbers each (see ``hog.fhog``), of the face turned and scaled to 112 x 112 pixels by its five
    landmarks. Pictures without a face are masked rows (0). They are many and alike: have a small
    model read their principal components, ``{reduce: pca, on: ..., columns: 100}`` in a recipe.

    OpenFace makes as many numbers in the same way, but aligns by 68 landmarks and blackens what
    lies outside the face; so these are not its numbers.

    Args:
        rate: pictures a second, Hz.
        margin: share of the crop's side added on each side; see ``crops.Window``.

    Source:
        Baltrusaitis et al. (2018), "OpenFace 2.0", FG, after Felzenszwalb et al. (2010), TPAMI.
    """

    name: ClassVar[str] = "face-hog"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = "vision"
    rows: ClassVar[str] = "a picture"
    libraries: ClassVar[tuple[str, ...]] = ("numpy", "opencv-python-headless")
    paper: ClassVar[str] = "Felzenszwalb et al. (2010); as OpenFace 2"
    peak_memory: ClassVar[int] = 1 << 30  # an hour of rows are 320 MB, twice when they are joined

    rate: float = 10.0
    margin: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.rate <= 240:
            raise BadCall(f"face-hog: rate must be in (0, 240] Hz, not {self.rate:g}")

    @property
    def needs(self) -> Needs:
        return Needs(frames=self.rate, features=("faces",))

    @property
    def spec(self) -> FeatureSpec:
        return {"values": ArraySpec((CELLS * CELLS * CHANNELS,), "float16", hop=1 / self.rate)}

    def extract(self, clip: Clip) -> Features:
        """Map the face's pictures to (n_pictures, 4464).

        Raises:
            NoFace: no picture has a face.
            NoVideo: there are no pictures.
        """
        faces = self.upstream(clip, "faces")
        crops = face_crops(clip, faces, TEMPLATE_SIDE, self.rate, margin=self.margin, aligned=True)
        parts = []
        for times, pictures, mask in crops:
            values = np.zeros((len(mask), CELLS * CELLS * CHANNELS), np.float16)
            for row in np.flatnonzero(mask):
                values[row] = fhog(pictures[row]).ravel()
            parts.append((values, times, mask))
        if not parts:
            raise NoVideo(f"'{clip.id}' has no picture at {self.rate:g} Hz: the segment is empty")
        values, times, mask = (np.concatenate(part) for part in zip(*parts, strict=True))
        if not mask.any():
            raise NoFace(f"'{clip.id}': none of {len(mask)} pictures has a face to look at")
        return Features(values, times, mask=mask)
