"""Settings of EASUM's second phase, the domain-specific model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ...cache.errors import BadCall
from .base import SOFT
from .easum import Easum


@dataclass(frozen=True)
class EasumSpecific(Easum):
    """One corpus' model, whose other head learns the soft labels of the domain-general one.

    In a recipe, below what ``EasumGeneral`` shows::

        words: {extract: hf-text, model: DEBERTA, layer: 0, dtype: float32, max_length: 40,
                long: truncate}
        mosi:  {fit: easum-specific, on: [words, audio, vision, soft], tasks: [M], start: general,
                corpora: [mosi]}

    Args:
        layers, feature_units, audio_rows, vision_rows, largest_shift, units, heads,
            attention_dropout, post_dropout: see ``Easum``. The paper's ``layers`` are 8 for
            sentiment and 3 for emotions.
        soft_weight: of the divergence from the soft labels in the loss (eta). The paper's are 0.5
            on MOSI and MOSEI, 0.1 on IEMOCAP, 1 on MELD; 0 is its "w/o SPL", which leaves out the
            head that would learn them.
    """

    name: ClassVar[str] = "easum-specific"
    version: ClassVar[int] = 2  # 2: without soft labels where they have no weight
    starts_encoders: ClassVar[bool] = False  # ConvBERT there, DeBERTa here

    soft_weight: float = 0.5

    def check(self, inputs: Mapping[str, str], tasks: Sequence[str]) -> None:
        """As ``Easum``; at most one input of soft labels."""
        super().check(inputs, tasks)
        soft = [name for name, modality in inputs.items() if modality == SOFT]
        if len(soft) > 1:
            raise BadCall(
                f"model '{self.name}' learns the soft labels of one model, got {', '.join(soft)}"
            )
