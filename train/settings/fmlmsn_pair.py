"""Settings of FmlMSN's first step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from .base import ModelSettings


@dataclass(frozen=True)
class FmlmsnPair(ModelSettings):
    """FmlMSN's first step for two modalities; defaults: CH-SIMS.

    Args:
        text_hidden: state of the text LSTM (the paper's thid).
        text_out: text embedding (tout).
        audio_hidden: the three audio layers and the audio embedding (ahid).
        vision_hidden: the same for vision (vhid).
        text_units, audio_units, vision_units: hidden layers of the unimodal predictors
            (tdim, adim, vdim).
        pair_units: hidden layers of the bimodal predictor (fdim), so the width of what is encoded.
        text_dropout, audio_dropout, vision_dropout, pair_dropout: (tdrp, adrp, vdrp, fdrp).
    """

    name: ClassVar[str] = "fmlmsn-pair"

    text_hidden: int = 128
    text_out: int = 128
    audio_hidden: int = 16
    vision_hidden: int = 128
    text_units: int = 64
    audio_units: int = 16
    vision_units: int = 64
    pair_units: int = 64
    text_dropout: float = 0.0
    audio_dropout: float = 0.0
    vision_dropout: float = 0.0
    pair_dropout: float = 0.0

    def reads(self, modality: str) -> str:
        """Text as a sequence, the others as means."""
        return "sequence" if modality == "text" else "mean"

    def check(self, inputs: Mapping[str, str], tasks: Sequence[str]) -> None:
        """Two modalities; the last task is the pair's, those before it are T, A or V of these."""
        super().check(inputs, tasks)
        self.distinct(inputs, 2, 2)
        self.unimodal_first(inputs, tasks)
