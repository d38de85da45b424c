"""Image and video encoders of the library transformers, loaded from a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...cache.errors import BadCall
from ...cache.records import Array
from ..hf_folder import PREPROCESSOR, image_config, model_config, model_files
from ..hf_model import load_network
from ..loaded import LoadedModels
from .computing import whole_float32

if TYPE_CHECKING:
    from torch import Tensor

#: Encoders that see several pictures at once, and whose patches span time.
VIDEO = ("videomae", "vivit")
#: Tensors of checkpoints that only training or a head uses.
UNUSED = ("pooler.", "mask_token", "head.")
#: Pictures that are computed at once.
BATCH = 32


@dataclass(frozen=True)
class Sight:
    """How an encoder wants pictures, and what it gives.

    Args:
        width: columns of a row.
        size: side of a picture in pixels.
        patch: side of a patch in pixels; 0: it gives maps, not tokens.
        n_pictures: pictures that it sees at once.
        stride: pictures that a row stands for.
        n_layers: numbered layers above the embeddings; 0: there is only the output.
        mean: of red, green and blue in [0, 255], taken from the pictures.
        std: by which they are divided then.
    """

    width: int
    size: int
    patch: int
    n_pictures: int
    stride: int
    n_layers: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


def sight_of(model: str, revision: str) -> Sight:
    """How an encoder wants pictures, from its configuration alone.

    Raises:
        BadCall: it is no encoder of pictures, or does not say.
    """
    import transformers

    found = model_config(model, revision)
    kind = str(found.get("model_type", ""))
    if kind not in transformers.CONFIG_MAPPING:
        raise BadCall(f"hf-vision: '{model}' is of the family '{kind}', which is not known")
    rest = {name: value for name, value in found.items() if name != "model_type"}
    config: Any = transformers.AutoConfig.for_model(kind, **rest)
    config = getattr(config, "vision_config", config)
    width = (
        getattr(config, "hidden_size", None) or (getattr(config, "hidden_sizes", None) or [0])[-1]
    )
    if not width or not hasattr(config, "num_channels"):
        raise BadCall(f"hf-vision: '{model}' ({kind}) is no encoder of pictures")
    processor = image_config(model, revision)
    size = getattr(config, "image_size", None) or _size(processor)
    tokens = bool(getattr(config, "patch_size", None) and hasattr(config, "num_hidden_layers"))
    n_pictures, stride, patch = 1, 1, _side(config.patch_size) if tokens else 0
    if kind in VIDEO:
        n_pictures = int(config.num_frames)
        stride = int(_first(config.tubelet_size))
        patch = patch or int(config.tubelet_size[-1])
    factor = float(processor.get("rescale_factor", 1 / 255))
    plain = not processor.get("do_normalize", True)
    mean = (0.0,) * 3 if plain else tuple(x / factor for x in processor["image_mean"])
    std = (1 / factor,) * 3 if plain else tuple(x / factor for x in processor["image_std"])
    n_layers = int(config.num_hidden_layers) if patch else 0
    return Sight(int(width), _side(size), patch, n_pictures, stride, n_layers, mean, std)


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list | tuple) else value


def _side(value: Any) -> int:
    return int(value[-1] if isinstance(value, list | tuple) else value)


def _size(processor: dict[str, Any]) -> int:
    """Side of the pictures that an image processor makes."""
    size = processor.get("crop_size") or processor.get("size") or 224
    return int(next(iter(size.values())) if isinstance(size, dict) else size)


class HfVisionModel:
    """A loaded encoder; see ``load_vision``.

    Args:
        network: the part that sees.
        sight: how it wants pictures.
        device: where it runs.
    """

    def __init__(self, network: Any, sight: Sight, device: str) -> None:
        import torch

        self.network = network
        self.sight = sight
        self.device = device
        self.dtype = next(network.parameters()).dtype
        self._mean = torch.tensor(sight.mean, device=device).reshape(1, 3, 1, 1)
        self._std = torch.tensor(sight.std, device=device).reshape(1, 3, 1, 1)

    def pictures(self, pictures: Array, layers: tuple[int, ...] | None, cls: bool) -> Array:
        """Rows (n, D) float32 of pictures (n, size, size, 3) uint8 RGB.

        Args:
            pictures: with a face each.
            layers: numbers of the layers to average; None: the output.
            cls: the first added token instead of the mean over the patches.

        Raises:
            BadCall: it adds no token.
        """
        import torch

        found = []
        with torch.inference_mode(), whole_float32(self.device):
            for part in torch.from_numpy(pictures).split(BATCH):
                states = self._states(self._prepared(part), layers)
                found.append(self._pooled(states, part.shape[1], cls).float().cpu().numpy())
        result: Array = np.concatenate(found)
        return result

    def video(self, pictures: Array, mask: Array, layers: tuple[int, ...] | None) -> Array:
        """Rows (n_pictures / stride, D) float32 of one window of at most ``n_pictures``.

        Args:
            pictures: (n, size, size, 3) uint8 RGB; what is missing counts as the mean picture.
            mask: (n,) bool, False where there is no face.
            layers: see ``pictures``.
        """
        import torch

        sight = self.sight
        with torch.inference_mode(), whole_float32(self.device):
            shape = (sight.n_pictures, 3, *pictures.shape[1:3])
            given = torch.zeros(shape, device=self.device, dtype=self.dtype)
            at = torch.from_numpy(np.flatnonzero(mask)).to(self.device)
            given[at] = self._prepared(torch.from_numpy(pictures[mask]))
            states = self._states(given[None], layers)[0]  # (N, D), by time, then by place
            n_rows = sight.n_pictures // sight.stride
            patches = states[states.shape[0] % n_rows :].reshape(n_rows, -1, states.shape[1])
            rows: Array = patches.mean(dim=1).float().cpu().numpy()
            return rows

    def _prepared(self, pictures: Tensor) -> Tensor:
        """(n, size, size, 3) uint8 as (n, 3, size, size), normalised."""
        given = pictures.to(self.device).permute(0, 3, 1, 2).float()
        return ((given - self._mean) / self._std).to(self.dtype)

    def _states(self, given: Tensor, layers: tuple[int, ...] | None) -> Tensor:
        out = self.network(pixel_values=given, output_hidden_states=layers is not None)
        if layers is None:
            last: Tensor = out.last_hidden_state
            return last
        states = [*out.hidden_states[:-1], out.last_hidden_state]
        total: Tensor = sum(states[layer].float() for layer in layers)
        return total / len(layers)

    def _pooled(self, states: Tensor, side: int, cls: bool) -> Tensor:
        """(B, N, D) tokens, or (B, D, H, W) maps, as (B, D)."""
        added = states.shape[1] - (side // self.sight.patch) ** 2 if self.sight.patch else 0
        if cls and added < 1:
            raise BadCall(
                "hf-vision: pool must be 'mean', for the model adds no token to a picture"
            )
        if not self.sight.patch:
            return states.mean(dim=(2, 3))
        return states[:, 0] if cls else states[:, added:].mean(dim=1)


_LOADED: LoadedModels[HfVisionModel] = LoadedModels()


def load_vision(folder: Path, device: str, precision: str) -> HfVisionModel:
    """The encoder of a folder, loaded once in each process while it is used.

    Raises:
        BadCall: it cannot be loaded, its weights are not whole, or it sees no pictures.
    """
    files = model_files(folder, (PREPROCESSOR,))
    marks = [(name, f.stat().st_size, f.stat().st_mtime_ns) for name, f in sorted(files.items())]
    key = (str(folder), tuple(marks), device, precision)
    return _LOADED.get(key, lambda: _load(folder, device, precision))


def _load(folder: Path, device: str, precision: str) -> tuple[HfVisionModel, int]:
    import torch

    sight = sight_of(str(folder), "")
    network = load_network(folder, UNUSED)
    network = getattr(network, "vision_model", network)
    network = network.to(device, getattr(torch, precision))
    size = sum(p.numel() * p.element_size() for p in network.parameters())
    return HfVisionModel(network, sight, device), size
