"""Hidden states of an image or video encoder of the library transformers, over a face."""

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
from ..hf_companions import PREPROCESSOR
from ..hf_folder import model_folder, model_weights
from ..hf_layers import check_layer, layer_numbers, one_way
from .face_encoder import FaceEncoder, Rows
from .hf_vision_model import HfVisionModel, load_vision
from .hf_vision_sight import Sight, sight_of, trained_size
from .video_windows import Piece, VideoWindow, video_windows

POOLS = ("mean", "cls")


@dataclass(frozen=True, kw_only=True)
class HfVision(FaceEncoder):
    """Hidden states of a pretrained image or video encoder over the crops of the face.

    ``values`` (n_rows, D). Of an image encoder (CLIP, SigLIP, ViT, DINOv2, ResNet, ConvNeXt ...)
    a row a picture; pictures without a face are masked (0) and not computed. Of a video encoder
    (VideoMAE, ViViT) a row for the pictures that one patch spans (2 as a rule): the video is
    read in windows of as many pictures as the model takes (16), one behind another; what a window
    lacks of faces or, at the end, of pictures counts as the mean picture, and a row is masked
    unless at least half of its pictures show a face.

    Crops are cut at the side that the model wants, in place of its image processor's resizing and
    centre crop; colours are normalised as the processor says. Of a model for text and pictures
    the part that sees is taken. No code that comes with a model is ever run. A picture is the
    same in a batch to 1e-5 of the largest value in float32, 3e-2 in bfloat16 and float16.

    Args:
        model: folder of a saved model, or its name on the Hugging Face hub.
        revision: branch, tag or commit on the hub; it is resolved to its commit, which the
            fingerprint holds (of a folder: the files' digests). Means nothing for a folder.
        layer: ``last`` for the model's output, the number of a layer (0: embeddings, -1: the
            last, which is the output), or several numbers to average. Networks of stages, whose
            layers differ in width (Swin, ResNet, ConvNeXt), have only ``last``.
        pool: ``mean`` over a picture's patches (added tokens left out), or ``cls``: the first
            added token (not of video encoders).
        rate: pictures a second, Hz.
        size: side of the crops in pixels; 0: that of the image processor's pictures.
        margin, aligned, level, precision, dtype: see ``FaceEncoder``.

    Source:
        The model's own; the networks are those of the library transformers.
    """

    name: ClassVar[str] = "hf-vision"
    version: ClassVar[int] = 1
    rows: ClassVar[str] = "a picture, two, or one"
    sizes: ClassVar[str] = "the model's"
    libraries: ClassVar[tuple[str, ...]] = ("transformers", "torch", "opencv-python-headless")
    paper: ClassVar[str] = "the model's own"
    licence: ClassVar[str] = "the model's own"
    peak_memory: ClassVar[int] = 4 << 30

    model: str = field(metadata=WHERE)
    revision: str = field(default="main", metadata=WHERE)
    layer: str | int | tuple[int, ...] = "last"
    pool: str = "mean"
    size: int = 0

    def __post_init__(self) -> None:
        if not self.model or not isinstance(self.model, str):
            raise BadCall("hf-vision: model must be a folder or a name on the hub")
        layer = check_layer(self.name, self.layer)
        if self.pool not in POOLS:
            raise BadCall(f"hf-vision: pool must be 'mean' or 'cls', not {self.pool!r}")
        if not self.size:
            object.__setattr__(self, "size", trained_size(self.model, self.revision))
        super().__post_init__()
        object.__setattr__(self, "layer", one_way(layer, self._depth))

    def _depth(self) -> int | None:
        return self._sight.n_layers or None

    @property
    def _sight(self) -> Sight:
        return sight_of(self.model, self.revision, self.size)

    @property
    def spec(self) -> FeatureSpec:
        sight = self._sight
        self._check(sight)
        hop = sight.stride / self.rate if self.level == "frame" else None
        return {"values": ArraySpec((sight.width,), self.dtype, hop=hop)}

    def weights(self) -> Mapping[str, Path | str]:
        return model_weights(self.model, self.revision, (PREPROCESSOR,))

    def _parts(self, clip: Clip, crops: Iterator[Piece], device: str) -> Iterator[Rows]:
        folder = model_folder(self.model, self.revision, (PREPROCESSOR,))
        model = load_vision(folder, self.size, device, self.precision)
        sight, layers = model.sight, self._check(model.sight)
        if sight.n_pictures == 1:
            for times, pictures, mask in crops:
                values = np.zeros((len(mask), sight.width), np.float32)
                if mask.any():
                    values[mask] = model.pictures(pictures[mask], layers, self.pool == "cls")
                yield values, times, mask
            return
        n = sight.n_pictures
        for window in video_windows(crops, n, 0, n, sight.stride):
            yield self._window(window, model, layers)

    def _window(
        self, window: VideoWindow, model: HfVisionModel, layers: tuple[int, ...] | None
    ) -> Rows:
        """The rows of the pictures that a window is kept for."""
        stride = model.sight.stride
        first = window.keep_start - window.start
        times, mask = window.times[first:], window.mask[first:]
        starts = np.arange(0, len(mask), stride)
        lasts = np.minimum(starts + stride, len(mask))
        seen = np.concatenate([[0], np.cumsum(mask)])
        shown = 2 * (seen[lasts] - seen[starts]) >= lasts - starts
        values = np.zeros((len(starts), model.sight.width), np.float32)
        if shown.any():
            values = model.video(window.pictures[first:], mask, layers)[: len(starts)]
            values[~shown] = 0
        return values, np.stack([times[starts, 0], times[lasts - 1, 1]], axis=1), shown

    def _check(self, sight: Sight) -> tuple[int, ...] | None:
        """Numbers of the layers to average, counted from 0; None for the output.

        Raises:
            BadCall: the model has no such layer, or no added token where that is asked for.
        """
        if self.pool == "cls" and sight.n_pictures > 1:
            raise BadCall(f"hf-vision: pool must be 'mean' for the video encoder '{self.model}'")
        if self.pool == "cls" and not sight.added:
            raise BadCall(
                "hf-vision: pool must be 'mean', for the model adds no token to a picture"
            )
        n = sight.n_layers
        there = f"layers 0 (embeddings) to {n}" if n else "one output, layer 'last'"
        refusal = f"hf-vision: '{self.model}' has {there}, not "
        if self.layer != "last" and not n:
            raise BadCall(f"{refusal}{self.layer}")
        return layer_numbers(self.layer, n, lambda layer: f"{refusal}{layer}")
