"""What settings of models share that train pretrained encoders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from .base import LETTERS, ModelSettings


@dataclass(frozen=True)
class TrainedEncoders(ModelSettings):
    """What settings of models share that train pretrained encoders of any modality.

    The encoders' own settings stand with the nodes that store their states: which model, and how
    many of its layers stay as they are (``layer: 0``: all above the embeddings are trained;
    ``layer: 6`` of 12: the upper half is).

    Args:
        encoder_lr: learning rate of the encoders' layers; ``lr`` is that of all others. Both follow
            the same schedule.
        recompute: keep little of what happens inside an encoder and make it again for the
            gradients (gradient checkpointing): the same numbers in less memory and more time.
    """

    positive: ClassVar[tuple[str, ...]] = ("encoder_lr",)
    encoder: ClassVar[tuple[str, ...]] = tuple(LETTERS)
    training: ClassVar[Mapping[str, Any]] = {
        "batch_size": 8,
        "patience": 5,
        "lr": 1e-4,
        "length": "longest",
        "seeds": 1,
    }

    encoder_lr: float = 1e-5
    recompute: bool = False

    def reads(self, modality: str) -> str:
        """Rows of every modality."""
        return "sequence"
