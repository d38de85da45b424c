"""What a fitted model's attention layers look at in one utterance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from .batches import Part
from .dataset import Array, Input
from .fitted import readings_of, rebuild, specs_of
from .loop import denormals_flushed, run_net
from .models.attention import Attention
from .models.bimodal_adjustment import BimodalAdjustment

#: Layers that can say what they look at (``looks_at``, of what ``forward`` gets).
LOOKING = (Attention, BimodalAdjustment)


@dataclass(frozen=True, eq=False)
class AttentionMap:
    """Weights of one layer in one utterance, mean over heads.

    Args:
        name: what looks at what.
        weights: (T, U) rows that ask by rows that answer, without padding; a row adds up to 1.
    """

    name: str
    weights: Array


def attention_maps(
    weights: Mapping[str, Array], meta: Mapping[str, Any], inputs: Sequence[Input]
) -> list[AttentionMap]:
    """The last layer of each stack of attention layers, by the seed chosen by validation.

    Args:
        weights: as in ``Fitted``.
        meta: as in ``Fitted``.
        inputs: the fit's inputs, of one utterance.

    Returns:
        None of models without attention.

    Raises:
        TrainingError: an input is missing, of another width or modality, or not finite.
    """
    chosen = [seed["seed"] for seed in meta["seeds"]].index(meta["chosen"])
    net = rebuild(weights, meta, inputs, [chosen])
    layers = {path: part for path, part in net.named_modules() if isinstance(part, LOOKING)}
    last = {path.partition(".layers.")[0]: path for path in layers}  # the later ones win
    if not last:
        return []
    found: dict[str, Array] = {}
    handles = [
        layers[path].register_forward_pre_hook(partial(_keep, found, net.attends(path)))
        for path in last.values()
    ]
    try:
        with denormals_flushed(), torch.no_grad():
            part = Part(
                readings_of(weights, specs_of(meta), inputs), np.full((1, 0), np.nan), "cpu"
            )
            run_net(net, part.in_order(1))
    finally:
        for handle in handles:
            handle.remove()
    return [AttentionMap(name, values) for name, values in found.items()]


def _keep(found: dict[str, Array], name: str, layer: nn.Module, given: tuple[Any, ...]) -> None:
    """Note what the only utterance's rows look at, those that look or are seen at all."""
    assert isinstance(layer, LOOKING)
    values = layer.looks_at(*given)[0, 0].numpy()  # (T, U)
    asks, answers = values.any(axis=1), values.any(axis=0)
    found[name] = values[asks][:, answers]
