"""Settings of LF-DNN, late fusion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from .base import ModelSettings


@dataclass(frozen=True)
class LfDnn(ModelSettings):
    """Late fusion: a subnet an input, their outputs side by side, layers.

    Args:
        text_units, audio_units, vision_units, fused_units: width of the subnets by modality.
        text_dropout, audio_dropout, vision_dropout, fused_dropout: before a subnet.
        post_units: width of the layers after the subnets.
        post_dropout: before those.
    """

    name: ClassVar[str] = "lf-dnn"
    training: ClassVar[Mapping[str, Any]] = {"batch_size": 128, "patience": 8}

    text_units: int = 128
    audio_units: int = 32
    vision_units: int = 128
    fused_units: int = 128
    text_dropout: float = 0.3
    audio_dropout: float = 0.3
    vision_dropout: float = 0.3
    fused_dropout: float = 0.3
    post_units: int = 32
    post_dropout: float = 0.5
