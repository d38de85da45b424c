"""Image and video encoders of the library transformers, loaded from a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...cache.records import Array
from ..hf_companions import PREPROCESSOR
from ..hf_folder import files_mark, model_files
from ..hf_model import load_network
from ..loaded import LoadedModels
from .computing import whole_float32
from .hf_vision_sight import Sight, sight_of

if TYPE_CHECKING:
    from torch import Tensor

#: Tensors of checkpoints that only training or a head uses.
UNUSED = ("pooler.", "mask_token", "head.")
#: Pictures that are computed at once.
BATCH = 32


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
        """
        import torch

        found = []
        with torch.inference_mode(), whole_float32(self.device):
            for part in torch.from_numpy(pictures).split(BATCH):
                states = self._states(self._prepared(part), layers)
                found.append(self._pooled(states, cls).float().cpu().numpy())
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

    def _pooled(self, states: Tensor, cls: bool) -> Tensor:
        """(B, N, D) tokens, or (B, D, H, W) maps, as (B, D)."""
        if self.sight.added is None:
            return states.mean(dim=(2, 3))
        return states[:, 0] if cls else states[:, self.sight.added :].mean(dim=1)


_LOADED: LoadedModels[HfVisionModel] = LoadedModels()


def load_vision(folder: Path, size: int, device: str, precision: str) -> HfVisionModel:
    """The encoder of a folder, loaded once in each process while it is used.

    Args:
        folder: a saved model.
        size: side of its pictures in pixels.
        device: where it shall run.
        precision: what it computes in.

    Raises:
        BadCall: it cannot be loaded, its weights are not whole, or it sees no pictures.
    """
    mark = files_mark(model_files(folder, (PREPROCESSOR,)))
    key = (str(folder), mark, size, device, precision)
    return _LOADED.get(key, lambda: _load(folder, size, device, precision))


def _load(folder: Path, size: int, device: str, precision: str) -> tuple[HfVisionModel, int]:
    import torch

    sight = sight_of(str(folder), "", size)
    network = load_network(folder, UNUSED)
    network = getattr(network, "vision_model", network)
    network = network.to(device, getattr(torch, precision))
    n_bytes = sum(p.numel() * p.element_size() for p in network.parameters())
    return HfVisionModel(network, sight, device), n_bytes
