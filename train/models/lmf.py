"""LMF, low-rank multimodal fusion: TFN's product by factors, never as large as the product."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ..seeds import Streams
from .blocks import LowRankLinear, with_one
from .late import LateFusion


class LmfNet(LateFusion):
    """Embed each modality, append 1, a linear map of the outer product whose weights have a rank.

    The scores are that map itself: no layers follow. A missing modality is the embedding
    (0, ..., 0, 1), so what is left is the product of the others.

    Source:
        Liu et al. (2018), "Efficient Low-rank Multimodal Fusion with Modality-Specific Factors",
        ACL, arXiv:1806.00064, eq. 7-9. Their published code adds weights over the ranks, which
        the factors can take up; it leaves the factors out of weight decay and gives them a
        learning rate of their own, we do neither. Text: LSTM and a linear layer; audio and vision:
        means and three ReLU layers.
    """

    def build_fusion(
        self, settings: Any, widths: Sequence[int], sizes: Sequence[int], streams: Streams
    ) -> None:
        """The factors."""
        lengths = [width + 1 for width in widths]
        self.product = LowRankLinear(lengths, sum(sizes), settings.rank, streams)

    def fuse(self, embedded: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Scores (S, B, K) and each rank's share of them (S, B, rank * K)."""
        shares = self.product.shares(*[with_one(x) for x in embedded])
        scores: Tensor = self.product.total(shares)
        return scores, shares
