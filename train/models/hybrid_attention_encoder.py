"""Hybrid-modal attention inside BERT, XLNet and their kin, as the paper has it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..seeds import Streams
from .copies import Copies
from .hybrid import HybridNet


class HybridAttentionEncoderNet(HybridNet):
    """MSG-T on cached states of layer k, the layers above k trained, MBA, MSG-A and MSG-V.

    The text is an ``hf-text`` node's with ``level: token`` and ``layer: k``, the paper's i (2; 0:
    the embeddings), so that what lies below k is run once and stays as it is. The layers above
    start from that model's weights, are trained at ``encoder_lr`` and saved with the fit; see
    ``MagEncoderNet``, which this follows. Sound and sight stand beside the tokens
    (``pool-tokens``): a word's sub-words repeat its row, [CLS] and [SEP] have none.

    The score is read at [CLS]: the first token in BERT and its kin, the last one in XLNet. There
    a reader in order (``sLSTM``, ``sGRU``) has heard nothing yet in BERT, and all in XLNet; sound
    and sight reach BERT's [CLS] through MSG-T and the layers above, and through MBA. An utterance
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
        step = torch.arange(mask.shape[-1], device=mask.device)
        states: Tensor = self.encoder(rows, mask | (step == 0))
        return states

    def summed(self, rows: Tensor, real: Tensor) -> Tensor:
        """The row of [CLS]."""
        step = torch.arange(real.shape[-1], device=real.device)
        last = (real * step).amax(dim=-1, keepdim=True)  # (S, B, 1)
        place = last if self.from_end else torch.zeros_like(last)
        return rows.gather(2, place.unsqueeze(-1).expand(-1, -1, -1, rows.shape[-1])).squeeze(2)
