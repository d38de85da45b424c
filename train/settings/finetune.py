"""Settings of one modality's encoder, fine-tuned on that modality's own label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from .trained_encoders import TrainedEncoders


@dataclass(frozen=True)
class Finetune(TrainedEncoders):
    """A pretrained encoder trained on its own modality: global embedding, a prediction block.

    Its input is an ``hf-text`` node (``level: token``), an ``hf-speech`` node or a ``swin3d`` node
    with ``layer: k``, whose network's layers above k are trained. In a recipe::

        speech:  {extract: hf-speech, model: FOLDER, layer: 0}
        tuned_a: {fit: finetune, on: [speech], tasks: [A]}
        audio:   {encode: tuned_a, gives: rows}

    Args:
        encoder_lr, recompute: see ``TrainedEncoders``.
        units: width of the two hidden layers of the prediction block.
        dropout: before it.
    """

    name: ClassVar[str] = "finetune"

    units: int = 128
    dropout: float = 0.1

    def rows_of(self, inputs: Mapping[str, str]) -> str:
        """Its one input."""
        return next(iter(inputs))

    def check(self, inputs: Mapping[str, str], tasks: Sequence[str]) -> None:
        """One input, of text, audio or vision."""
        super().check(inputs, tasks)
        self.distinct(inputs, 1, 1)
