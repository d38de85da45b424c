"""Settings of hybrid-modal attention inside a pretrained encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ...cache.errors import BadCall
from .hybrid import Hybrid


@dataclass(frozen=True)
class HybridAttentionEncoder(Hybrid):
    """MSG-T on the tokens' states of layer k, the encoder's layers above it trained, MBA, MSG.

    Its text is an ``hf-text`` node with ``level: token`` and ``layer: k``, whose model's layers
    above k are trained; the other inputs are ``pool-tokens`` nodes on the same tokens. In a
    recipe::

        text:   {extract: hf-text, model: FOLDER, layer: 2, dtype: float32}
        words:  {extract: word-times, model: FOLDER}
        sound:  {extract: covarep}
        heard:  {extract: pool-tokens, on: {tokens: text, words: words, any: sound}}
        hybrid: {fit: hybrid-attention-encoder, on: [text, heard], tasks: [M]}

    Args:
        rnn, audio_units, vision_units, largest_shift, shift_text, shift_audio, shift_vision,
            adjust, adjusted_by, adjusted_units, text_kernel, audio_kernel, vision_kernel,
            fused_units, post_dropout, text_shift_weight, audio_shift_weight,
            vision_shift_weight, delta: see ``Hybrid``.
        encoder_lr: learning rate of the encoder's layers; ``lr`` is that of all else. Both follow
            the same schedule.
    """

    name: ClassVar[str] = "hybrid-attention-encoder"
    positive: ClassVar[tuple[str, ...]] = (*Hybrid.positive, "encoder_lr")
    encoder: ClassVar[tuple[str, ...]] = ("text",)
    training: ClassVar[Mapping[str, Any]] = {
        "batch_size": 48,
        "patience": 40,
        "lr": 2e-5,
        "optimizer": "adamw",
        "loss": "mse",
        "schedule": "linear",
        "warmup": 0.1,
        "length": "longest",
    }

    encoder_lr: float = 2e-5

    def check(self, inputs: Mapping[str, str], tasks: Sequence[str]) -> None:
        """Text, alone or with one or two other inputs of different modalities."""
        super().check(inputs, tasks)
        if "text" not in inputs.values():
            raise BadCall(
                f"model '{self.name}' trains layers of a text encoder, and none of its inputs is "
                "text: "
                + ", ".join(f"{name} ({modality})" for name, modality in inputs.items())
                + ". 'hybrid-attention' does without"
            )
