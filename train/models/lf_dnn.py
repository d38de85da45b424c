"""LF-DNN, late fusion: a deep network an input, joined before the prediction layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..seeds import Streams
from .blocks import Heads
from .late import LateFusion


class LfDnnNet(LateFusion):
    """Each input's mean through three ReLU layers; their outputs side by side to the predictors.

    Source:
        Yu et al. (2020), ACL, "CH-SIMS", whose text subnet in published code is an LSTM; here it
        is a deep network like the others, as FmlMSN's section 5.2 describes it. Widths and
        dropouts are those commonly used on CH-SIMS; the learning rate is ``Training``'s, as
        theirs (0.005) was tuned on test scores.
    """

    def build_fusion(
        self, settings: Any, widths: Sequence[int], sizes: Sequence[int], streams: Streams
    ) -> None:
        """A predictor a task."""
        units, dropout = settings.post_units, settings.post_dropout
        self.heads = Heads(sum(widths), units, dropout, sizes, streams)

    def fuse(self, embedded: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Scores (S, B, K) and the hidden layer (S, B, post_units)."""
        fused: tuple[Tensor, Tensor] = self.heads(torch.cat(list(embedded), dim=-1))
        return fused
