"""How an encoder of the library transformers wants pictures and what it gives, before it is loaded.

Configurations say this in as many ways as there are families, or not at all. So the network is made
without memory for its weights, and a picture without content is sent through it: the shapes that
come out are those of the run.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ...cache.errors import BadCall
from ..hf_folder import image_config, model_config
from ..hf_hub import reason
from ..hf_model import quiet

#: Encoders that see several pictures at once, and whose patches span time.
VIDEO = ("videomae", "vivit")
#: Encoders that hide most of a picture from themselves, chosen at random.
HIDING = ("vit_mae",)

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Sight:
    """How an encoder wants pictures, and what it gives.

    Args:
        width: columns of a row.
        n_pictures: pictures that it sees at once.
        stride: pictures that a row stands for.
        n_layers: numbered layers above the embeddings; 0: there is only the output.
        added: tokens before those of the patches; None: it gives maps, not tokens.
        mean: of red, green and blue in [0, 255], taken from the pictures.
        std: by which they are divided then.
    """

    width: int
    n_pictures: int
    stride: int
    n_layers: int
    added: int | None
    mean: tuple[float, ...]
    std: tuple[float, ...]


def trained_size(model: str, revision: str) -> int:
    """Side of the pictures, in pixels, that the image processor makes, else the configuration's.

    Raises:
        BadCall: it is no encoder of pictures, or does not say how they are normalised.
    """
    _, config = _configured(model, revision)
    processor = image_config(model, revision)
    size = processor.get("crop_size") if processor.get("do_center_crop", True) else None
    if size is None and processor.get("do_resize", True):
        size = processor.get("size")
    if isinstance(size, dict):
        size = size.get("height", size.get("shortest_edge"))
    return _side(size or getattr(config, "image_size", None) or 224)


def sight_of(model: str, revision: str, size: int) -> Sight:
    """How an encoder wants pictures of a size, and what it gives of them.

    Raises:
        BadCall: it is no encoder of pictures, cannot see those of this size, or does not say how
            they are normalised.
    """
    kind, config = _configured(model, revision)
    processor = image_config(model, revision)
    n_pictures, stride = 1, 1
    if kind in VIDEO:
        tubelet = config.tubelet_size
        n_pictures = int(config.num_frames)
        stride = int(tubelet[0] if isinstance(tubelet, list | tuple) else tubelet)
    described = json.dumps(model_config(model, revision), sort_keys=True)
    try:
        output, *hidden = _shapes(described, size, n_pictures if kind in VIDEO else 0)
    except Exception as error:  # each family refuses what it cannot see in its own way
        raise BadCall(
            f"hf-vision: '{model}' ({kind}) cannot see pictures of {size} pixels: {reason(error)}"
        ) from error
    tokens = len(output) == 2
    n_layers = len(hidden) - 1 if tokens and hidden and set(hidden) == {output} else 0
    factor = float(processor.get("rescale_factor", 1 / 255))
    plain = not processor.get("do_normalize", True)
    # Scaled to [-1, 1] before anything else; ViViT's processor does so unless it says otherwise.
    offset = float(processor.get("offset", kind == "vivit"))
    mean = tuple((offset + x) / factor for x in (3 * [0.0] if plain else processor["image_mean"]))
    std = (1 / factor,) * 3 if plain else tuple(x / factor for x in processor["image_std"])
    added = _added(output[0], size, getattr(config, "patch_size", None)) if tokens else None
    return Sight(output[tokens], n_pictures, stride, n_layers, added, mean, std)


def _configured(model: str, revision: str) -> tuple[str, Any]:
    """Family, and configuration of the part that sees.

    Raises:
        BadCall: the family is not known, or is none that sees.
    """
    kind, config = _config(json.dumps(model_config(model, revision), sort_keys=True))
    if config is None:
        raise BadCall(f"hf-vision: '{model}' is of the family '{kind}', which is not known")
    config = getattr(config, "vision_config", config)
    if not hasattr(config, "num_channels"):
        raise BadCall(f"hf-vision: '{model}' ({kind}) is no encoder of pictures")
    if kind in HIDING:
        raise BadCall(
            f"hf-vision: '{model}' ({kind}) hides most of a picture from itself, at random: its "
            "states are not features"
        )
    return kind, config


def _config(described: str) -> tuple[str, Any]:
    """Family and configuration of a ``config.json``; None where the family is not known."""
    import transformers

    found = json.loads(described)
    kind = str(found.pop("model_type", ""))
    if kind not in transformers.CONFIG_MAPPING:
        return kind, None
    return kind, transformers.AutoConfig.for_model(kind, **found)


@lru_cache(maxsize=16)
def _shapes(described: str, size: int, n_pictures: int) -> tuple[Shape, ...]:
    """Shapes of the output and of all hidden states of one picture, or of one video.

    Args:
        described: the ``config.json``.
        size: side of a picture in pixels.
        n_pictures: of a video; 0: it is a picture.
    """
    import torch
    import transformers

    with torch.device("meta"), quiet():
        network: Any = transformers.AutoModel.from_config(_config(described)[1])
    network = getattr(network, "vision_model", network).eval()
    shape = (1, n_pictures, 3, size, size) if n_pictures else (1, 3, size, size)
    with torch.inference_mode():
        out = network(pixel_values=torch.empty(shape, device="meta"), output_hidden_states=True)
    states = (out.last_hidden_state, *(out.hidden_states or ()))
    return tuple(tuple(state.shape[1:]) for state in states)


def _added(n: int, size: int, patch: Any) -> int:
    """Tokens of n that stand for no part of a picture; a network of stages has joined patches."""
    n_patches = (size // _side(patch)) ** 2 if patch else n + 1
    return n - (n_patches if n_patches <= n else math.isqrt(n) ** 2)


def _side(value: Any) -> int:
    return int(value[-1] if isinstance(value, list | tuple) else value)
