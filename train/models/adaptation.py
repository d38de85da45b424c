"""MAG, the multimodal adaptation gate: text rows shifted by the sound and sight of their words."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..seeds import Dropout, LayerNorm, Linear, Streams


class Displacement(nn.Module):
    """What the other modalities add to each text row, held back by gates and by its length.

    Of text Z and each other modality X: a gate ReLU(W [Z; X] + b) multiplies a linear map of X;
    these add up to H. Added is a H with a = min(|Z| / |H| * largest, 1). Where a modality is masked
    it adds nothing.

    Args:
        width: columns of text.
        others: columns of each other modality.
        largest: length of what is added at most, in lengths of its text row (the paper's beta).
        streams: random numbers of the seeds.

    Source:
        Rahman et al. (2020), "Integrating Multimodal Information in Large Pretrained
        Transformers", ACL, arXiv:1908.05787, eq. 1-4. Each linear map has a bias, as in their
        published code, where eq. 3 has one in all.
    """

    def __init__(self, width: int, others: Sequence[int], largest: float, streams: Streams) -> None:
        super().__init__()
        self.largest = largest
        self.gates = nn.ModuleList(Linear(width + other, width, streams) for other in others)
        self.shifts = nn.ModuleList(Linear(other, width, streams) for other in others)

    def shift(self, text: Tensor, others: Sequence[Tensor], masks: Sequence[Tensor]) -> Tensor:
        """What is added to text rows (S, B, T, width); others (S, B, T, D), masks (S, B, T)."""
        found = torch.zeros_like(text)
        for gate, shift, x, mask in zip(self.gates, self.shifts, others, masks, strict=True):
            opened = torch.relu(gate(torch.cat([text, x], dim=-1)))
            found = found + opened * shift(x) * mask.unsqueeze(-1)
        lengths = [torch.linalg.vector_norm(x, dim=-1, keepdim=True) for x in (text, found)]
        scale = (lengths[0] / (lengths[1] + 1e-6) * self.largest).clamp(max=1.0)
        made: Tensor = scale * found
        return made

    def forward(self, text: Tensor, others: Sequence[Tensor], masks: Sequence[Tensor]) -> Tensor:
        """Text rows (S, B, T, width), shifted; arguments as in ``shift``."""
        return text + self.shift(text, others, masks)


class AdaptationGate(Displacement):
    """The displacement, then a normalisation and dropout: the gate as MAG has it.

    Args:
        width, others, largest, streams: see ``Displacement``.
        dropout: after the normalisation.

    Source:
        Rahman et al. (2020), eq. 1-5; see ``Displacement``.
    """

    def __init__(
        self, width: int, others: Sequence[int], largest: float, dropout: float, streams: Streams
    ) -> None:
        super().__init__(width, others, largest, streams)
        self.normal = LayerNorm(width, streams)
        self.drop = Dropout(dropout, streams)

    def forward(self, text: Tensor, others: Sequence[Tensor], masks: Sequence[Tensor]) -> Tensor:
        """Text rows (S, B, T, width), shifted and normalised; arguments as in ``shift``."""
        done: Tensor = self.drop(self.normal(super().forward(text, others, masks)))
        return done
