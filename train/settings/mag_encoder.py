"""Settings of MAG inside a pretrained encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ...cache.errors import BadCall
from .base import ModelSettings


@dataclass(frozen=True)
class MagEncoder(ModelSettings):
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
        largest_shift: length of a shift at most, in lengths of its text row (beta).
        shift_dropout: after it.
        post_dropout: before the scores.
        encoder_lr: learning rate of the encoder's layers, 1e-5 to 5e-5 for BERT; ``lr`` is that of
            the gate and the scores. Both follow the same schedule.
    """

    name: ClassVar[str] = "mag-encoder"
    aligned: ClassVar[bool] = True
    encoder: ClassVar[str] = "text"
    training: ClassVar[Mapping[str, Any]] = {
        "batch_size": 32,
        "patience": 8,
        "lr": 5e-5,
        "length": "longest",
    }

    largest_shift: float = 1.0
    shift_dropout: float = 0.1
    post_dropout: float = 0.1
    encoder_lr: float = 5e-5

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("largest_shift", "encoder_lr"):
            if not getattr(self, name) > 0:
                raise BadCall(
                    f"setting '{name}' of '{self.name}' must be greater than 0, "
                    f"not {getattr(self, name)!r}"
                )

    def reads(self, modality: str) -> str:
        """Rows of every modality."""
        return "sequence"

    def check(self, inputs: Mapping[str, str], tasks: Sequence[str]) -> None:
        """Text and one or two other inputs of different modalities."""
        super().check(inputs, tasks)
        self.distinct(inputs, 2, 3)
        if "text" not in inputs.values():
            raise BadCall(
                f"model '{self.name}' shifts text, and none of its inputs is: "
                + ", ".join(f"{name} ({modality})" for name, modality in inputs.items())
            )
