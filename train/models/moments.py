"""How far apart the representations of several domains (corpora) lie, by their first moments.

S seeds, B utterances, D columns. See ``subspaces.moment_distance`` for MISA's other measure, of
central moments.
"""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional


def domain_distance(x: Tensor, domain: Tensor, n_domains: int) -> Tensor:
    """Moment distance of each pair of domains, its mean over those pairs that are in the batch.

    Of two domains i and j it is ``sum over k = 1, 2 of |E(x_i^k) - E(x_j^k)|``: x^k entry by entry,
    means over the domain's utterances, the L2 norm over columns. It is 0 where both have the same
    means and the same mean squares.

    Args:
        x: representations (S, B, D).
        domain: (S, B) int64, 0 to n_domains - 1: whose each utterance is.
        n_domains: how many there are, 1 or more.

    Returns:
        (S,), 0 for a seed with fewer than two domains in its batch.

    Source:
        Hwang and Kim (2024), "EASUM", WACV, section 3.3, after Peng et al. (2019), "Moment Matching
        for Multi-Source Domain Adaptation", ICCV. They divide by the pairs of all domains; a batch
        of ours may lack one.
    """
    own = functional.one_hot(domain, n_domains).to(x.dtype)  # (S, B, n)
    counts = own.sum(dim=1)  # (S, n)
    share = (own / counts.clamp(min=1).unsqueeze(1)).transpose(1, 2)  # (S, n, B)
    moments = torch.stack([share @ x, share @ x.square()], dim=2)  # (S, n, 2, D)
    total, n_pairs = x.new_zeros(len(x)), x.new_zeros(len(x))
    for i, j in combinations(range(n_domains), 2):
        both = (counts[:, i] > 0) & (counts[:, j] > 0)
        apart = torch.linalg.vector_norm(moments[:, i] - moments[:, j], dim=-1).sum(dim=-1)
        total, n_pairs = total + apart * both, n_pairs + both
    return total / n_pairs.clamp(min=1)
