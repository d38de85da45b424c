"""Settings of MISA."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from .base import ModelSettings


@dataclass(frozen=True)
class Misa(ModelSettings):
    """What modalities share and what is each one's own, apart; a transformer joins them.

    Args:
        audio_hidden, vision_hidden: state of each direction of the two LSTM layers.
        units: columns of every subspace; a multiple of ``heads``.
        heads: of the transformer.
        attention_dropout: inside the transformer.
        dropout: inside the read-out.
        similarity_weight: of the shared subspaces' moment distance in the loss.
        difference_weight: of the overlap of subspaces that should differ.
        reconstruction_weight: of the error of rebuilding each modality from its two subspaces.
    """

    name: ClassVar[str] = "misa"
    training: ClassVar[Mapping[str, Any]] = {
        "batch_size": 64,
        "lr": 1e-4,
        "weight_decay": 5e-5,
        "clip": 1.0,
        "patience": 8,
    }

    audio_hidden: int = 32
    vision_hidden: int = 64
    units: int = 128
    heads: int = 2
    attention_dropout: float = 0.1
    dropout: float = 0.0
    similarity_weight: float = 1.0
    difference_weight: float = 0.3
    reconstruction_weight: float = 0.8

    def __post_init__(self) -> None:
        super().__post_init__()
        self.divides("heads", "units")

    def reads(self, modality: str) -> str:
        """Text as a mean, the others as rows."""
        return "mean" if modality == "text" else "sequence"

    def check(self, inputs: Mapping[str, str], tasks: Sequence[str]) -> None:
        """Two or three inputs of different modalities."""
        super().check(inputs, tasks)
        self.distinct(inputs, 2, 3)
