"""The layers of a text model above one whose states are cached, as a module that can be trained.

A run that trains only the upper layers of an encoder reads the states of layer k from the cache
(``hf-text`` with ``layer: k``, ``dtype: float32``, added tokens kept) and never runs what lies
below.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...cache.errors import BadCall
from .cut import SUMMARY
from .text_network import count_ids, dense_limit, text_network
from .tokens import load_tokenizer, tokenized

#: Largest difference from the whole model, relative to the largest value.
TOLERANCE = 1e-5
#: Families whose layers, and not only their embeddings, tell token types apart.
SEES_TYPES = ("xlnet",)
#: Families that mask by a number which mixed precision cannot hold.
FLOAT32_ALONE = ("deberta",)
#: Family whose layers convolve over tokens.
CONVOLVES = "convbert"


class UpperLayers(nn.Module):
    """The layers of a cut model: B texts, T tokens, D columns; see ``upper_layers``.

    Under ``torch.autocast`` the families of ``FLOAT32_ALONE`` are computed in float32 all the same.

    Args:
        model: cut; of transformers.
        ending: types of the last tokens of each text where the layers see them, all others being
            of type 0; empty: they see none.

    Attributes:
        summary: which real token stands for the text: ``first``, ``last``; empty: none is known to.
        width, stride: see ``extract.cut``.
    """

    stride = 1

    def __init__(self, model: Any, ending: tuple[int, ...] = (), summary: str = "") -> None:
        super().__init__()
        self.model = model
        self.mixes = model.config.model_type not in FLOAT32_ALONE
        self.ending = ending
        self.summary = summary
        self.width = int(model.config.hidden_size)

    def blocks(self) -> list[nn.Module]:
        """Its layers."""
        owner, name = _layer_list(self.model, self.model.config.num_hidden_layers)
        return list(getattr(owner, name))

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Map states (B, T, D) and mask (B, T), True on real tokens, to last states (B, T, D)."""
        given = {"attention_mask": mask.long(), **typed(mask, self.ending)}
        if self.mixes:
            out = self.model(inputs_embeds=states, return_dict=True, **given)
        else:
            with torch.autocast(states.device.type, enabled=False):
                out = self.model(inputs_embeds=states.float(), return_dict=True, **given)
        last: Tensor = out.last_hidden_state
        return last

    def first(self, n: int) -> UpperLayers:
        """The first n of these layers alone, as a module of its own.

        Raises:
            BadCall: there are fewer.
        """
        there: int = self.model.config.num_hidden_layers
        if n > there:
            raise BadCall(
                f"{n} layers of a text model are to be trained, and only {there} stand above the "
                "one whose states are cached: ask for fewer, or take a deeper model"
            )
        fewer = copy.deepcopy(self)
        owner, name = _layer_list(fewer.model, there)
        setattr(owner, name, getattr(owner, name)[:n])
        fewer.model.config.num_hidden_layers = n
        return fewer


def _keep_padding_out(model: Any) -> None:
    """Let ConvBERT's convolutions read zeros where a text has ended, as a text alone does.

    Only its attention is told of the padding. Models of other families are left as they are.
    """
    if model.config.model_type != CONVOLVES:
        return
    for path, part in model.named_modules():
        if path.endswith("attention.self"):
            part.register_forward_pre_hook(_tell_padding)
            part.key_conv_attn_layer.register_forward_pre_hook(_columns_without_padding)
            part.conv_out_layer.register_forward_hook(_rows_without_padding)


def _tell_padding(attention: Any, given: tuple[Any, ...]) -> None:
    """Tell the convolutions which tokens are real; the layer may be run again for its gradient."""
    mask = given[1]  # (B, 1, T, T), 0 where a token is looked at; None: all are
    real = None if mask is None else mask[:, 0, -1] == 0
    attention.key_conv_attn_layer.real = attention.conv_out_layer.real = real


def _columns_without_padding(part: Any, given: tuple[Tensor]) -> tuple[Tensor]:
    """What a convolution reads, (B, D, T)."""
    return given if part.real is None else (given[0] * part.real.unsqueeze(1),)


def _rows_without_padding(part: Any, given: tuple[Tensor], made: Tensor) -> Tensor:
    """Rows (B, T, D) over which each token's own kernel goes."""
    return made if part.real is None else made * part.real.unsqueeze(-1)


def typed(mask: Tensor, ending: tuple[int, ...]) -> dict[str, Tensor]:
    """Token types (B, T) of texts whose last tokens have the types ``ending``, as an argument."""
    if not ending:
        return {}
    types = torch.zeros_like(mask, dtype=torch.long)
    last = mask.sum(dim=1, keepdim=True) - 1  # (B, 1)
    for back, kind in enumerate(reversed(ending)):
        types.scatter_(1, (last - back).clamp(min=0), kind)
    return {"token_type_ids": types}


def upper_layers(folder: Path, k: int) -> UpperLayers:
    """The layers above layer k of a saved model, ready to be trained.

    What comes out is compared with the whole model before it is handed out, so that a family of
    models whose upper layers need more than the states of layer k is refused.

    Args:
        folder: a saved model; ``model_folder`` finds it.
        k: number of the layer whose states go in, 0 (embeddings) to the number of layers - 1.

    Returns:
        A float32 module in evaluation mode: ``module(states, mask)`` maps states (B, T, D) of
        layer k, padded at their ends, and mask (B, T), True on real tokens, to the model's last
        hidden states (B, T, D); those of padding mean nothing.

    Raises:
        BadCall: there is no such layer, or this family cannot be cut there.
    """
    model = text_network(folder)
    kind = model.config.model_type
    if dense_limit(model) is not None:
        raise BadCall(
            f"models of the family '{kind}' cannot be cut at a layer: long texts attend in blocks, "
            "and the last one moves where they are padded"
        )
    ids = torch.randint(5, count_ids(model), (2, 7), generator=torch.Generator().manual_seed(0))
    mask = torch.ones(2, 7, dtype=torch.bool)
    mask[1, 4:] = False
    ending = _ending(folder) if kind in SEES_TYPES else ()
    given = {"input_ids": ids, "attention_mask": mask.long(), **typed(mask, ending)}
    _keep_padding_out(model)
    with torch.no_grad():
        whole = model(**given, output_hidden_states=True)
    n_layers = len(whole.hidden_states) - 1
    if not 0 <= k < n_layers:
        raise BadCall(f"the model in {folder} has layers 0 to {n_layers}, none above layer {k}")
    try:
        upper = UpperLayers(_cut(model, k, n_layers), ending, SUMMARY.get(kind, ""))
        with torch.no_grad():
            found = upper(whole.hidden_states[k], mask)
        wanted = whole.last_hidden_state
        off = float((found - wanted)[mask].abs().max() / wanted[mask].abs().max())
    except (AttributeError, TypeError, ValueError, IndexError, RuntimeError) as error:
        raise BadCall(f"models of the family '{kind}' cannot be cut at a layer: {error}") from error
    if not off <= TOLERANCE:
        raise BadCall(
            f"models of the family '{kind}' cannot be cut at layer {k}: the layers above it give "
            f"other states than the whole model (off by {off:.2g} of the largest value)"
        )
    return upper.requires_grad_(True)


def _ending(folder: Path) -> tuple[int, ...]:
    """Types of the tokens that a folder's tokenizer adds behind a text, where it gives types."""
    tokenizer = load_tokenizer(folder)
    if "token_type_ids" not in tokenizer.model_input_names:
        return ()
    tokens = tokenized(tokenizer, "a")
    return tuple(tokens.types[len(tokens) - tokens.added[1] :].tolist())


def _cut(model: Any, k: int, n_layers: int) -> Any:
    """Take away the embeddings and the first k layers of a model, in place."""
    owner, name = _layer_list(model, n_layers)
    layers = getattr(owner, name)
    _keep_relative_bias(layers, k)
    setattr(owner, name, nn.ModuleList(layers[k:]))
    if getattr(owner, "conv", None) is not None and k > 0:
        owner.conv = None  # DeBERTa's convolution belongs to its first layer
    config = model.config
    config.num_hidden_layers = n_layers - k
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[k:]
    _pass_states_through(model)
    return model.eval()


def _layer_list(model: Any, n_layers: int) -> tuple[Any, str]:
    """The module that holds the list of layers, and the list's name."""
    for path, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == n_layers:
            owner, _, name = path.rpartition(".")
            return model.get_submodule(owner), name
    raise ValueError(f"no list of {n_layers} layers was found")


def _keep_relative_bias(layers: Any, k: int) -> None:
    """T5's first layer computes the bias of positions for all of them: the new first one must."""
    first = getattr(getattr(layers[0], "layer", [None])[0], "SelfAttention", None)
    if first is not None and getattr(first, "has_relative_attention_bias", False):
        new = layers[k].layer[0].SelfAttention
        new.has_relative_attention_bias = True
        new.relative_attention_bias = first.relative_attention_bias


def _pass_states_through(model: Any) -> None:
    """Make a model's embeddings hand on the states that come in their place."""
    if hasattr(model, "wpe"):  # GPT-2 adds positions to whatever comes in
        model.wpe = _Nothing()
    if hasattr(model, "embeddings"):
        model.embeddings = _Through()
        if hasattr(model, "embeddings_project"):  # ELECTRA, ConvBERT: narrow embeddings
            model.embeddings_project = nn.Identity()
    else:
        model.set_input_embeddings(nn.Identity())
    if hasattr(model, "pooler"):
        model.pooler = None


class _Through(nn.Module):
    def forward(self, *_: Any, inputs_embeds: Tensor, **__: Any) -> Tensor:
        return inputs_embeds


class _Nothing(nn.Module):
    def forward(self, positions: Tensor) -> Tensor:
        return torch.zeros(1, 1, 1, device=positions.device)
