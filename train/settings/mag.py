"""Settings of MAG on cached text features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ...cache.errors import BadCall
from .base import ModelSettings


@dataclass(frozen=True)
class Mag(ModelSettings):
    """Text rows shifted by the sound and sight of their words, then attention among them.

    Args:
        largest_shift: length of a shift at most, in lengths of its text row (beta).
        shift_dropout: after it.
        units: columns of the attention layers; a multiple of ``heads``.
        heads: of the attention.
        layers: of the attention.
        attention_dropout: inside them.
        post_dropout: before the scores.
    """

    name: ClassVar[str] = "mag"
    aligned: ClassVar[bool] = True
    training: ClassVar[Mapping[str, Any]] = {"batch_size": 32, "patience": 8}

    largest_shift: float = 1.0
    shift_dropout: float = 0.1
    units: int = 128
    heads: int = 8
    layers: int = 1
    attention_dropout: float = 0.1
    post_dropout: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.divides("heads", "units")
        if not self.largest_shift > 0:
            raise BadCall(
                f"setting 'largest_shift' of '{self.name}' must be greater than 0, "
                f"not {self.largest_shift!r}"
            )

    def reads(self, modality: str) -> str:
        """Rows of every modality."""
        return "sequence"

    def check(self, inputs: Mapping[str, str], tasks: Sequence[str]) -> None:
        """Text and one or two other inputs of different modalities."""
        super().check(inputs, tasks)
        self.distinct(inputs, 2, 3)
        if "text" not in inputs.values():
            raise BadCall(
                f"model '{self.name}' shifts text, and none of its inputs is: "
                + ", ".join(f"{name} ({modality})" for name, modality in inputs.items())
            )
