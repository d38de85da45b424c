"""Settings that both forms of hybrid-modal attention share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ...cache.errors import unknown
from .base import ModelSettings

#: Recurrent readers of sound and sight: s, in order; b, both ways.
RNNS = ("sLSTM", "bLSTM", "sGRU", "bGRU")
#: Which text MSG-A and MSG-V get: adjusted by the other modality, as the paper says, or by its own.
ADJUSTED_BY = ("other", "own")


@dataclass(frozen=True)
class Hybrid(ModelSettings):
    """Readers, shifting gates, adjustments, a fully connected layer, scores.

    Args:
        rnn: reader of sound and of sight, see ``RNNS``.
        audio_units: columns of its state for sound, one way; the paper's are those of COVAREP.
        vision_units: for sight; the paper's are those of Facet, 47 on MOSI, 35 on MOSEI.
        largest_shift: where every mu starts: length of a shift at most, in lengths of its row.
        shift_text: whether MSG-T is there.
        shift_audio: MSG-A.
        shift_vision: MSG-V.
        adjust: whether MBA is there.
        adjusted_by: ``other``: MSG-A gets the text that was adjusted by sight, MSG-V the one by
            sound, as the paper says; ``own``: the other way round. Of two modalities, text is
            always adjusted by the one that is there.
        adjusted_units: columns in which MBA compares tokens (d).
        text_kernel: tokens that MBA's convolution of text sees at once.
        audio_kernel: of sound.
        vision_kernel: of sight.
        fused_units: columns of the fully connected layer.
        post_dropout: before the scores.
        text_shift_weight: weight of MSG-T's shift vectors in the loss (alpha).
        audio_shift_weight: of MSG-A's (beta).
        vision_shift_weight: of MSG-V's (gamma).
        delta: size from which an entry of a shift vector counts in a line (Huber).
    """

    version: ClassVar[int] = 2  # 2: masked rows are read as zeros
    aligned: ClassVar[bool] = True
    #: The paper's Fig. 9.
    follows: ClassVar[tuple[str, ...]] = ("F1", "F1_has0", "F1_non0")
    positive: ClassVar[tuple[str, ...]] = ("largest_shift", "delta")

    rnn: str = "sLSTM"
    audio_units: int = 74
    vision_units: int = 47
    largest_shift: float = 1.0
    shift_text: bool = True
    shift_audio: bool = True
    shift_vision: bool = True
    adjust: bool = True
    adjusted_by: str = "other"
    adjusted_units: int = 32
    text_kernel: int = 3
    audio_kernel: int = 3
    vision_kernel: int = 3
    fused_units: int = 128
    post_dropout: float = 0.1
    text_shift_weight: float = 0.1
    audio_shift_weight: float = 0.1
    vision_shift_weight: float = 0.1
    delta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, choices in (("rnn", RNNS), ("adjusted_by", ADJUSTED_BY)):
            if getattr(self, name) not in choices:
                raise unknown(f"{name} of '{self.name}'", str(getattr(self, name)), choices)

    def reads(self, modality: str) -> str:
        """Rows of every modality."""
        return "sequence"

    def check(self, inputs: Mapping[str, str], tasks: Sequence[str]) -> None:
        """One to three inputs of different modalities."""
        super().check(inputs, tasks)
        self.distinct(inputs, 1, 3)
