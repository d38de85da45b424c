"""Settings of hybrid-modal attention on cached text features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from .hybrid import Hybrid


@dataclass(frozen=True)
class HybridAttention(Hybrid):
    """Word-aligned rows of cached features, shifted by each other; attention among the words.

    In a recipe::

        text:   {extract: hf-text, model: FOLDER, level: word}
        words:  {extract: word-times, model: FOLDER}
        sound:  {extract: covarep}
        heard:  {extract: pool-words, on: {words: words, any: sound}}
        frozen: {fit: hybrid-attention, on: [text, heard], tasks: [M]}

    Args:
        rnn, audio_units, vision_units, largest_shift, shift_text, shift_audio, shift_vision,
            adjust, adjusted_by, adjusted_units, text_kernel, audio_kernel, vision_kernel,
            fused_units, post_dropout, text_shift_weight, audio_shift_weight,
            vision_shift_weight, delta: see ``Hybrid``.
        text_units: columns of the attention layers above MSG-T; a multiple of ``heads``.
        heads: of the attention.
        layers: of the attention.
        attention_dropout: inside them.
    """

    name: ClassVar[str] = "hybrid-attention"
    training: ClassVar[Mapping[str, Any]] = {
        "batch_size": 48,
        "optimizer": "adamw",
        "loss": "mse",
        "schedule": "linear",
        "warmup": 0.1,
    }

    text_units: int = 128
    heads: int = 8
    layers: int = 1
    attention_dropout: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.divides("heads", "text_units")
