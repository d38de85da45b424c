"""Weights of a video network from a file: torchvision's names, or the official Video Swin's."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ...cache.errors import BadCall
from .tensor_file import fill, misfits, read_tensors

if TYPE_CHECKING:
    from torch import Tensor, nn

#: Tensors that features do not depend on: the classifier, and tables that follow from the sizes.
HEADS = ("head.", "fc.")
POSITIONS = "relative_position_index"


def torchvision_name(name: str) -> str:
    """The name that torchvision gives a tensor of an official Video Swin checkpoint.

    A layer and its downsampling are one entry there, two here; other names come back unchanged.

    >>> torchvision_name("backbone.layers.1.blocks.0.mlp.fc1.weight")
    'features.2.0.mlp.0.weight'
    >>> torchvision_name("backbone.layers.1.downsample.norm.bias")
    'features.3.norm.bias'

    Source:
        Liu et al. (2022), "Video Swin Transformer", CVPR; the checkpoints of its authors.
    """
    name = re.sub(r"^backbone\.", "", name)
    name = re.sub(r"^cls_head\.fc_cls\.", "head.", name)
    block = re.match(r"layers\.(\d+)\.blocks\.(.*)", name)
    if block:
        rest = block[2].replace("mlp.fc1.", "mlp.0.").replace("mlp.fc2.", "mlp.3.")
        return f"features.{2 * int(block[1])}.{rest}"
    merging = re.match(r"layers\.(\d+)\.downsample\.(.*)", name)
    return f"features.{2 * int(merging[1]) + 1}.{merging[2]}" if merging else name


def load_weights(
    network: nn.Module,
    path: Path,
    what: str,
    others: Callable[[], Mapping[str, Mapping[str, Tensor]]],
) -> None:
    """Fill a network with the tensors of a file; every name and shape must fit, heads apart.

    Args:
        network: freshly made, on the CPU.
        path: a file of weights; see ``read_tensors``.
        what: what a message calls the network.
        others: gives the tensors of networks that the file may be of instead, by their names.

    Raises:
        BadCall: the file cannot be read, or is of another network.
    """
    tensors = {torchvision_name(name): tensor for name, tensor in read_tensors(path).items()}
    tensors = {name: t for name, t in tensors.items() if not name.endswith(POSITIONS)}
    wrong = misfits(_learned(network.state_dict()), tensors, HEADS)
    if wrong:
        fitting = [k for k, s in others().items() if not misfits(_learned(s), tensors, HEADS)]
        hint = f"; it fits {' and '.join(fitting)}" if fitting else ""
        raise BadCall(f"the weights in '{path}' are not those of {what}{hint}; {'; '.join(wrong)}")
    positions = {n: t for n, t in network.state_dict().items() if n.endswith(POSITIONS)}
    fill(network, {**tensors, **positions}, HEADS)


def _learned(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if not name.endswith(POSITIONS)}
