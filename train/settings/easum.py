"""Settings that both phases of EASUM share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ...cache.errors import BadCall
from .base import SOFT, ModelSettings


@dataclass(frozen=True)
class Easum(ModelSettings):
    """Text shifted by sound and sight, layers above it, a linear head a task.

    Its text is an ``hf-text`` node. With ``level: token``, ``layer: k`` and ``dtype: float32`` the
    model's layers above k are trained, the lowest ``layers`` of them (ConvBERT in the first phase,
    DeBERTa in the second, k = 0); with ``layer: last`` its rows are read as they are, by small
    layers from random weights. Sound and sight may have rows of any rate, and come from several
    nodes each, as of corpora that have features of others' making: each node's columns have a map
    of their own, and beside a token the first node counts that has a real row there.

    Args:
        layers: above the text's rows.
        feature_units: columns that sound and sight are mapped to.
        audio_rows: rows of sound that are read, the first ones.
        vision_rows: of sight.
        largest_shift: length of a shift at most, in lengths of its text row (gamma).
        units: columns of layers of its own; a multiple of ``heads``.
        heads: of their attention.
        attention_dropout: inside layers of its own.
        post_dropout: before the heads.
    """

    encoder: ClassVar[tuple[str, ...]] = ("text",)
    every_encoder: ClassVar[bool] = False
    training: ClassVar[Mapping[str, Any]] = {
        "batch_size": 48,
        "patience": 8,
        "lr": 1e-5,
        "optimizer": "adamw",
        "weight_decay": 0.01,
        "loss": "mse",
        "length": "longest",
    }
    positive: ClassVar[tuple[str, ...]] = ("largest_shift",)

    layers: int = 8
    feature_units: int = 64
    audio_rows: int = 157
    vision_rows: int = 32
    largest_shift: float = 1.0
    units: int = 128
    heads: int = 8
    attention_dropout: float = 0.1
    post_dropout: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.divides("heads", "units")

    def reads(self, modality: str) -> str:
        """Rows, but for soft labels."""
        return "mean" if modality == SOFT else "sequence"

    def check_encoders(self, trained: Sequence[str], inputs: Iterable[str]) -> None:
        """The text may come without layers: then the model has some of its own."""

    def check(self, inputs: Mapping[str, str], tasks: Sequence[str]) -> None:
        """One input of text, alone or with any of sound and sight."""
        super().check(inputs, tasks)
        read = {name: modality for name, modality in inputs.items() if modality != SOFT}
        once = {modality: name for name, modality in read.items() if modality != "text"}
        texts = [name for name, modality in read.items() if modality == "text"]
        self.distinct({name: read[name] for name in (*texts, *once.values())}, 1, 3)
        if "text" not in read.values():
            raise BadCall(
                f"model '{self.name}' shifts text, and none of its inputs is: "
                + ", ".join(f"{name} ({modality})" for name, modality in inputs.items())
            )
