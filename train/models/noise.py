"""Noise on the features of some utterances: augmented copies of what a corpus has too little of."""

from __future__ import annotations

import torch
from torch import Tensor

from ..seeds import Streams


def gaussian(rows: Tensor, copied: Tensor, mean: float, scale: float, streams: Streams) -> Tensor:
    """Rows of copies multiplied by alpha and shifted by beta, entry by entry; others as they are.

    alpha is drawn from N(1, 1), beta from N(mean, scale^2). Of an entry x, alpha x + beta is then
    drawn from N(x + mean, x^2 + scale^2), and that is what is done: one draw in the place of two.

    Args:
        rows: (S, B, T, D).
        copied: (S, B) bool, which utterances are copies.
        mean: of beta.
        scale: standard deviation of beta.
        streams: random numbers of the seeds.

    Source:
        Hwang and Kim (2024), "EASUM", WACV, section 3.3, after Li et al. (2021), "A Simple Feature
        Augmentation for Domain Generalization", ICCV.
    """
    made = rows.clone()
    for own, which, stream in zip(made, copied, streams.noise, strict=True):
        x = own[which]
        spread = x.square().add_(scale**2).sqrt_()
        own[which] = torch.empty_like(x).normal_(generator=stream).mul_(spread).add_(x).add_(mean)
    return made


def zeroed_tokens(rows: Tensor, copied: Tensor, share: float, streams: Streams) -> Tensor:
    """Token rows (S, B, T, D) of copies (S, B), each zeroed with probability ``share``.

    Source:
        Hwang and Kim (2024), "EASUM", WACV, section 3.3: "random temporal zero-out", of a share
        that they do not say.
    """
    made = rows.clone()
    for own, which, stream in zip(made, copied, streams.noise, strict=True):
        x = own[which]
        kept = torch.empty_like(x[..., :1]).bernoulli_(1 - share, generator=stream)
        own[which] = x * kept
    return made
