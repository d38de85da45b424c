"""Settings of LMF, low-rank fusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from .base import ModelSettings


@dataclass(frozen=True)
class Lmf(ModelSettings):
    """Low-rank fusion: TFN's outer product of two or three modalities, by factors of a rank.

    Args:
        text_units, audio_units, vision_units: width of each modality's embedding.
        text_dropout, audio_dropout, vision_dropout: inside its subnet.
        rank: of the weights on the outer product.
    """

    name: ClassVar[str] = "lmf"
    training: ClassVar[Mapping[str, Any]] = {"batch_size": 64, "lr": 2e-3, "patience": 8}

    text_units: int = 64
    audio_units: int = 16
    vision_units: int = 64
    text_dropout: float = 0.2
    audio_dropout: float = 0.2
    vision_dropout: float = 0.2
    rank: int = 4

    def reads(self, modality: str) -> str:
        """Text as a sequence, the others as means."""
        return "sequence" if modality == "text" else "mean"

    def check(self, inputs: Mapping[str, str], tasks: Sequence[str]) -> None:
        """Two or three inputs of different modalities."""
        super().check(inputs, tasks)
        self.distinct(inputs, 2, 3)
