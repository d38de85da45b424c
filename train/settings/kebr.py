"""Settings of KEBR, on cached text features or with a text encoder of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ...cache.errors import BadCall
from .base import MARKS, ModelSettings


@dataclass(frozen=True)
class Kebr(ModelSettings):
    """Sound and sight injected into the rows of text, held in balance by a cosine constraint.

    On text, audio and vision it predicts from the first position of the fused text (fine-tuning);
    where a node that marks the masked token stands beside them (``masked-tokens``), from that one
    (pre-training). The rows may be of different numbers.

    Args:
        layers: of the fusion (the paper's K).
        widening: hidden columns of a layer's feed-forward network, in widths of the text.
        dropout: inside that network, and before the scores.
        text_based: whether each layer hands the text on beside what it found (eq. 7); without, the
            text only asks: ablation C3.
        mcc_weight: of the cosine constraint in the loss; 0: none, ablation C4.
        scale: largest value of the constraint where both cosines are positive (the paper's s).
        penalty: angle penalty g: the larger, the less sound and sight the fused text is to hold.
    """

    name: ClassVar[str] = "kebr"
    version: ClassVar[int] = 2  # 2: a text whose masked token was cut away has no label
    training: ClassVar[Mapping[str, Any]] = {"batch_size": 32, "lr": 1e-4}

    layers: int = 3
    widening: int = 4
    dropout: float = 0.1
    text_based: bool = True
    mcc_weight: float = 1.0
    scale: float = 1.0
    penalty: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.scale > 0:
            raise BadCall(
                f"setting 'scale' of '{self.name}' must be greater than 0, not {self.scale!r}; for "
                "no constraint set mcc_weight: 0"
            )

    def reads(self, modality: str) -> str:
        """Rows of every input."""
        return "sequence"

    def check(self, inputs: Mapping[str, str], tasks: Sequence[str]) -> None:
        """Text, audio and vision; and at most one input that marks tokens."""
        super().check(inputs, tasks)
        marks = [name for name, modality in inputs.items() if modality == MARKS]
        self.distinct({name: m for name, m in inputs.items() if name not in marks}, 3, 3)
        if len(marks) > 1:
            raise BadCall(
                f"model '{self.name}' predicts from one marked token, and {len(marks)} inputs mark "
                f"some: {', '.join(marks)}"
            )


@dataclass(frozen=True)
class KebrEncoder(Kebr):
    """The same, and the layers of the text's encoder above those whose states are cached.

    Its text is an ``hf-text`` node with ``level: token`` and ``layer: k`` (0: all layers are
    trained). In a recipe::

        masked:   {extract: mask-sentiment}
        text:     {extract: hf-text, model: FOLDER, layer: 0, dtype: float32}
        hidden:   {extract: hf-text, model: FOLDER, layer: 0, dtype: float32,
                   on: {transcript: masked}}
        place:    {extract: masked-tokens, on: {tokens: hidden, masked: masked}}
        pretrain: {fit: kebr-encoder, on: [hidden, place, audio, vision], labels_from: masked,
                   tasks: [masked_valence]}
        kebr:     {fit: kebr-encoder, on: [text, audio, vision], tasks: [M], start: pretrain}

    Args:
        layers, widening, dropout, text_based, mcc_weight, scale, penalty: see ``Kebr``.
        encoder_lr: learning rate of the encoder's layers; ``lr`` is that of all others.
    """

    name: ClassVar[str] = "kebr-encoder"
    positive: ClassVar[tuple[str, ...]] = ("encoder_lr",)
    encoder: ClassVar[tuple[str, ...]] = ("text",)
    training: ClassVar[Mapping[str, Any]] = {**Kebr.training, "length": "longest"}

    encoder_lr: float = 5e-6
