"""Rows of several inputs of which row i is the same word or moment."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ..dataset import InputSpec
from .base import Batch


def aligned_rows(
    batch: Batch, inputs: Sequence[InputSpec]
) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Rows (S, B, T, D) and masks (S, B, T) of each input, T the same; what is real in any.

    Where an utterance lacks an input, its rows are zeros and masked.
    """
    longest = max(batch.values[spec.name].shape[2] for spec in inputs)
    rows, masks = [], []
    for spec in inputs:
        mask = batch.mask[spec.name]
        assert mask is not None
        values, missing = batch.values[spec.name], longest - mask.shape[2]
        if missing:  # the longest utterance lacks this input
            values = functional.pad(values, (0, 0, 0, missing))
            mask = functional.pad(mask, (0, missing))
        rows.append(values)
        masks.append(mask)
    return rows, masks, torch.stack(masks).any(dim=0)
