"""Settings of SF, simple fusion."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ...cache.keys import ADDED_LATER
from .base import ModelSettings


@dataclass(frozen=True)
class Sf(ModelSettings):
    """Simple fusion: means of all inputs side by side, fully connected layers.

    Args:
        units: width of the hidden layers of each task's prediction block.
        dropout: before each layer.
        linear: each task is scored by one linear layer, so that what the inputs say adds up and
            never interacts.
    """

    name: ClassVar[str] = "sf"

    units: int = 128
    dropout: float = 0.1
    linear: bool = field(default=False, metadata=ADDED_LATER)
