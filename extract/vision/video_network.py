"""Video networks of torchvision as encoders: a row for every few pictures, means over space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...cache.records import Array
from ..loaded import LoadedModels
from .computing import whole_float32
from .swin3d_weights import load_weights
from .tensor_file import file_mark

if TYPE_CHECKING:
    from torch import Tensor

#: Stages of Video Swin; between two of them, patches are merged.
SWIN_STAGES = 4


def _swin_rows(network: Any, video: Tensor) -> Tensor:
    """(B, 3, T, H, W) to (B, ceil(T / 2), D)."""
    states: Tensor = network.norm(network.features(network.patch_embed(video)))
    return states.mean(dim=(2, 3))  # (B, T', H', W', D)


def swin_states(n: int) -> Callable[[Any, Any], Any]:
    """What maps a Swin network and a video to the states after n of its ``SWIN_STAGES``.

    (B, 3, T, H, W) to (B, ceil(T / 2), H', W', C), patches merged for the next stage.
    """

    def states(network: Any, video: Tensor) -> Tensor:
        made: Tensor = network.features[: 2 * n](network.patch_embed(video))
        return made

    return states


def _resnet_rows(network: Any, video: Tensor) -> Tensor:
    """(B, 3, T, H, W) to (B, ceil(T / 8), D)."""
    states: Tensor = network.stem(video)
    for layer in (network.layer1, network.layer2, network.layer3, network.layer4):
        states = layer(states)
    return states.mean(dim=(3, 4)).transpose(1, 2)  # of (B, D, T', H', W')


def _mvit_rows(network: Any, video: Tensor) -> Tensor:
    """(B, 3, 16, 224, 224) to (B, 8, D), without the token for the classifier."""
    states: Tensor = network.pos_encoding(network.conv_proj(video).flatten(2).transpose(1, 2))
    sides = (network.pos_encoding.temporal_size, *network.pos_encoding.spatial_size)
    for block in network.blocks:
        states, sides = block(states, sides)
    patches: Tensor = network.norm(states)[:, 1:]  # (B, T' H' W', D)
    rows: Tensor = patches.unflatten(1, (sides[0], -1)).mean(dim=2)
    return rows


@dataclass(frozen=True)
class Kind:
    """A video network.

    Args:
        builder: function of ``torchvision.models.video`` that makes it.
        weights: class there that lists the weights offered for it.
        width: columns of a row, D.
        stride: pictures from row to row.
        lead: pictures by which the first one that a row stands for lies before ``k * stride``.
        align: where a long video is cut into windows, they start at multiples of this many
            pictures, so that the network's own partition of time is that of the whole video.
        mean: of red, green and blue in [0, 1], which are taken from the pictures.
        std: by which they are divided then.
        rows: the network without its head.
        length: pictures that it takes at once, neither more nor fewer; 0: any number.
        size: side of its pictures in pixels; 0: any.
    """

    builder: str
    weights: str
    width: int
    stride: int
    lead: int
    align: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    rows: Callable[[Any, Any], Any]
    length: int = 0
    size: int = 0

    def n_rows(self, n_pictures: int) -> int:
        """Rows of a video; the last one may stand for fewer pictures."""
        return -(-n_pictures // self.stride)


def _swin(size: str, width: int) -> Kind:
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    name = f"swin3d_{size}"
    # Attention sees 8 rows of 2 pictures at once.
    return Kind(name, f"Swin3D_{size.upper()}_Weights", width, 2, 0, 16, mean, std, _swin_rows)


def _mvit(builder: str, weights: str) -> Kind:
    mean, std = (0.45,) * 3, (0.225,) * 3
    return Kind(builder, weights, 768, 2, 0, 2, mean, std, _mvit_rows, length=16, size=224)


KINDS: dict[str, Kind] = {
    "swin3d_t": _swin("t", 768),
    "swin3d_s": _swin("s", 768),
    "swin3d_b": _swin("b", 1024),
    "r2plus1d_18": Kind(
        *("r2plus1d_18", "R2Plus1D_18_Weights", 512, 8, 4, 8),
        mean=(0.43216, 0.394666, 0.37645),
        std=(0.22803, 0.22145, 0.216989),
        rows=_resnet_rows,
    ),
    "mvit_v1_b": _mvit("mvit_v1_b", "MViT_V1_B_Weights"),
    "mvit_v2_s": _mvit("mvit_v2_s", "MViT_V2_S_Weights"),
}


class VideoNetwork:
    """A loaded network; see ``load_video_network``.

    Args:
        network: torchvision's, in the precision that it computes in.
        kind: what is known of it.
        device: where it runs.
    """

    def __init__(self, network: Any, kind: Kind, device: str) -> None:
        import torch

        self.network = network
        self.kind = kind
        self.device = device
        self.dtype = next(network.parameters()).dtype
        shape = (1, 3, 1, 1, 1)
        self._mean = torch.tensor(kind.mean, device=device).reshape(shape) * 255
        self._std = torch.tensor(kind.std, device=device).reshape(shape) * 255

    def rows(
        self, pictures: Array, mask: Array, part: Callable[[Any, Any], Any] | None = None
    ) -> Array:
        """Map one video to its rows, (ceil(T / stride), D) float32.

        Args:
            pictures: (T, size, size, 3) uint8 RGB; where the network takes a fixed number, at most
                that many: those that are missing count as the mean picture.
            mask: (T,) bool; pictures where it is False count as the mean picture, which is zero
                for the network.
            part: maps the network and a video (1, 3, T, size, size) to other rows of it; None:
                those of its kind.
        """
        import torch

        with torch.inference_mode(), whole_float32(self.device):
            video = torch.from_numpy(pictures).to(self.device).permute(3, 0, 1, 2)[None].float()
            video = (video - self._mean) / self._std  # (1, 3, T, size, size)
            if not mask.all():
                video[:, :, torch.from_numpy(~mask).to(self.device)] = 0
            missing = max(self.kind.length - len(mask), 0)
            video = torch.nn.functional.pad(video, (0, 0, 0, 0, 0, missing))
            rows = part or self.kind.rows
            found: Array = rows(self.network, video.to(self.dtype))[0].float().cpu()
            return np.asarray(found)[: self.kind.n_rows(len(mask))]


_LOADED: LoadedModels[VideoNetwork] = LoadedModels()


def load_video_network(name: str, path: Path, device: str, precision: str) -> VideoNetwork:
    """A network with the weights of a file, loaded once in each process while it is used.

    Args:
        name: one of ``KINDS``.
        path: a file of weights; see ``load_weights``.
        device: where it shall run.
        precision: what it computes in.

    Raises:
        BadCall: the file cannot be read, or is of another network.
    """
    key = (name, file_mark(path), device, precision)
    return _LOADED.get(key, lambda: _load(name, path, device, precision))


def _load(name: str, path: Path, device: str, precision: str) -> tuple[VideoNetwork, int]:
    import torch

    network = filled_network(name, path).to(device, getattr(torch, precision))
    size = sum(p.numel() * p.element_size() for p in network.parameters())
    return VideoNetwork(network, KINDS[name], device), size


def _networks() -> dict[str, dict[str, Tensor]]:
    """Names and shapes of the tensors of all networks; no memory is taken for them."""
    import torch

    with torch.device("meta"):
        return {name: make_network(name).state_dict() for name in KINDS}


def filled_network(name: str, path: Path) -> Any:
    """A network in float32 with the weights of a file, for inference.

    Raises:
        BadCall: the file cannot be read, or is of another network.
    """
    network = make_network(name)
    load_weights(network, path, name, _networks)
    return network.eval().requires_grad_(False)


def make_network(name: str) -> Any:
    """A network of torchvision with random weights."""
    from torchvision.models import video

    return getattr(video, KINDS[name].builder)()


def weights_url(name: str, training: str) -> str:
    """Where torchvision offers weights.

    Args:
        name: one of ``KINDS``.
        training: name of the weights there, such as ``KINETICS400_V1``.
    """
    from torchvision.models import video

    return str(getattr(video, KINDS[name].weights)[training].url)
