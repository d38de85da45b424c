"""An input through the layers above those whose states it holds, and what stands for all of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..dataset import InputSpec
from ..seeds import Streams
from .aligned import rows_at, summary_place
from .base import Batch, masked
from .copies import Copies
from .mag import real_mean


@dataclass(frozen=True, eq=False)
class Embedded:
    """What is made of one input: S seeds, B utterances, T rows, H columns.

    Args:
        rows: (S, B, T, H), zeros where masked.
        mask: (S, B, T) bool, True on real rows.
        whole: (S, B, H), the global embedding; zeros where there is no real row.
    """

    rows: Tensor
    mask: Tensor
    whole: Tensor

    @property
    def present(self) -> Tensor:
        """Which utterances have this input, bool (S, B)."""
        return self.mask.any(dim=-1)


class InputEncoder(nn.Module):
    """Rows and global embedding of one input: those of its encoder, or as they are.

    The global embedding of text is the state of the token that sums it up ([CLS]); of sound and
    sight, and of what has no encoder, the mean over the real rows.

    Args:
        spec: the input, read as a sequence.
        encoder: the layers above its states, or None; see ``dataset.Input.encoder``.
        recompute: see ``Copies``.
        streams: random numbers of the seeds.
    """

    def __init__(self, spec: InputSpec, encoder: Any, recompute: bool, streams: Streams) -> None:
        super().__init__()
        self.name = spec.name
        self.copies = Copies(encoder, streams, recompute) if encoder is not None else None
        self.width = spec.width if encoder is None else int(encoder.width)
        self.stride = 1 if encoder is None else int(encoder.stride)
        self.summary = "mean" if encoder is None else encoder.summary

    def forward(self, batch: Batch) -> Embedded:
        """What is made of the input's rows (S, B, T, D)."""
        rows, mask = batch.values[self.name], batch.mask[self.name]
        assert mask is not None  # of a sequence there is one
        if self.copies is not None:
            step = torch.arange(mask.shape[-1], device=mask.device)
            nothing = ~mask.any(dim=-1, keepdim=True) & (step == 0)
            rows = self.copies(rows, mask | nothing)  # attention to no row at all has no value
            mask = self.copies.real(mask)
            rows = rows * mask.unsqueeze(-1)
        return Embedded(rows, mask, self._whole(rows, mask))

    def _whole(self, rows: Tensor, mask: Tensor) -> Tensor:
        if self.summary == "mean":
            return real_mean(rows, mask)
        place = summary_place(mask, self.summary == "last")
        return masked(rows_at(rows, place), mask.any(dim=-1))
