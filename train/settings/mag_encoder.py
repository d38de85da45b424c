"""Settings of MAG inside a pretrained encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from .shifting import Shifting


@dataclass(frozen=True)
class MagEncoder(Shifting):
    """Tokens shifted by the sound and sight of their words, then the encoder's layers above.

    Its text is an ``hf-text`` node with ``level: token`` and ``layer: k``, whose model's layers
    above k are trained; the other inputs are ``pool-tokens`` nodes on the same tokens. In a
    recipe::

        text:  {extract: hf-text, model: FOLDER, layer: 0, dtype: float32}
        words: {extract: word-times, model: FOLDER}
        sound: {extract: covarep}
        heard: {extract: pool-tokens, on: {tokens: text, words: words, any: sound}}
        mag:   {fit: mag-encoder, on: [text, heard], tasks: [M], lr: 1e-3, encoder_lr: 2e-5}

    Args:
        largest_shift, shift_dropout, post_dropout: see ``Shifting``.
        encoder_lr: learning rate of the encoder's layers, 1e-5 to 5e-5 for BERT; ``lr`` is that of
            the gate and the scores. Both follow the same schedule.
    """

    name: ClassVar[str] = "mag-encoder"
    positive: ClassVar[tuple[str, ...]] = (*Shifting.positive, "encoder_lr")
    encoder: ClassVar[tuple[str, ...]] = ("text",)
    training: ClassVar[Mapping[str, Any]] = {
        "batch_size": 32,
        "patience": 8,
        "lr": 5e-5,
        "length": "longest",
    }

    encoder_lr: float = 5e-5
