"""Networks that see one picture, without their classifiers: facenet-pytorch, torchvision, timm."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ...cache.errors import BadCall, unknown
from ...cache.records import Array
from ..loaded import LoadedModels
from .computing import whole_float32
from .tensor_file import file_mark, load_fitting

FACENET = "inception-resnet-v1"
#: What torchvision sets where it loads weights of its own into these: pictures are then brought
#: to the range in which they were trained.
MADE_WITH = dict.fromkeys(
    ("googlenet", "inception_v3"), {"init_weights": False, "transform_input": True}
)
#: Pictures that are computed at once.
BATCH = 32


@dataclass(frozen=True)
class Looks:
    """How a network wants its pictures, and what it gives.

    Args:
        width: columns of an embedding.
        size: side of the pictures in pixels that it was trained on.
        mean: of red, green and blue in [0, 255], taken from the pictures.
        std: by which they are divided then.
        head: how the names of its classifier's tensors begin.
    """

    width: int
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    head: str


def make_network(name: str) -> tuple[Any, Looks]:
    """A network with random weights whose output is its embedding.

    Args:
        name: ``inception-resnet-v1`` (facenet-pytorch), ``torchvision/NAME`` or ``timm/NAME``.

    Raises:
        UnknownName: the library has no such network.
        BadCall: the library is not installed, or the network ends with no linear classifier.
    """
    if name == FACENET:
        from facenet_pytorch import InceptionResnetV1

        return InceptionResnetV1(), Looks(512, 160, (127.5,) * 3, (128.0,) * 3, "logits.")
    library, _, inner = name.partition("/")
    if library == "torchvision" and inner:
        return _torchvision(inner)
    if library == "timm" and inner:
        return _timm(inner)
    raise BadCall(
        f"there is no image network '{name}': it is '{FACENET}', 'torchvision/NAME' such as "
        "'torchvision/efficientnet_b0', or 'timm/NAME'"
    )


def _torchvision(name: str) -> tuple[Any, Looks]:
    from torch import nn
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise unknown("image network of torchvision", name, known)
    network = models.get_model(name, weights=None, **MADE_WITH.get(name, {}))
    linear = [path for path, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise BadCall(f"torchvision's '{name}' ends with no linear classifier to leave out")
    width = network.get_submodule(linear[-1]).in_features
    network.set_submodule(linear[-1], nn.Identity())
    seen = models.get_model_weights(name)
    offered = next(iter(seen)).transforms()
    mean, std = (tuple(255 * x for x in part) for part in (offered.mean, offered.std))
    return network, Looks(width, int(offered.crop_size[0]), mean, std, f"{linear[-1]}.")


def _timm(name: str) -> tuple[Any, Looks]:
    try:
        import timm
    except ImportError as error:
        raise BadCall(
            f"the network 'timm/{name}' needs timm: pip install 'affectflow[timm]'"
        ) from (error)
    if not timm.is_model(name):
        raise unknown("image network of timm", name, timm.list_models())
    network = timm.create_model(name, pretrained=False, num_classes=0)
    config = timm.data.resolve_model_data_config(network)
    mean, std = (tuple(255 * x for x in config[part]) for part in ("mean", "std"))
    head = network.pretrained_cfg.get("classifier", "head")
    width = getattr(network, "head_hidden_size", network.num_features)
    return network, Looks(width, int(config["input_size"][-1]), mean, std, f"{head}.")


def library_of(name: str) -> str:
    """The distribution that holds a network; see ``make_network``."""
    return "facenet-pytorch" if name == FACENET else name.partition("/")[0]


@lru_cache(maxsize=16)
def looks(name: str) -> Looks:
    """How a network wants its pictures; it is made without memory for its weights."""
    import torch

    with torch.device("meta"):
        return make_network(name)[1]


class ImageNetwork:
    """A loaded network; see ``load_image_network``.

    Args:
        network: gives embeddings (B, D) of pictures (B, 3, size, size).
        seen: how it wants its pictures.
        device: where it runs.
    """

    def __init__(self, network: Any, seen: Looks, device: str) -> None:
        import torch

        self.network = network
        self.device = device
        self.dtype = next(network.parameters()).dtype
        self._mean = torch.tensor(seen.mean, device=device).reshape(1, 3, 1, 1)
        self._std = torch.tensor(seen.std, device=device).reshape(1, 3, 1, 1)

    def rows(self, pictures: Array) -> Array:
        """Embeddings (n, D) float32 of pictures (n, size, size, 3) uint8 RGB."""
        import torch

        found = []
        with torch.inference_mode(), whole_float32(self.device):
            for part in torch.from_numpy(pictures).split(BATCH):
                given = part.to(self.device).permute(0, 3, 1, 2).float()
                given = ((given - self._mean) / self._std).to(self.dtype)
                found.append(self.network(given).float().cpu().numpy())
        result: Array = np.concatenate(found)
        return result


_LOADED: LoadedModels[ImageNetwork] = LoadedModels()


def load_image_network(name: str, path: Path, device: str, precision: str) -> ImageNetwork:
    """A network with the weights of a file, loaded once in each process while it is used.

    Args:
        name: see ``make_network``.
        path: a file of weights; see ``read_tensors``. A classifier in it is ignored.
        device: where it shall run.
        precision: what it computes in.

    Raises:
        BadCall: there is no such network, the file cannot be read or is of another network.
    """
    key = (name, file_mark(path), device, precision)
    return _LOADED.get(key, lambda: _load(name, path, device, precision))


def _load(name: str, path: Path, device: str, precision: str) -> tuple[ImageNetwork, int]:
    import torch

    network, seen = make_network(name)
    load_fitting(network, path, name, (seen.head,))
    network = network.eval().requires_grad_(False).to(device, getattr(torch, precision))
    size = sum(p.numel() * p.element_size() for p in network.parameters())
    return ImageNetwork(network, seen, device), size
