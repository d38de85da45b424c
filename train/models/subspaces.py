"""How alike the distributions of representations are, and how much they overlap, by seed.

S seeds, B utterances, D columns. ``real`` (S, B) says which utterances count: those that have the
modality.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor


def moment_distance(representations: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """Central moment discrepancy of each pair of representations, their mean over pairs.

    The L2 distance of the means, plus those of the central moments of orders 2 to 5. It is 0 for
    equal distributions. Entries are taken to lie in [0, 1], as after a sigmoid, so that no order
    needs scaling. A pair of which one is nowhere in a seed's batch adds nothing.

    Args:
        representations: two or more (S, B, D).
        real: (S, B) bool of each.

    Returns:
        (S,).

    Source:
        Zellinger et al. (2017), "Central Moment Discrepancy (CMD) for Domain-Invariant
        Representation Learning", ICLR, eq. 8, K = 5.
    """
    found = [_moments(x, own) for x, own in zip(representations, real, strict=True)]
    pairs = [
        torch.linalg.vector_norm(x - y, dim=-1).sum(dim=-1) * (both[0] & both[1])
        for (x, y), both in zip(
            combinations(found, 2),
            combinations([own.any(dim=1) for own in real], 2),
            strict=True,
        )
    ]
    return torch.stack(pairs).mean(dim=0)


def _moments(x: Tensor, real: Tensor) -> Tensor:
    """Mean and central moments of orders 2 to 5 of each column, (S, 5, D)."""
    share = _share(real)
    mean = (x * share).sum(dim=1, keepdim=True)
    apart = x - mean
    power, moments = apart, [mean.squeeze(1)]
    for _ in range(4):
        power = power * apart
        moments.append((power * share).sum(dim=1))
    return torch.stack(moments, dim=1)


def overlap(
    representations: Sequence[Tensor], real: Sequence[Tensor], pairs: Sequence[tuple[int, int]]
) -> Tensor:
    """How much pairs of representations say the same: 0 where their columns are orthogonal.

    Columns are centred over the batch, rows then brought to unit length (the length is held
    constant in the gradient); of the columns' products (D x D), the mean of the squares, summed
    over pairs.

    Args:
        representations: (S, B, D) each.
        real: (S, B) bool of each.
        pairs: numbers of the two that are compared.

    Returns:
        (S,).

    Source:
        Hazarika et al. (2020), MISA, eq. 8, with the mean over D x D that their published code
        takes. The sum of squares of X'Y is that of the products of XX' and YY', which are B x B.
    """
    products = []
    for x, own in zip(representations, real, strict=True):
        apart = (x - (x * _share(own)).sum(dim=1, keepdim=True)) * own.unsqueeze(-1)
        length = torch.linalg.vector_norm(apart, dim=-1, keepdim=True).detach()
        unit = apart / (length + 1e-6)
        products.append(unit @ unit.transpose(1, 2))  # (S, B, B)
    total = torch.stack([(products[i] * products[k]).sum(dim=(1, 2)) for i, k in pairs])
    return total.sum(dim=0) / representations[0].shape[-1] ** 2


def mean_square(error: Tensor, real: Tensor) -> Tensor:
    """Mean square of errors (S, B, D) over the columns and the utterances that count, (S,)."""
    return (error.square().mean(dim=-1, keepdim=True) * _share(real)).sum(dim=(1, 2))


def _share(real: Tensor) -> Tensor:
    """Weight of each utterance in a mean, (S, B, 1)."""
    return (real / real.sum(dim=1, keepdim=True).clamp(min=1)).unsqueeze(-1)
