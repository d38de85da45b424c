"""Settings of MLMF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from .lmf import Lmf


@dataclass(frozen=True)
class Mlmf(Lmf):
    """LMF with a task of its own for each modality, each weighted by ``task_weights``.

    Args:
        text_post_units, audio_post_units, vision_post_units: hidden layers of the unimodal
            predictors.
        post_dropout: before their first layer.

    Further arguments are those of ``Lmf``.
    """

    name: ClassVar[str] = "mlmf"
    training: ClassVar[Mapping[str, Any]] = {"batch_size": 128, "patience": 8}

    text_post_units: int = 16
    audio_post_units: int = 16
    vision_post_units: int = 32
    post_dropout: float = 0.4

    def check(self, inputs: Mapping[str, str], tasks: Sequence[str]) -> None:
        """Two or three modalities; tasks T, A, V of these first, that of all last."""
        super().check(inputs, tasks)
        self.distinct(inputs, 2, 3)
        self.unimodal_first(inputs, tasks)
