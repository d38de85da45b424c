"""Settings of FmlMSN's second step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .base import ModelSettings


@dataclass(frozen=True)
class FmlmsnMeta(ModelSettings):
    """FmlMSN's second step: encoded pairs to scores; defaults: CH-SIMS.

    Args:
        units: width of the two hidden layers (the paper's fdim).
        dropout: before the first (fdrp).
    """

    name: ClassVar[str] = "fmlmsn-meta"

    units: int = 64
    dropout: float = 0.0
