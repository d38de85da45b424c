"""Settings of MAG on cached text features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from .shifting import Shifting


@dataclass(frozen=True)
class Mag(Shifting):
    """Text rows shifted by the sound and sight of their words, then attention among them.

    Args:
        largest_shift, shift_dropout, post_dropout: see ``Shifting``.
        units: columns of the attention layers; a multiple of ``heads``.
        heads: of the attention.
        layers: of the attention.
        attention_dropout: inside them.
    """

    name: ClassVar[str] = "mag"
    training: ClassVar[Mapping[str, Any]] = {"batch_size": 32, "patience": 8}

    units: int = 128
    heads: int = 8
    layers: int = 1
    attention_dropout: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.divides("heads", "units")
