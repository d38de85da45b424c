"""Settings of a network on one input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ...cache.errors import BadCall
from .base import ModelSettings


@dataclass(frozen=True)
class Unimodal(ModelSettings):
    """One input's mean over its real rows, hidden layers, one score a task.

    Args:
        units: width of the two hidden layers.
        dropout: before each layer.
    """

    name: ClassVar[str] = "unimodal"

    units: int = 64
    dropout: float = 0.1

    def check(self, inputs: Mapping[str, str], tasks: Sequence[str]) -> None:
        """One input, of any modality."""
        super().check(inputs, tasks)
        if len(inputs) != 1:
            raise BadCall(f"model 'unimodal' needs one input, got {', '.join(inputs)}")
