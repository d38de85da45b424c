"""Which of a text's tokens is the masked one: what a model is to predict a word's valence from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...cache.errors import BadInput
from ...cache.records import ArraySpec, Features, FeatureSpec, no_times
from ..base import Extractor, Needs
from ..clip import Clip

COLUMNS = ("masked",)


@dataclass(frozen=True)
class MaskedTokens(Extractor):
    """For each token of a masked transcript whether it stands for the masked word.

    ``values`` (n_tokens, 1), without times: 1 for the mask token, else 0; a row a token, beside
    those of the node that fills ``tokens`` (``hf-text`` at its level ``token``, ``hf-tokens``),
    which reads the transcript that the node in ``masked`` (``mask-sentiment``) gives. Where that
    masked nothing, no token is marked.

    Source:
        KEBR (2024), eq. 14: the position of the masked word in the fused sequence.
    """

    name: ClassVar[str] = "masked-tokens"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = "marks"
    rows: ClassVar[str] = "a token"
    paper: ClassVar[str] = "KEBR (ACM Multimedia 2024)"
    peak_memory: ClassVar[int] = 64 << 20

    @property
    def needs(self) -> Needs:
        return Needs(features=("tokens", "masked"))

    @property
    def spec(self) -> FeatureSpec:
        return {"values": ArraySpec((1,), "float32", COLUMNS)}

    def extract(self, clip: Clip) -> Features:
        """Map tokens to marks.

        Raises:
            BadInput: no token stands for the masked word: the text was cut before it, or is not
                the masked one.
        """
        spans = self.upstream(clip, "tokens")["spans"].values  # (n_tokens, 2)
        start, end = self.upstream(clip, "masked")["spans"].values[0]
        # the mask is one character, whatever the word was
        marks = (spans[:, 0] <= start) & (spans[:, 1] == start + 1) & (end > start)
        if end > start and marks.sum() != 1:
            raise BadInput(
                f"'{clip.id}': {marks.sum()} of {len(spans)} tokens stand for the masked word at "
                f"character {start}: the text is cut before it ('max_length'), or 'tokens' does "
                "not read the masked transcript (on: {transcript: ...})"
            )
        return Features(marks[:, None].astype(np.float32), no_times(len(marks)), COLUMNS)
