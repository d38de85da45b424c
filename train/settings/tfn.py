"""Settings of TFN, tensor fusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ...cache.keys import ADDED_LATER
from .base import ModelSettings


@dataclass(frozen=True)
class Tfn(ModelSettings):
    """Tensor fusion: outer product of two or three modalities, 1 appended.

    Args:
        text_units, audio_units, vision_units: width of each modality's embedding.
        text_dropout, audio_dropout, vision_dropout: inside its subnet.
        post_units: width of the layers after the outer product.
        post_dropout: before those.
        projected: every modality's global embedding (its one row, or the mean of its rows) goes
            through one linear layer, where else text has an LSTM and the others three ReLU layers.
    """

    name: ClassVar[str] = "tfn"
    training: ClassVar[Mapping[str, Any]] = {"batch_size": 32, "lr": 5e-4, "patience": 8}

    text_units: int = 128
    audio_units: int = 32
    vision_units: int = 128
    text_dropout: float = 0.4
    audio_dropout: float = 0.4
    vision_dropout: float = 0.4
    post_units: int = 32
    post_dropout: float = 0.4
    projected: bool = field(default=False, metadata=ADDED_LATER)

    def reads(self, modality: str) -> str:
        """Text as a sequence, the others as means; all as means where they are projected."""
        return "sequence" if modality == "text" and not self.projected else "mean"

    def check(self, inputs: Mapping[str, str], tasks: Sequence[str]) -> None:
        """Two or three inputs of different modalities."""
        super().check(inputs, tasks)
        self.distinct(inputs, 2, 3)
