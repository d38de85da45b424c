"""Rows of several inputs of which row i is the same word or moment, or that are brought to it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ..dataset import InputSpec
from ..rows import Rows, padded
from .base import Batch


def aligned_rows(
    batch: Batch, inputs: Sequence[InputSpec]
) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Rows (S, B, T, D) and masks (S, B, T) of each input, T the same; what is real in any.

    Where an utterance lacks an input, its rows are zeros and masked.
    """
    rows, masks, real = aligned(batch, inputs)
    return [padded(own) for own in rows], masks, real


def aligned(
    batch: Batch, inputs: Sequence[InputSpec]
) -> tuple[list[Tensor | Rows], list[Tensor], Tensor]:
    """As ``aligned_rows``, for layers that need no padding: see ``Batch.given``."""
    given = [batch.mask[spec.name] for spec in inputs]
    longest = max(mask.shape[2] for mask in given if mask is not None)  # of rows there is one
    rows, masks = [], []
    for spec, mask in zip(inputs, given, strict=True):
        assert mask is not None
        own, missing = batch.given(spec.name), longest - mask.shape[2]
        if missing:  # the longest utterance lacks this input
            own = (
                own.longer(missing)
                if isinstance(own, Rows)
                else functional.pad(own, (0, 0, 0, missing))
            )
            mask = functional.pad(mask, (0, missing))
        rows.append(own)
        masks.append(mask)
    return rows, masks, torch.stack(masks).any(dim=0)


def summary_place(mask: Tensor, from_end: bool) -> Tensor:
    """Where the token that sums a text up ([CLS]) stands: (S, B) of mask (S, B, T).

    The first row, or ``from_end`` (XLNet's kin) the last real one; 0 where none is real.
    """
    last = _length(mask).sub(1).clamp(min=0)
    return last if from_end else torch.zeros_like(last)


def rows_at(rows: Tensor, place: Tensor) -> Tensor:
    """One row of each utterance: (S, B, D) of rows (S, B, T, D) and numbers of rows (S, B)."""
    index = place[..., None, None].expand(-1, -1, 1, rows.shape[-1])
    return rows.gather(2, index).squeeze(2)


def with_first(mask: Tensor) -> Tensor:
    """A mask (S, B, T) with the first row real: where there is no text, one empty token."""
    step = torch.arange(mask.shape[-1], device=mask.device)
    return mask | (step == 0)


def spread(rows: Tensor, mask: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of any rate beside the tokens of a text: each token gets the mean of its share of them.

    Of L rows and n tokens, token i gets rows floor(i L / n) to ceil((i + 1) L / n) - 1, the masked
    ones among them left out. Nothing is known of when a token is spoken: the share takes them to
    follow each other evenly. As many rows as tokens stay as they are.

    Args:
        rows: (S, B, L, D); L is that of each utterance, up to its last real row.
        mask: (S, B, L).
        tokens: (S, B, T), True on tokens; n is that of each utterance, up to its last real one.

    Returns:
        Rows (S, B, T, D), and which of them are real, (S, B, T): a token that got some row.
    """
    length, n = (_length(which).unsqueeze(-1) for which in (mask, tokens))  # (S, B, 1)
    i = torch.arange(tokens.shape[-1], device=mask.device)
    place = torch.arange(mask.shape[-1], device=mask.device)
    n = n.clamp(min=1)
    start, end = i * length // n, ((i + 1) * length + n - 1) // n  # (S, B, T)
    own = (place >= start.unsqueeze(-1)) & (place < end.unsqueeze(-1)) & mask.unsqueeze(2)
    share = own / own.sum(dim=-1, keepdim=True).clamp(min=1)  # (S, B, T, L)
    return share.to(rows.dtype) @ rows, own.any(dim=-1)


def _length(mask: Tensor) -> Tensor:
    """Rows up to the last real one: mask (S, B, T) to (S, B)."""
    return (mask * torch.arange(1, mask.shape[-1] + 1, device=mask.device)).amax(dim=-1)
