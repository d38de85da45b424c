"""A fit that starts from the weights of another, instead of from random ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..cache.errors import BadInput
from .dataset import Array
from .models.base import Model
from .models.copies import Copies

#: Names of parameters that are told at most.
TOLD = 4


@dataclass(frozen=True, eq=False)
class Parent:
    """The fit that another one starts from, by the weights of its seed that validation chose.

    Args:
        name: the node's.
        weights: as in ``Fitted``.
        meta: as in ``Fitted``.
    """

    name: str
    weights: Mapping[str, Array]
    meta: Mapping[str, Any]

    @property
    def seed(self) -> int:
        """The one that validation chose."""
        return int(self.meta["chosen"])

    def chosen(self, device: torch.device) -> dict[str, Tensor]:
        """Every parameter of its network by name, of that seed alone."""
        place = [seed["seed"] for seed in self.meta["seeds"]].index(self.seed)
        return {
            name.removeprefix("net."): torch.from_numpy(np.array(value[place])).to(device)
            for name, value in self.weights.items()
            if name.startswith("net.")
        }


def start_from(net: Model, parent: Parent) -> str:
    """Let all seeds of a network start from the parent's weights, as far as they are its own.

    Inputs are normalised by the statistics of the new fit's training split, not the parent's.

    Returns:
        A sentence for people: what came from the parent, and what did not.

    Raises:
        BadInput: none of them, or less than half of the numbers in those that have a name in
            common, is one of the parent's; or it trained layers of a pretrained model of another
            width.
    """
    weights = parent.chosen(next(net.parameters()).device)
    own = {name: p[0] for name, p in net.named_parameters()}
    _same_encoders(net, parent)
    other = [n for n, w in weights.items() if n in own and own[n].shape != w.shape]
    taken = set(net.start_from(weights))
    n_taken = sum(own[name].numel() for name in taken)
    if not taken or n_taken < sum(own[name].numel() for name in {*other} - taken):
        shapes = [f"'{n}' is {_size(weights[n])} there and {_size(own[n])} here" for n in other]
        raise BadInput(
            f"model '{net.settings.name}' cannot start from '{parent.name}' (model "
            f"'{parent.meta['model']}'): "
            + (
                f"widths differ: {', '.join(shapes[:TOLD])}. Give both the same settings and inputs"
                if other
                else "they have no parameter of the same name and shape. Start from a fit of the "
                "same model, on inputs that are called the same"
            )
        )
    pretrained = {
        f"{path}.{name}"
        for path, part in net.named_modules()
        if isinstance(part, Copies)
        for name, _ in part.named_parameters()
    }
    anew = [name for name in own if name not in taken and name not in pretrained]
    told = f"; drawn anew: {', '.join(anew[:TOLD])}{' ...' if len(anew) > TOLD else ''}"
    return (
        f"starts from seed {parent.seed} of '{parent.name}': {len(taken)} of {len(own)} parameters"
        + (told if anew else "")
    )


def _same_encoders(net: Model, parent: Parent) -> None:
    """See that pretrained layers that both train stand on states of one width."""
    there = {spec["modality"]: spec["width"] for spec in parent.meta["inputs"]}
    for spec in net.inputs:
        width = there.get(spec.modality, spec.width)
        if net.settings.starts_encoders and spec.name in net.pretrained and width != spec.width:
            raise BadInput(
                f"model '{net.settings.name}' cannot start from '{parent.name}' (model "
                f"'{parent.meta['model']}'): it was trained above {spec.modality} states of "
                f"{width} columns, and those of '{spec.name}' have {spec.width}: another base "
                "model. Give both fits the same"
            )


def _size(tensor: Tensor) -> str:
    return " x ".join(str(n) for n in tensor.shape)
