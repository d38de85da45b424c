"""Settings of EF-LSTM, early fusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from .base import ModelSettings


@dataclass(frozen=True)
class EfLstm(ModelSettings):
    """Early fusion: the word-aligned rows of all modalities side by side through LSTM layers.

    Args:
        units: width of the LSTM's state.
        layers: of the LSTM.
        dropout: between its layers and after the last one.
    """

    name: ClassVar[str] = "ef-lstm"
    aligned: ClassVar[bool] = True
    training: ClassVar[Mapping[str, Any]] = {"batch_size": 128, "lr": 5e-4, "patience": 8}

    units: int = 32
    layers: int = 3
    dropout: float = 0.5

    def reads(self, modality: str) -> str:
        """Rows of every modality."""
        return "sequence"

    def check(self, inputs: Mapping[str, str], tasks: Sequence[str]) -> None:
        """One to three inputs of different modalities."""
        super().check(inputs, tasks)
        self.distinct(inputs, 1, 3)
