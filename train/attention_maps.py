"""What a fitted model's attention layers look at in one utterance: its own, and a text model's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .batches import Part
from .dataset import Array, Input
from .fitted import readings_of, rebuild, specs_of
from .loop import denormals_flushed, run_net
from .models.attention import Attention
from .models.bimodal_adjustment import BimodalAdjustment
from .models.copies import Copies

#: Layers that can say what they look at (``looks_at``, of what ``forward`` gets).
LOOKING = (Attention, BimodalAdjustment)
#: Families of text models whose layers look by the plain product of ``query`` and ``key``.
PLAIN = ("bert", "roberta")


@dataclass(frozen=True, eq=False)
class AttentionMap:
    """Weights of one layer in one utterance, mean over heads.

    Args:
        name: what looks at what.
        layer: which of several layers it is.
        weights: (T, U) rows that ask by rows that answer, without padding; a row adds up to 1.
    """

    name: str
    layer: str
    weights: Array


def attention_maps(
    weights: Mapping[str, Array], meta: Mapping[str, Any], inputs: Sequence[Input]
) -> list[AttentionMap]:
    """The last layer of each stack of attention layers, by the seed chosen by validation.

    Of a text model whose layers are trained too (``PLAIN``), the first and the last one of those,
    as in Fig. 6 of Lin and Hu (2024).

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
    found: dict[tuple[str, str], Array] = {}
    handles = [
        layers[path].register_forward_pre_hook(partial(_keep, found, net.attends(path)))
        for path in last.values()
    ]
    handles += [
        layer.query.register_forward_pre_hook(partial(_keep_text, found, name, layer))
        for name, layer in _text_layers(net).items()
    ]
    if not handles:
        return []
    try:
        with denormals_flushed(), torch.no_grad():
            part = Part(
                readings_of(weights, specs_of(meta), inputs), np.full((1, 0), np.nan), "cpu"
            )
            run_net(net, part.in_order(1))
    finally:
        for handle in handles:
            handle.remove()
    return [AttentionMap(*name, values) for name, values in found.items()]


def _keep(
    found: dict[tuple[str, str], Array], name: str, layer: nn.Module, given: tuple[Any, ...]
) -> None:
    """Note what the only utterance's rows look at, those that look or are seen at all."""
    assert isinstance(layer, LOOKING)
    values = layer.looks_at(*given)[0, 0].numpy()  # (T, U)
    asks, answers = values.any(axis=1), values.any(axis=0)
    found[name, "last layer"] = values[asks][:, answers]


def _text_layers(net: nn.Module) -> dict[str, Any]:
    """First and last trained layer's attention of each text model, by which of them it is."""
    found: dict[str, Any] = {}
    for copies in (part for part in net.modules() if isinstance(part, Copies)):
        config = getattr(getattr(copies.module, "model", None), "config", None)
        if getattr(config, "model_type", "") in PLAIN:
            parts = copies.module.named_modules()
            layers = [part for path, part in parts if path.endswith("attention.self")]
            names = [f"trained layer {i} of {len(layers)}" for i in range(1, len(layers) + 1)]
            found |= {names[0]: layers[0], names[-1]: layers[-1]}
    return found


def _keep_text(
    found: dict[tuple[str, str], Array],
    layer: str,
    attention: Any,
    query: nn.Linear,
    given: tuple[Tensor],
) -> None:
    """Note what the only utterance's tokens look at: mean over heads of softmax(q k / sqrt(d)).

    Called before the layer makes its queries, of states (1, T, D) without padding.
    """
    heads = attention.num_attention_heads
    asks, answers = (
        nn.functional.linear(given[0][0], part.weight, part.bias)
        .unflatten(-1, (heads, -1))
        .transpose(0, 1)
        for part in (query, attention.key)
    )  # (heads, T, d)
    scores = asks @ answers.transpose(1, 2) / asks.shape[-1] ** 0.5
    found["text looks at text", layer] = scores.softmax(dim=-1).mean(dim=0).numpy()
