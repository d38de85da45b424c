"""What the pretrained networks that look at a face have in common: crops in, rows out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...cache.errors import BadCall, NoFace, NoVideo
from ...cache.records import Array, Features
from ..base import Needs
from ..clip import Clip
from ..hf_model import PRECISIONS
from .crops import face_crops
from .on_device import OnDevice
from .video_windows import Piece

LEVELS = ("frame", "mean")
DTYPES = ("float16", "float32")
#: Values (n, D), times (n, 2) in seconds and mask (n,) of some rows.
Rows = tuple[Array, Array, Array]


@dataclass(frozen=True, kw_only=True)
class FaceEncoder(OnDevice):
    """Base of extractors that run a network over the crops of the one face of a clip.

    Args:
        rate: pictures a second, Hz.
        size: side of the crops in pixels.
        margin: share of the face's box added on each side; see ``crops.Window``.
        aligned: turn and scale the face by its landmarks instead of cutting its box.
        level: ``frame``, or ``mean`` for one row, the mean over the rows with a face.
        precision: what the network computes in: ``float32``, ``bfloat16`` or ``float16``.
        dtype: how it is stored: ``float16`` or ``float32``.
    """

    modality: ClassVar[str] = "vision"
    libraries: ClassVar[tuple[str, ...]] = ("torch", "torchvision", "opencv-python-headless")
    peak_memory: ClassVar[int] = 3 << 30

    rate: float = 10.0
    size: int = 128
    margin: float = 0.0
    aligned: bool = False
    level: str = "frame"
    precision: str = "float32"
    dtype: str = "float16"

    def __post_init__(self) -> None:
        super().__post_init__()
        choices = {"level": LEVELS, "precision": PRECISIONS, "dtype": DTYPES}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise BadCall(
                    f"{self.name}: {name} must be {' or '.join(map(repr, known))}, "
                    f"not {getattr(self, name)!r}"
                )
        if not 0 < self.rate <= 240:
            raise BadCall(f"{self.name}: rate must be in (0, 240] Hz, not {self.rate:g}")
        if not 32 <= self.size <= 1024:
            raise BadCall(f"{self.name}: size must be in [32, 1024] pixels, not {self.size}")

    @property
    def needs(self) -> Needs:
        return Needs(frames=self.rate, features=("faces",))

    @abstractmethod
    def _parts(self, clip: Clip, crops: Iterator[Piece], device: str) -> Iterator[Rows]:
        """Rows of a clip, in order, from its crops as they come."""

    def _extract(self, clip: Clip, device: str) -> Features:
        """Map the face's pictures to (n_rows, D), or (1, D) where ``level`` is ``mean``.

        Raises:
            NoFace: no row has a face.
            NoVideo: there are no pictures.
            BadCall: the weights cannot be read, or are of another network.
        """
        faces = self.upstream(clip, "faces")
        crops = face_crops(
            clip, faces, self.size, self.rate, margin=self.margin, aligned=self.aligned
        )
        parts = list(self._parts(clip, crops, device))
        if not parts:
            raise NoVideo(f"'{clip.id}' has no picture at {self.rate:g} Hz: the segment is empty")
        values, times, mask = (np.concatenate(part) for part in zip(*parts, strict=True))
        if not mask.any():
            raise NoFace(f"'{clip.id}': none of {len(mask)} rows has a face to look at")
        if self.level == "mean":
            whole = np.array([[times[0, 0], times[-1, 1]]])
            return Features(values[mask].mean(axis=0, dtype=np.float64)[None], whole)
        return Features(values, times, mask=mask)
