"""Settings of the models whose text is shifted by sound and sight (MAG)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ...cache.errors import BadCall
from .base import ModelSettings


@dataclass(frozen=True)
class Shifting(ModelSettings):
    """An adaptation gate, then something that reads the text, then scores.

    Args:
        largest_shift: length of a shift at most, in lengths of its text row (beta).
        shift_dropout: after it.
        post_dropout: before the scores.
    """

    aligned: ClassVar[bool] = True
    positive: ClassVar[tuple[str, ...]] = ("largest_shift",)

    largest_shift: float = 1.0
    shift_dropout: float = 0.1
    post_dropout: float = 0.1

    def reads(self, modality: str) -> str:
        """Rows of every modality."""
        return "sequence"

    def rows_of(self, inputs: Mapping[str, str]) -> str:
        """The text's."""
        return next(name for name, modality in inputs.items() if modality == "text")

    def check(self, inputs: Mapping[str, str], tasks: Sequence[str]) -> None:
        """Text and one or two other inputs of different modalities."""
        super().check(inputs, tasks)
        self.distinct(inputs, 2, 3)
        if "text" not in inputs.values():
            raise BadCall(
                f"model '{self.name}' shifts text, and none of its inputs is: "
                + ", ".join(f"{name} ({modality})" for name, modality in inputs.items())
            )
