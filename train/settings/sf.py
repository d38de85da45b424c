"""Settings of SF, simple fusion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .base import ModelSettings


@dataclass(frozen=True)
class Sf(ModelSettings):
    """Simple fusion: means of all inputs side by side, fully connected layers.

    Args:
        units: width of the hidden layers of each task's prediction block.
        dropout: before each layer.
    """

    name: ClassVar[str] = "sf"

    units: int = 128
    dropout: float = 0.1
