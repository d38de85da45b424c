"""Action units of the face in each picture, by the network of py-feat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from ...cache.errors import BadCall
from ...cache.keys import WHERE
from ...cache.records import ArraySpec, Features, FeatureSpec
from ..clip import Clip
from .face_encoder import FaceEncoder, Rows
from .pyfeat import HUB, UNITS, load_pyfeat, require_pyfeat, weights_file
from .video_windows import Piece

#: Named as OpenFace names its intensities.
COLUMNS = tuple(f"{unit}_r" for unit in UNITS)


@dataclass(frozen=True, kw_only=True)
class ActionUnits(FaceEncoder):
    """20 action units of the face in each picture, by py-feat's multitask network.

    ``values`` (n_pictures, 20): ``AU01_r`` ... ``AU43_r``, how sure the network is that the unit
    is there, in [0, 1]. The names are OpenFace's; its ``_r`` are intensities in [0, 5] and its
    ``_c`` are 0 or 1, so take these for neither. AU11, AU24, AU28 and AU43 (closed eyes) are not
    among OpenFace's intensities; its AU45 (blinks) is not here. Pictures without a face are
    masked (0) and not computed.

    Crops are cut as py-feat's Detectorv2 cuts them: a square 1.2 times the box's longer side, 256
    pixels, half a pixel of the picture beside its; but about MTCNN's box instead of RetinaFace's,
    and what lies beyond the picture's edge is black where py-feat mirrors the picture. A picture
    is the same in a batch to 1e-5 of the largest value in float32. In bfloat16 and float16 (all
    but the weights) units may choose other neighbours in the network's graph: random weights gave
    values up to 0.05 from those in float32.

    Needs the package py-feat: ``pip install 'affectflow[action-units]'`` (large: xgboost comes
    with it). Of the packages that see action units it is the one that is kept up and that
    installs beside ours: OpenFace 3's (``openface-test`` 0.1.26) asks for numpy 1.26.4 and
    Pillow 9.4, LibreFace's 0.2.0 for torch 2.0. Its older classifiers are pickles, which are not
    read; these weights are safetensors.

    Args:
        checkpoint: py-feat's ``face_multitask_v28.safetensors``, a file; or its repository on the
            Hugging Face hub, fetched on first use. Its content counts towards the fingerprint.
        revision: branch, tag or commit on the hub; means nothing for a file.
        rate: pictures a second, Hz.
        size: side of the crops in pixels; py-feat brings others than 256 to it.
        margin, aligned, level, precision, dtype: see ``FaceEncoder``.

    Source:
        Cheong et al. (2023), "Py-Feat: Python Facial Expression Analysis Toolbox", Affective
        Science 4; its network follows Luo et al. (2022), "Learning Multi-dimensional Edge
        Feature-based AU Relation Graph for Facial Action Unit Recognition", IJCAI, on a
        ConvNeXt V2.
    """

    name: ClassVar[str] = "action-units"
    version: ClassVar[int] = 1
    rows: ClassVar[str] = "a picture, or one"
    sizes: ClassVar[str] = str(len(COLUMNS))
    libraries: ClassVar[tuple[str, ...]] = (*FaceEncoder.libraries, "py-feat", "timm")
    paper: ClassVar[str] = "Cheong et al. (2023), Py-Feat; Luo et al. (2022), ME-GraphAU"
    licence: ClassVar[str] = "the weights: research, not commercial"

    checkpoint: str = field(default=HUB, metadata=WHERE)
    revision: str = field(default="main", metadata=WHERE)
    size: int = 256
    margin: float = 0.1
    dtype: str = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.checkpoint or not isinstance(self.checkpoint, str):
            raise BadCall(f"action-units: checkpoint must be a file of weights or '{HUB}'")

    @property
    def spec(self) -> FeatureSpec:
        hop = 1 / self.rate if self.level == "frame" else None
        return {"values": ArraySpec((len(COLUMNS),), self.dtype, COLUMNS, hop=hop)}

    def weights(self) -> Mapping[str, Path]:
        require_pyfeat()
        return {"checkpoint": weights_file(self.checkpoint, self.revision)}

    def _extract(self, clip: Clip, device: str) -> Features:
        found = super()._extract(clip, device)
        return Features(found.values, found.times, COLUMNS, found.mask)

    def _parts(self, clip: Clip, crops: Iterator[Piece], device: str) -> Iterator[Rows]:
        network = load_pyfeat(self.weights()["checkpoint"], device, self.precision)
        for times, pictures, mask in crops:
            values = np.zeros((len(mask), len(COLUMNS)), np.float32)
            if mask.any():
                values[mask] = network.units(pictures[mask])
            yield values, times, mask
