"""Settings of AV-MC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ...cache.errors import BadCall
from .base import LETTERS, ModelSettings


@dataclass(frozen=True)
class AvMc(ModelSettings):
    """Late fusion that also learns from the sound, and the sight, of two utterances mixed.

    Args:
        text_units: of the layer on the text's mean.
        audio_hidden, vision_hidden: of the layer on their rows, and the state of each direction
            of the two LSTM layers after it.
        audio_dropout, vision_dropout: before those.
        text_post_units, audio_post_units, vision_post_units: hidden layers of the unimodal
            predictors; the first ones side by side are fused.
        post_units: hidden layers of the fused task's predictor.
        post_dropout: before every predictor.
        mix_weight: of the mixed utterances in the loss.
    """

    name: ClassVar[str] = "av-mc"
    unlabelled: ClassVar[bool] = True
    training: ClassVar[Mapping[str, Any]] = {"batch_size": 64, "lr": 5e-4, "patience": 8}

    text_units: int = 64
    audio_hidden: int = 32
    vision_hidden: int = 32
    audio_dropout: float = 0.1
    vision_dropout: float = 0.1
    text_post_units: int = 16
    audio_post_units: int = 8
    vision_post_units: int = 64
    post_units: int = 32
    post_dropout: float = 0.4
    mix_weight: float = 1.0

    def reads(self, modality: str) -> str:
        """Text as a mean, the others as rows."""
        return "mean" if modality == "text" else "sequence"

    def check(self, inputs: Mapping[str, str], tasks: Sequence[str]) -> None:
        """Two or three modalities; tasks A and V of those that are mixed, T or not, and M last."""
        super().check(inputs, tasks)
        self.distinct(inputs, 2, 3)
        self.unimodal_first(inputs, tasks)
        mixed = [LETTERS[m] for m in inputs.values() if m != "text" and LETTERS[m] not in tasks]
        if mixed:
            raise BadCall(
                f"model 'av-mc' on {', '.join(inputs)} mixes what has a task of its own: it needs "
                f"task {' and '.join(mixed)} too, got [{', '.join(tasks)}]. Without such labels, "
                "set 'labels: M'"
            )
