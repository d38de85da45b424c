"""The layers of a speech model above one whose states are cached, as a module to be trained.

Layer 0 is what goes into the first transformer layer: the convolutions over the samples, the
projection and the positional convolution lie below it, are run once and stay as they are.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...cache.errors import BadCall
from ..hf_model import load_network
from .speech_model import UNUSED

#: Largest difference from the whole model, relative to the largest value.
TOLERANCE = 1e-5


class UpperSpeech(nn.Module):
    """The layers of a cut encoder; see ``upper_speech`` and, for the attributes, ``extract.cut``.

    Args:
        encoder: cut; of transformers.
        width: columns of its rows.
    """

    summary = "mean"
    stride = 1

    def __init__(self, encoder: Any, width: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.width = width

    def blocks(self) -> list[nn.Module]:
        """Its transformer layers."""
        return list(self.encoder.layers)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Map states (B, T, D) and mask (B, T), True on real rows, to last states (B, T, D)."""
        given = states * mask.unsqueeze(-1)  # also a copy: the encoder writes into what it is given
        with warnings.catch_warnings():
            # WavLM's attention gets its mask as booleans and its position bias as numbers.
            warnings.filterwarnings("ignore", "Support for mismatched", UserWarning)
            last: Tensor = self.encoder(given, attention_mask=mask).last_hidden_state
        return last


def upper_speech(folder: Path, k: int) -> UpperSpeech:
    """The layers above layer k of a saved speech model, ready to be trained.

    What comes out is compared with the whole model before it is handed out, so that a family of
    models whose upper layers need more than the states of layer k is refused.

    Args:
        folder: a saved model of HuBERT's kind.
        k: number of the layer whose states go in, 0 to the number of layers - 1.

    Returns:
        A float32 module in evaluation mode: ``module(states, mask)`` maps states (B, T, D) of
        layer k, padded at their ends, and mask (B, T), True on real rows, to the model's last
        hidden states (B, T, D); those of padding mean nothing.

    Raises:
        BadCall: this family cannot be cut there.
    """
    network = load_network(folder, UNUSED)
    kind, encoder = network.config.model_type, network.encoder
    width = int(network.config.hidden_size)
    upper = UpperSpeech(encoder, width)
    mask = torch.ones(2, 7, dtype=torch.bool)
    mask[1, 4:] = False
    seen: list[Tensor] = []
    hook = encoder.layers[k].register_forward_pre_hook(
        lambda module, given: seen.append(given[0].clone())
    )
    with torch.no_grad():
        given = torch.randn(2, 7, width, generator=torch.Generator().manual_seed(0))
        wanted = upper(given, mask)
        hook.remove()
        _cut(encoder, k)
        try:
            found = upper(seen[0], mask)
        except (AttributeError, TypeError, ValueError, RuntimeError) as error:
            raise BadCall(f"'{kind}' cannot be cut at layer {k}: {error}") from error
    off = float((found - wanted)[mask].abs().max() / wanted[mask].abs().max())
    if not off <= TOLERANCE:
        raise BadCall(
            f"models of the family '{kind}' cannot be cut at layer {k}: the layers above it give "
            f"other states than the whole model (off by {off:.2g} of the largest value)"
        )
    return upper.requires_grad_(True)


def _cut(encoder: Any, k: int) -> None:
    """Take away what lies below layer k, in place."""
    encoder.pos_conv_embed = _Zero()
    # The norm stands before the layers in the base models, behind the last in the large ones.
    if "Stable" not in type(encoder).__name__:
        encoder.layer_norm = nn.Identity()
    encoder.layers = nn.ModuleList(encoder.layers[k:])


class _Zero(nn.Module):
    def forward(self, states: Tensor) -> Tensor:
        return torch.zeros_like(states)
