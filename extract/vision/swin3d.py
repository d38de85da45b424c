"""What pretrained video networks see in a clip's face: Video Swin (t, s, b), R(2+1)D and MViT."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from ...cache.errors import BadCall
from ...cache.keys import ADDED_LATER, WHERE
from ...cache.records import Array, ArraySpec, FeatureSpec
from ..clip import Clip
from .face_encoder import FaceEncoder, Rows
from .tensor_file import from_hub
from .video_network import (
    KINDS,
    SWIN_STAGES,
    Kind,
    VideoNetwork,
    load_video_network,
    swin_states,
    weights_url,
)
from .video_windows import Piece, VideoWindow, video_windows

#: Names of weights that torchvision offers.
OFFERED = {
    "kinetics400": "KINETICS400_V1",
    "kinetics400-imagenet22k": "KINETICS400_IMAGENET22K_V1",
}


@dataclass(frozen=True, kw_only=True)
class FaceVideo(FaceEncoder):
    """Base of extractors that run a video network over the crops of one face, in windows."""

    checkpoint: str = field(default="kinetics400", metadata=WHERE)
    overlap: float = 3.2

    def __post_init__(self) -> None:
        super().__post_init__()
        least = 2 * self._kind.align
        if self._pictures(self._seconds) < least:
            raise BadCall(
                f"{self.name}: window must be at least {least} pictures "
                f"({least / self.rate:g} s at {self.rate:g} Hz), not {self._seconds:g} s"
            )
        if not 0 <= self.overlap <= self._seconds / 2:
            raise BadCall(
                f"{self.name}: overlap must be from 0 to half of window ({self._seconds / 2:g} s), "
                f"not {self.overlap:g}"
            )
        if self.checkpoint in OFFERED and self.checkpoint not in self.offered:
            raise BadCall(
                f"{self.name}: there are no weights '{self.checkpoint}' of {self.network}"
            )

    @property
    @abstractmethod
    def network(self) -> str:
        """Name of the network in ``KINDS``."""

    @property
    @abstractmethod
    def _seconds(self) -> float:
        """Length of a window."""

    @property
    def offered(self) -> tuple[str, ...]:
        """Names of the weights that torchvision offers for the network."""
        return ("kinetics400",)

    @property
    def _kind(self) -> Kind:
        return KINDS[self.network]

    def _pictures(self, seconds: float) -> int:
        """Pictures in a span, a whole number of the steps at which windows may start."""
        return round(seconds * self.rate) // self._kind.align * self._kind.align

    @property
    def windows(self) -> tuple[int, int]:
        """Pictures of a window, and those that two windows share."""
        return self._pictures(self._seconds), self._pictures(self.overlap)

    @property
    def row(self) -> tuple[int, ...]:
        """Shape of a row."""
        return (self._kind.width,)

    @property
    def spec(self) -> FeatureSpec:
        hop = self._kind.stride / self.rate if self.level == "frame" else None
        return {"values": ArraySpec(self.row, self.dtype, hop=hop)}

    def weights(self) -> Mapping[str, Path]:
        if self.checkpoint in OFFERED:
            url = weights_url(self.network, OFFERED[self.checkpoint])
            return {"checkpoint": from_hub(url, self.network)}
        return {"checkpoint": Path(self.checkpoint).expanduser()}

    def _parts(self, clip: Clip, crops: Iterator[Piece], device: str) -> Iterator[Rows]:
        network = load_video_network(
            self.network, self.weights()["checkpoint"], device, self.precision
        )
        for window in video_windows(crops, *self.windows, self._kind.align, self._kind.stride):
            yield self._rows(window, network)

    def _made(self, network: VideoNetwork, pictures: Array, mask: Array) -> Array:
        """What the network makes of some pictures, a row for every few of them."""
        return network.rows(pictures, mask)

    def _rows(self, window: VideoWindow, network: VideoNetwork) -> Rows:
        """The rows that are taken from a window."""
        kind = self._kind
        # The last window may be longer; its first rows are those of the one before.
        skipped = kind.stride if 0 < kind.length < len(window.mask) else 0
        shown, pictures = window.mask[skipped:], window.pictures[skipped:]
        n = len(shown)
        starts = np.arange(kind.n_rows(n)) * kind.stride - kind.lead
        first, last = np.maximum(starts, 0), np.minimum(starts + kind.stride, n)  # half open
        seen = np.concatenate([[0], np.cumsum(shown)])
        mask = 2 * (seen[last] - seen[first]) >= last - first
        values = np.zeros((len(mask), *self.row), np.float32)
        if mask.any():
            values = self._made(network, pictures, shown)
            values[~mask] = 0
        spans = window.times[skipped:]
        times = np.stack([spans[first, 0], spans[last - 1, 1]], axis=1)
        begin = window.start + skipped
        kept = slice(
            (window.keep_start - begin) // kind.stride, kind.n_rows(window.keep_end - begin)
        )
        return values[kept], times[kept], mask[kept]


@dataclass(frozen=True, kw_only=True)
class LongVideo(FaceVideo):
    """Base of those whose network takes any number of pictures."""

    window: float = 9.6

    @property
    def _seconds(self) -> float:
        return self.window


@dataclass(frozen=True, kw_only=True)
class Swin3d(LongVideo):
    """Video Swin on the face: a row for every two pictures, the mean over space.

    ``values`` (n_rows, D), D = 768 (t, s) or 1024 (b), 5 rows a second by default. The network is
    torchvision's without its classifier: final norm, then the mean over height and width. An odd
    last picture is a row of its own.

    The crops are the boxes of the role ``faces`` at ``rate`` Hz. A picture without a face is the
    mean picture (0 for the network); a row is masked unless at least half of its pictures show a
    face. Attention reaches across such gaps, so rows beside one know of it.

    A clip up to ``window`` is seen whole; a longer one in windows that overlap and start at
    multiples of 16 pictures, each row taken from the window in which it lies farther from an end.
    Clips are computed one at a time, so a feature never depends on its company; float16 and
    bfloat16 stay within 3e-2 of the largest value in float32.

    ``layer`` stores what lies below, so that a fit can train the stages above it: 0, the crops
    themselves, (size, size, 3) uint8, a row a picture; 1 to 3, the states after so many of the four
    stages and the merging of patches behind them, (h, w, C) a row of two pictures. Of 10 s, 128
    pixels and ``t`` that are 4.9 MB of crops; 4.9, 2.5 or 1.2 MB of states in float16.

    Args:
        variant: ``t``, ``s`` or ``b``.
        checkpoint: a file of weights: torchvision's state dict (``torch.save`` or safetensors),
            or a checkpoint of the authors of Video Swin, whose names are translated; or
            ``kinetics400``, for b also ``kinetics400-imagenet22k``: torchvision's, fetched on
            first use. Its content counts towards the fingerprint; a classifier in it is ignored.
        layer: ``last``, or which states below it are stored; see above.
        rate: pictures a second, Hz.
        size: side of the crops in pixels.
        margin: share of the face's box added on each side; see ``crops.Window``.
        aligned: turn and scale the face by its landmarks instead of cutting its box.
        level: ``frame``, or ``mean`` for one row, the mean over the rows with a face.
        window: seconds that are seen at once; memory goes with it (2 GB for t at 9.6 s).
        overlap: seconds that two windows share.
        precision: what the network computes in: ``float32``, ``bfloat16`` or ``float16``.
        dtype: how it is stored: ``float16`` or ``float32``.

    Source:
        Liu et al. (2022), "Video Swin Transformer", CVPR; trained on 32 of 64 pictures of
        224x224 of Kinetics-400.
    """

    name: ClassVar[str] = "swin3d"
    version: ClassVar[int] = 1
    rows: ClassVar[str] = "two pictures, or one"
    sizes: ClassVar[str] = "768 (t, s), 1024 (b)"
    paper: ClassVar[str] = "Liu et al. (2022), Video Swin Transformer"

    variant: str = "t"
    layer: str | int = field(default="last", metadata=ADDED_LATER)

    def __post_init__(self) -> None:
        if self.variant not in ("t", "s", "b"):
            raise BadCall(f"swin3d: variant must be 't', 's' or 'b', not {self.variant!r}")
        if self.layer != "last":
            self._check_layer()
        super().__post_init__()

    def _check_layer(self) -> None:
        if type(self.layer) is not int or not 0 <= self.layer < SWIN_STAGES:
            raise BadCall(
                f"swin3d: layer must be 'last', 0 (the crops) or the number of stages that have "
                f"run, 1 to {SWIN_STAGES - 1}, not {self.layer!r}"
            )
        if self.level != "frame":
            raise BadCall(f"swin3d: layer {self.layer} has level: frame, not {self.level!r}")
        if self.layer == 0:  # nothing is computed: settings of how mean nothing
            object.__setattr__(self, "dtype", "float16")
            object.__setattr__(self, "precision", "float32")

    @property
    def offered(self) -> tuple[str, ...]:
        return tuple(OFFERED) if self.variant == "b" else ("kinetics400",)

    @property
    def network(self) -> str:
        return f"swin3d_{self.variant}"

    @property
    def row(self) -> tuple[int, ...]:
        if not isinstance(self.layer, int):
            return super().row
        if self.layer == 0:
            return (self.size, self.size, 3)
        side = -(-self.size // 4)  # patches of 4 x 4 pixels
        for _ in range(self.layer):
            side = -(-side // 2)
        return (side, side, self._kind.width >> (SWIN_STAGES - 1 - self.layer))

    @property
    def spec(self) -> FeatureSpec:
        if self.layer == 0:
            return {"values": ArraySpec(self.row, "uint8", hop=1 / self.rate)}
        return super().spec

    def _parts(self, clip: Clip, crops: Iterator[Piece], device: str) -> Iterator[Rows]:
        if self.layer != 0:
            yield from super()._parts(clip, crops, device)
            return
        for times, pictures, mask in crops:
            yield np.where(mask[:, None, None, None], pictures, np.uint8(0)), times, mask

    def _made(self, network: VideoNetwork, pictures: Array, mask: Array) -> Array:
        if not isinstance(self.layer, int):
            return super()._made(network, pictures, mask)
        return network.rows(pictures, mask, swin_states(self.layer))


@dataclass(frozen=True, kw_only=True)
class R2plus1d(LongVideo):
    """R(2+1)D-18 on the face: a row for every eight pictures, the mean over space.

    ``values`` (n_rows, 512); row k is centred on picture 8 k and stands for those from 8 k - 4
    on. What is said of ``swin3d`` of crops, gaps, windows and weights holds here too; windows
    start at multiples of 8 pictures.

    Args:
        checkpoint: a file of torchvision's state dict, or ``kinetics400``: fetched on first use.
        rate, size, margin, aligned, level, window, overlap, precision, dtype: see ``swin3d``.

    Source:
        Tran et al. (2018), "A Closer Look at Spatiotemporal Convolutions for Action
        Recognition", CVPR; trained on 16 pictures of 112x112 of Kinetics-400.
    """

    name: ClassVar[str] = "r2plus1d"
    version: ClassVar[int] = 1
    rows: ClassVar[str] = "eight pictures, or one"
    paper: ClassVar[str] = "Tran et al. (2018), R(2+1)D"

    size: int = 112

    @property
    def network(self) -> str:
        return "r2plus1d_18"


@dataclass(frozen=True, kw_only=True)
class Mvit(FaceVideo):
    """Multiscale Vision Transformer on the face: a row for every two pictures, the mean over space.

    ``values`` (n_rows, 768). The network always sees 16 pictures of 224x224: windows are that
    long, and in a shorter clip the mean picture stands for those that are missing. What is said of
    ``swin3d`` of crops, gaps and weights holds here too.

    Args:
        variant: ``v1_b`` or ``v2_s``.
        checkpoint: a file of torchvision's state dict, or ``kinetics400``: fetched on first use.
        rate, margin, aligned, level, precision, dtype: see ``swin3d``.
        size: 224, as the network was trained.
        overlap: seconds that two windows share; the window is 16 pictures.

    Source:
        Fan et al. (2021), "Multiscale Vision Transformers", ICCV; Li et al. (2022), "MViTv2",
        CVPR; trained on 16 of 64 pictures of 224x224 of Kinetics-400.
    """

    name: ClassVar[str] = "mvit"
    version: ClassVar[int] = 1
    rows: ClassVar[str] = "two pictures, or one"
    paper: ClassVar[str] = "Fan et al. (2021), MViT; Li et al. (2022), MViTv2"

    variant: str = "v2_s"
    size: int = 224
    overlap: float = 0.4

    def __post_init__(self) -> None:
        if self.variant not in ("v1_b", "v2_s"):
            raise BadCall(f"mvit: variant must be 'v1_b' or 'v2_s', not {self.variant!r}")
        if self.size != self._kind.size:
            raise BadCall(f"mvit: size must be {self._kind.size} pixels, not {self.size}")
        super().__post_init__()

    @property
    def network(self) -> str:
        return f"mvit_{self.variant}"

    @property
    def _seconds(self) -> float:
        return self._kind.length / self.rate
