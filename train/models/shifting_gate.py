"""MSG, the multimodal shifting gate: a modality's rows shifted by those of the other ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..seeds import Linear, Streams

#: Added to a shift's length where it divides.
XI = 1e-6


class ShiftingGate(nn.Module):
    """Add to each row what the other modalities say at its word, never more than a learned share.

    Of rows F and those F_m of each other modality m (the paper has two, MSG-T's are a and v)::

        g_m = ReLU(W_gm [F; F_m] + b_gm)             (4, 5)
        h   = g_a * (W_a F_a) + g_v * (W_v F_v) + b_h    (6)
        F*  = F + eta h                              (7)
        eta = min(|F| / (|h| + 1e-6) mu, 1)          (8)

    Lengths are those of a row; mu is learned. A modality that is not there has zero rows, and so
    adds nothing.

    Args:
        width: columns of the rows that are shifted.
        others: columns of each other modality.
        mu: where its learning starts.
        streams: random numbers of the seeds.

    Source:
        Lin and Hu (2024), IEEE Transactions on Multimedia 26, eq. 4-8. The biases of the gates are
        a number a column, where the paper calls them scalar.
    """

    def __init__(self, width: int, others: Sequence[int], mu: float, streams: Streams) -> None:
        super().__init__()
        self.gates = nn.ModuleList(Linear(width + other, width, streams) for other in others)
        self.maps = nn.ParameterList(
            nn.Parameter(streams.uniform((1, other, width), 1 / math.sqrt(other)))
            for other in others
        )
        self.bias = nn.Parameter(streams.uniform((1, 1, width), 1 / math.sqrt(width)))
        self.mu = nn.Parameter(torch.full((len(streams), 1, 1, 1), mu))

    def forward(self, rows: Tensor, others: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Rows (S, B, T, width), shifted, and the shift vectors h of the same shape.

        Args:
            rows: of the modality that is shifted.
            others: (S, B, T, D) each.
        """
        shift = self.bias.expand_as(rows)
        for gate, weight, x in zip(self.gates, self.maps, others, strict=True):
            opened = torch.relu(gate(torch.cat([rows, x], dim=-1)))
            shift = shift + opened * (x @ weight)
        lengths = [torch.linalg.vector_norm(x, dim=-1, keepdim=True) for x in (rows, shift)]
        eta = (lengths[0] / (lengths[1] + XI) * self.mu).clamp(max=1.0)
        return rows + eta * shift, shift
