"""Settings of fusion models whose encoders are trained with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from .base import ModelSettings
from .mult import Mult
from .sf import Sf
from .tfn import Tfn
from .trained_encoders import TrainedEncoders


@dataclass(frozen=True)
class Joint(TrainedEncoders):
    """Encoders of one to three modalities, trained together with the fusion of what they make.

    Its settings are those of the fusion and these. Inputs with a ``layer: k`` are trained above it;
    others (hand-crafted features, an encoder's last layer) are read as they are, normalised. Tasks:
    ``[M]`` alone (single-task), or unimodal ones first, each scored from its own modality alone
    (joint multi-task), weighted by ``task_weights``. In a recipe::

        words:  {extract: hf-text, model: FOLDER, layer: 0}
        speech: {extract: hf-speech, model: FOLDER, layer: 0}
        joint:  {fit: joint-sf, on: [words, speech], tasks: [T, A, M], task_weights: [1, 1, 1]}

    Args:
        encoder_lr, recompute: see ``TrainedEncoders``.
        alone_units: width of the two hidden layers of each unimodal prediction block.
        alone_dropout: before it.
    """

    every_encoder: ClassVar[bool] = False
    #: Settings of the fusion by itself.
    fusion: ClassVar[type[ModelSettings]]

    alone_units: int = 128
    alone_dropout: float = 0.1

    def fused(self) -> ModelSettings:
        """Settings of the fusion by itself."""
        own = [field.name for field in fields(self.fusion)]
        return self.fusion(**{name: getattr(self, name) for name in own})

    def check(self, inputs: Mapping[str, str], tasks: Sequence[str]) -> None:
        """Different modalities; tasks T, A, V of these first, that of all last."""
        super().check(inputs, tasks)
        self.distinct(inputs, 1, 3)
        self.unimodal_first(inputs, tasks)


@dataclass(frozen=True)
class JointSf(Joint, Sf):
    """SF on encoders that are trained with it: global embeddings side by side, layers."""

    name: ClassVar[str] = "joint-sf"
    training: ClassVar[Mapping[str, Any]] = TrainedEncoders.training
    fusion: ClassVar[type[ModelSettings]] = Sf


@dataclass(frozen=True)
class JointTfn(Joint, Tfn):
    """TFN on encoders that are trained with it: the outer product of their global embeddings."""

    name: ClassVar[str] = "joint-tfn"
    training: ClassVar[Mapping[str, Any]] = TrainedEncoders.training
    fusion: ClassVar[type[ModelSettings]] = Tfn


@dataclass(frozen=True)
class JointMult(Joint, Mult):
    """MulT on encoders that are trained with it: attention between their rows."""

    name: ClassVar[str] = "joint-mult"
    training: ClassVar[Mapping[str, Any]] = TrainedEncoders.training
    fusion: ClassVar[type[ModelSettings]] = Mult
