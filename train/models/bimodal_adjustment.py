"""MBA, masked bimodal adjustment: tokens look at each other as sound, or sight, suggests."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..seeds import Streams
from .attention import NEVER
from .mult import Convolution

#: Least length of a row where its root divides.
SHORTEST = 1e-6


class BimodalAdjustment(nn.Module):
    """Add to each token's row a mean over all tokens, weighed by how alike they are in two ways.

    Of text rows M and the rows F of another modality, both (N, ...)::

        M' = Conv1D(M),  F' = Conv1D(F)              (N, d)      (9, 10)
        each row divided by the root of its length               (11, 12)
        p_t = tanh(w_t M' M'^T + b_t),  p_v likewise  (N, N)     (13, 14)
        x = softmax(p_t + p_t * p_v + mask)                      (15, 16)
        M_tv = M + x M                                           (17)

    A padded token has no weight; where there is no token, nothing is added.

    Args:
        width: columns of text.
        other: columns of the other modality.
        units: the paper's d.
        kernels: rows that the convolutions see at once: text's, the other one's.
        streams: random numbers of the seeds.

    Source:
        Lin and Hu (2024), IEEE Transactions on Multimedia 26, eq. 9-17. W_pt and W_pv, "weight
        matrices for the dot products" of N tokens, are a number each here: a matrix over
        positions would tie the model to one number of tokens, and scores to padding. The norm of
        eq. 11-12 is taken of each row.
    """

    def __init__(
        self, width: int, other: int, units: int, kernels: tuple[int, int], streams: Streams
    ) -> None:
        super().__init__()
        self.text = Convolution(width, units, kernels[0], 0.0, streams)
        self.other = Convolution(other, units, kernels[1], 0.0, streams)
        numbers = (len(streams), 2, 1, 1, 1)  # text's, the other one's
        self.scale = nn.Parameter(torch.ones(numbers))
        self.shift = nn.Parameter(torch.zeros(numbers))

    def forward(self, text: Tensor, other: Tensor, mask: Tensor) -> Tensor:
        """Adjusted text rows (S, B, T, width).

        Args:
            text: (S, B, T, width), zeros where masked.
            other: (S, B, T, D), zeros there too.
            mask: (S, B, T), True on tokens.
        """
        return text + self.looks_at(text, other, mask) @ text

    def looks_at(self, text: Tensor, other: Tensor, mask: Tensor) -> Tensor:
        """Weights (S, B, T, T) of ``forward``: x of eq. 16, 0 where masked."""
        alike = torch.stack([_alike(self.text(text, mask)), _alike(self.other(other, mask))], 1)
        p_text, p_other = torch.tanh(self.scale * alike + self.shift).unbind(1)
        seen = mask.unsqueeze(2)
        scores = (p_text + p_text * p_other).masked_fill(~seen, NEVER)
        weights: Tensor = scores.softmax(dim=-1) * (seen & mask.unsqueeze(3))
        return weights


def _alike(rows: Tensor) -> Tensor:
    """Dot products (S, B, T, T) of rows (S, B, T, d), each over the root of its length."""
    length = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    scaled: Tensor = rows / length.clamp(min=SHORTEST).sqrt()
    return scaled @ scaled.transpose(-1, -2)
