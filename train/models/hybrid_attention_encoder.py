"""Hybrid-modal attention inside BERT, XLNet and their kin, as the paper has it."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..seeds import Streams
from .aligned import rows_at, summary_place, with_first
from .copies import Copies
from .hybrid import HybridNet


class HybridAttentionEncoderNet(HybridNet):
    """MSG-T on cached states of layer k, the layers above k trained, MBA, MSG-A and MSG-V.

    The text is an ``hf-text`` node's with ``level: token`` and ``layer: k``, the paper's i (2; 0:
    the embeddings), so that what lies below k is run once and stays as it is. The layers above
    start from that model's weights, are trained at ``encoder_lr`` and saved with the fit; see
    ``MagEncoderNet``, which this follows. Sound and sight stand beside the tokens
    (``pool-tokens``): a word's sub-words repeat its row, [CLS] and [SEP] are zeros.

    The score is read at [CLS]: the first token in BERT and its kin, the last one in XLNet. There
    a reader in order (``sLSTM``, ``sGRU``) has read one row of zeros in BERT, and all rows in
    XLNet: sound and sight reach BERT's [CLS] through MSG-T and the layers above, and through the
    texts that MBA adjusts by them, by which MSG-A and MSG-V shift the state there. An utterance
    without text is one empty token.

    Source:
        Lin and Hu (2024); see ``HybridNet``. They train the embeddings and the layers below MSG-T
        too; ours stay as they are, unless k is 0, where only the embeddings do.
    """

    def build_upper(self, settings: Any, streams: Streams) -> int:
        """A copy of the encoder's layers for each seed."""
        text = next(spec for spec in self.inputs if spec.modality == "text")
        encoder = self.pretrained[text.name]
        self.encoder = Copies(encoder, streams)
        self.from_end = encoder.summary == "last"
        return text.width

    def rate(self, parameter: str, lr: float) -> float:
        """The encoder's own for its layers."""
        encoder_lr: float = self.settings.encoder_lr
        return encoder_lr if parameter.startswith("encoder.") else lr

    def upper(self, rows: Tensor, mask: Tensor) -> Tensor:
        """States (S, B, T, D) of layer k to those of the last one."""
        states: Tensor = self.encoder(rows, with_first(mask))
        return states

    def summed(self, rows: Tensor, real: Tensor) -> Tensor:
        """The row of [CLS]."""
        return rows_at(rows, summary_place(real, self.from_end))
