"""What the extractors that look for faces with MTCNN have in common: their settings and weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from ...cache.errors import BadCall
from ..base import Needs
from .mtcnn_boxes import CELL
from .mtcnn_cascade import weight_files
from .on_device import OnDevice


class MtcnnFinder(OnDevice):
    """Base of ``mtcnn-face`` and ``faces``; their fields ``rate``, ``min_size``, ``threshold``."""

    modality: ClassVar[str] = "vision"
    libraries: ClassVar[tuple[str, ...]] = (
        "facenet-pytorch",
        "torch",
        "torchvision",
        "opencv-python-headless",
    )

    rate: float
    min_size: float
    threshold: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.rate <= 240:
            raise BadCall(f"{self.name}: rate must be in (0, 240] Hz, not {self.rate:g}")
        if not self.min_size >= CELL:
            raise BadCall(
                f"{self.name}: min_size must be at least {CELL} pixels, not {self.min_size:g}"
            )
        if not 0 < self.threshold < 1:
            raise BadCall(f"{self.name}: threshold must be in (0, 1), not {self.threshold:g}")

    @property
    def needs(self) -> Needs:
        return Needs(frames=self.rate)

    def weights(self) -> Mapping[str, Path]:
        return weight_files()
