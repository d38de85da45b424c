"""Settings of MFN, the memory fusion network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from .base import ModelSettings


@dataclass(frozen=True)
class Mfn(ModelSettings):
    """Memory fusion: an LSTM a modality, attention over their memories, a memory they share.

    Args:
        text_units, audio_units, vision_units: state of each modality's LSTM.
        memory_units: the shared memory.
        attention_units, attention_dropout: inside the attention over two rows' memories.
        proposal_units, proposal_dropout: inside what is proposed to the shared memory.
        gate_units: inside both gates of the shared memory.
        keep_dropout, write_dropout: inside the gate of what is kept, and of what is written.
        post_units, post_dropout: the layer before the scores.
    """

    name: ClassVar[str] = "mfn"
    aligned: ClassVar[bool] = True
    training: ClassVar[Mapping[str, Any]] = {"batch_size": 32, "lr": 1e-3, "patience": 8}

    text_units: int = 64
    audio_units: int = 16
    vision_units: int = 64
    memory_units: int = 64
    attention_units: int = 128
    attention_dropout: float = 0.2
    proposal_units: int = 128
    proposal_dropout: float = 0.0
    gate_units: int = 64
    keep_dropout: float = 0.2
    write_dropout: float = 0.7
    post_units: int = 64
    post_dropout: float = 0.7

    def reads(self, modality: str) -> str:
        """Rows of every modality."""
        return "sequence"

    def check(self, inputs: Mapping[str, str], tasks: Sequence[str]) -> None:
        """Two or three inputs of different modalities."""
        super().check(inputs, tasks)
        self.distinct(inputs, 2, 3)
