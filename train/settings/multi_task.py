"""What the settings of late fusion with unimodal tasks share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .base import ModelSettings


@dataclass(frozen=True)
class MultiTask(ModelSettings):
    """A late fusion model with a task of its own for each modality, by ``task_weights``.

    Args:
        text_post_units, audio_post_units, vision_post_units: hidden layers of the unimodal
            predictors.
    """

    text_post_units: int = 16
    audio_post_units: int = 16
    vision_post_units: int = 32

    def check(self, inputs: Mapping[str, str], tasks: Sequence[str]) -> None:
        """Two or three modalities; tasks T, A, V of these first, that of all last."""
        super().check(inputs, tasks)
        self.distinct(inputs, 2, 3)
        self.unimodal_first(inputs, tasks)
