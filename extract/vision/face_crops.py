"""The face of each picture, cut out, as features: for whoever wants to keep or look at it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...cache.errors import BadCall, BadInput, NoFace, NoVideo
from ...cache.records import ArraySpec, Features, FeatureSpec
from ..base import Extractor, Needs
from ..clip import Clip
from .crops import Window, face_crops

#: Bytes of crops of one utterance: 17 minutes at the default size and rate.
LARGEST = 512 << 20


@dataclass(frozen=True)
class FaceCrops(Extractor):
    """Pictures of the main or chosen face at one size and rate, stored as bytes.

    ``values`` (n_pictures, size, size, 3) uint8 RGB; rows without a face are masked and 0. Nodes
    that only look at faces cut them in memory by the same code; store them where others shall
    read them: 128 x 128 at 10 Hz is half a megabyte a second.

    Args:
        size: side in pixels.
        rate: crops a second, Hz.
        margin: share of the box's longer side added on each side; in (-0.5, 4].
        aligned: turn and scale the face so that its landmarks fit a template; see ``Window``.
        smooth: seconds over which the median of the box is taken; 0: none.

    Source:
        Template of aligned faces: Deng et al. (2019), "ArcFace", CVPR.
    """

    name: ClassVar[str] = "face-crops"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = "vision"
    libraries: ClassVar[tuple[str, ...]] = ("opencv-python-headless",)
    peak_memory: ClassVar[int] = 3 << 29

    size: int = 128
    rate: float = 10.0
    margin: float = 0.1
    aligned: bool = False
    smooth: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._window()
        if not 0 < self.rate <= 240:
            raise BadCall(f"face-crops: rate must be in (0, 240] Hz, not {self.rate:g}")

    def _window(self) -> Window:
        return Window(self.size, self.margin, aligned=self.aligned, smooth=self.smooth)

    @property
    def needs(self) -> Needs:
        return Needs(frames=self.rate, features=("faces",))

    @property
    def spec(self) -> FeatureSpec:
        shape = (self.size, self.size, 3)
        return {"values": ArraySpec(shape, "uint8", hop=1 / self.rate)}

    def extract(self, clip: Clip) -> Features:
        """Cut the face of each picture.

        Raises:
            NoFace: no picture has one.
            BadInput: all crops together would be larger than ``LARGEST``.
            NoVideo: there are no pictures.
        """
        window = dataclasses.asdict(self._window())
        faces = self.upstream(clip, "faces")
        pieces, size = [], 0
        for piece in face_crops(clip, faces, rate=self.rate, **window):
            pieces.append(piece)
            size += piece[1].nbytes
            if size > LARGEST:
                raise BadInput(
                    f"the crops of '{clip.id}' take more than {LARGEST >> 20} MiB after "
                    f"{piece[0][-1, 1]:.0f} s; lower size or rate, or cut the video into utterances"
                )
        if not pieces:
            raise NoVideo(f"'{clip.id}' has no picture at {self.rate:g} Hz: the segment is empty")
        times, pictures, mask = (np.concatenate(part) for part in zip(*pieces, strict=True))
        if not mask.any():
            raise NoFace(f"'{clip.id}': none of {len(mask)} pictures has a face to be cut")
        return Features(pictures, times, mask=mask)
