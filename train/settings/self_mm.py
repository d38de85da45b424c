"""Settings of Self-MM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ...cache.errors import BadCall
from .base import ModelSettings


@dataclass(frozen=True)
class SelfMm(ModelSettings):
    """Late fusion beside unimodal tasks whose labels the model makes itself.

    Args:
        audio_hidden, vision_hidden: state of the LSTM.
        audio_units, vision_units: its embedding; text's is the mean as it comes.
        post_units: hidden layers of the fused task's predictor.
        text_post_units, audio_post_units, vision_post_units: of the unimodal ones.
        post_dropout, text_post_dropout, audio_post_dropout, vision_post_dropout: before them.
        largest: labels that are made stay within [-largest, largest]: 3 for MOSI and MOSEI.
    """

    name: ClassVar[str] = "self-mm"
    training: ClassVar[Mapping[str, Any]] = {"batch_size": 32, "weight_decay": 1e-3, "patience": 8}

    audio_hidden: int = 16
    vision_hidden: int = 64
    audio_units: int = 16
    vision_units: int = 32
    post_units: int = 128
    text_post_units: int = 64
    audio_post_units: int = 16
    vision_post_units: int = 32
    post_dropout: float = 0.0
    text_post_dropout: float = 0.1
    audio_post_dropout: float = 0.1
    vision_post_dropout: float = 0.0
    largest: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.largest > 0:
            raise BadCall(
                f"setting 'largest' of 'self-mm' must be greater than 0, not {self.largest!r}"
            )

    def reads(self, modality: str) -> str:
        """Text as a mean, the others as rows."""
        return "mean" if modality == "text" else "sequence"

    def check(self, inputs: Mapping[str, str], tasks: Sequence[str]) -> None:
        """Two or three inputs of different modalities, one task."""
        super().check(inputs, tasks)
        self.distinct(inputs, 2, 3)
        if len(tasks) > 1:
            raise BadCall(
                f"model 'self-mm' predicts one task and makes those of single modalities itself; "
                f"got [{', '.join(tasks)}]"
            )
