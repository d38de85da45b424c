"""What networks for single pictures see in a face: InceptionResnetV1, or any image backbone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from ...cache.errors import BadCall
from ...cache.keys import WHERE
from ...cache.records import ArraySpec, FeatureSpec
from ..clip import Clip
from .face_encoder import FaceEncoder, Rows
from .image_network import FACENET, library_of, load_image_network, looks
from .video_windows import Piece


@dataclass(frozen=True, kw_only=True)
class FaceEmbedding(FaceEncoder):
    """Embedding of the face in each picture, by a network without its classifier.

    ``values`` (n_pictures, D): what the last linear layer of the network would read; of
    InceptionResnetV1 its embedding (512), of Euclidean length 1. Pictures without a face are
    masked rows (0) and are not computed. Colours are normalised as the network's library says.

    A picture is seen alone; it comes out the same in a batch to 1e-5 of the largest value in
    float32, 3e-2 in bfloat16 and float16.

    Args:
        checkpoint: a file of weights: a state dict by ``torch.save`` or safetensors. Its content
            counts towards the fingerprint; a classifier in it is ignored. Nothing is fetched.
        network: ``inception-resnet-v1`` (facenet-pytorch's weights of VGGFace2 and CASIA-WebFace
            fit), ``torchvision/NAME`` or ``timm/NAME`` (needs the package timm), such as
            ``torchvision/efficientnet_b0``.
        rate: pictures a second, Hz.
        size: side of the crops in pixels; 0: what the network was trained on.
        margin, aligned, level, precision, dtype: see ``FaceEncoder``.

    Source:
        Schroff et al. (2015), "FaceNet", CVPR; Szegedy et al. (2017), "Inception-v4,
        Inception-ResNet", AAAI; the networks are those of the libraries.
    """

    name: ClassVar[str] = "face-embedding"
    version: ClassVar[int] = 2
    rows: ClassVar[str] = "a picture, or one"
    sizes: ClassVar[str] = "512, or the network's"
    libraries: ClassVar[tuple[str, ...]] = ("torch", "opencv-python-headless")
    paper: ClassVar[str] = "the network's own; default: Schroff et al. (2015), FaceNet"
    licence: ClassVar[str] = "the weights' own"

    checkpoint: str = field(metadata=WHERE)
    network: str = FACENET
    size: int = 0

    def __post_init__(self) -> None:
        if not self.checkpoint:
            raise BadCall("face-embedding: checkpoint must be a file of weights")
        if not self.size:
            object.__setattr__(self, "size", looks(self.network).size)
        super().__post_init__()

    @property
    def spec(self) -> FeatureSpec:
        hop = 1 / self.rate if self.level == "frame" else None
        return {"values": ArraySpec((looks(self.network).width,), self.dtype, hop=hop)}

    def weights(self) -> Mapping[str, Path]:
        return {"checkpoint": Path(self.checkpoint).expanduser()}

    def used_libraries(self) -> tuple[str, ...]:
        return (*self.libraries, library_of(self.network))

    def _parts(self, clip: Clip, crops: Iterator[Piece], device: str) -> Iterator[Rows]:
        path = self.weights()["checkpoint"]
        network = load_image_network(self.network, path, device, self.precision)
        for times, pictures, mask in crops:
            values = np.zeros((len(mask), looks(self.network).width), np.float32)
            if mask.any():
                values[mask] = network.rows(pictures[mask])
            yield values, times, mask
