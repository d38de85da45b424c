"""Settings of MulT, the multimodal transformer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from .base import ModelSettings


@dataclass(frozen=True)
class Mult(ModelSettings):
    """Crossmodal transformers between the rows of two or three modalities.

    Args:
        units: columns of each modality after its convolution; a multiple of ``heads``.
        heads: of the attention.
        layers: of each crossmodal encoder.
        self_layers: of the encoder within each modality.
        text_kernel, audio_kernel, vision_kernel: rows that the convolutions see.
        text_attention_dropout, audio_attention_dropout, vision_attention_dropout: of the weights,
            by the modality that answers; what a modality found and asks itself drops by
            ``text_attention_dropout`` whichever it is, as in the authors' code.
        text_dropout: before the text's convolution.
        embed_dropout: after the position encodings.
        relu_dropout, residual_dropout: inside and after the parts of a layer.
        output_dropout: inside the read-out.
        future_mask: hide what lies ahead in time, as the authors' code does.
    """

    name: ClassVar[str] = "mult"
    version: ClassVar[int] = 3
    training: ClassVar[Mapping[str, Any]] = {
        "batch_size": 16,
        "lr": 2e-3,
        "patience": 10,
        "clip": 0.6,
    }

    units: int = 50
    heads: int = 10
    layers: int = 2
    self_layers: int = 3
    text_kernel: int = 5
    audio_kernel: int = 1
    vision_kernel: int = 1
    text_attention_dropout: float = 0.2
    audio_attention_dropout: float = 0.1
    vision_attention_dropout: float = 0.0
    text_dropout: float = 0.3
    embed_dropout: float = 0.1
    relu_dropout: float = 0.0
    residual_dropout: float = 0.2
    output_dropout: float = 0.1
    future_mask: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.divides("heads", "units")

    def reads(self, modality: str) -> str:
        """Rows of every modality."""
        return "sequence"

    def check(self, inputs: Mapping[str, str], tasks: Sequence[str]) -> None:
        """Two or three inputs of different modalities."""
        super().check(inputs, tasks)
        self.distinct(inputs, 2, 3)
