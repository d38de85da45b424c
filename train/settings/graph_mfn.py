"""Settings of Graph-MFN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from .base import ModelSettings


@dataclass(frozen=True)
class GraphMfn(ModelSettings):
    """MFN with a graph of all subsets of the modalities in place of its attention.

    Args:
        text_units, audio_units, vision_units: state of each modality's LSTM.
        memory_units: the shared memory.
        node_units: what each vertex of the graph says.
        inner_units: hidden layer of each vertex, and of what sets the edges' efficacies.
        proposal_units, proposal_dropout: inside what is proposed to the shared memory.
        gate_units: inside both gates of the shared memory.
        keep_dropout, write_dropout: inside the gate of what is kept, and of what is written.
        post_units, post_dropout: the layer before the scores.
    """

    name: ClassVar[str] = "graph-mfn"
    aligned: ClassVar[bool] = True
    training: ClassVar[Mapping[str, Any]] = {
        "batch_size": 64,
        "lr": 5e-4,
        "weight_decay": 1e-3,
        "patience": 8,
    }

    text_units: int = 256
    audio_units: int = 32
    vision_units: int = 256
    memory_units: int = 64
    node_units: int = 128
    inner_units: int = 100
    proposal_units: int = 256
    proposal_dropout: float = 0.5
    gate_units: int = 32
    keep_dropout: float = 0.2
    write_dropout: float = 0.7
    post_units: int = 256
    post_dropout: float = 0.2

    def reads(self, modality: str) -> str:
        """Rows of every modality."""
        return "sequence"

    def check(self, inputs: Mapping[str, str], tasks: Sequence[str]) -> None:
        """Two or three inputs of different modalities."""
        super().check(inputs, tasks)
        self.distinct(inputs, 2, 3)
