"""FmlMSN's retraining rule: whether what a fit reads was worth reading (eq. 8)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..cache.errors import BadCall
from ..cache.records import Array
from ..train.training import number


@dataclass(frozen=True)
class Retrain:
    """When the fits that another one reads the encodings of are trained again.

    p is the mean over ``draws`` draws of the accuracy (sign of the main task, mean over the fit's
    seeds) on ``samples`` utterances of the validation split, drawn without putting back. Below
    ``below`` the fits upstream are trained again from other initial weights, at most ``rounds``
    times in all; where none reaches it, the round with the largest p is kept.

    Args:
        below: least p that is content.
        rounds: at most, the first one included.
        draws: M of eq. 8.
        samples: of each draw; all labelled ones where there are fewer.
        seed: of the draws; it counts towards the fingerprints of all rounds but the first, which
            is what it would be without the rule.

    Raises:
        BadCall: a setting is out of its range.

    Source:
        Peng et al. (2023), eq. 8 and section 5.5: five draws of ten samples, 74 %. They name no
        limit of the rounds.
    """

    below: float = 0.74
    rounds: int = 5
    draws: int = 5
    samples: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "below", number("'below' of 'retrain'", self.below))
        if not 0 <= self.below <= 1:
            raise BadCall(f"'below' of 'retrain' must lie in [0, 1], not {self.below!r}")
        for name, least in (("rounds", 1), ("draws", 1), ("samples", 1), ("seed", 0)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise BadCall(
                    f"'{name}' of 'retrain' must be a whole number of at least {least}, "
                    f"not {value!r}"
                )

    def drawn(self, n: int) -> list[Array]:
        """Numbers of the utterances of each draw, out of n."""
        rng = np.random.default_rng(self.seed)
        return [rng.choice(n, min(self.samples, n), replace=False) for _ in range(self.draws)]


@dataclass(frozen=True)
class Round:
    """One round of a fit's rule.

    Args:
        fit: whose rule it is.
        number: from 0.
        p: share of drawn validation samples whose sign is right (eq. 8).
        below: least p that is content.
        kept: whether it is the one that was kept.
    """

    fit: str
    number: int
    p: float
    below: float
    kept: bool = False


def validity(prediction: Array, truth: Array, drawn: list[Array], zero_is_positive: bool) -> float:
    """P of eq. 8: the mean over draws of the share of samples whose sign is right.

    Args:
        prediction: (S, n) scores of each seed.
        truth: (n,) labels.
        drawn: numbers of the samples of each draw.
        zero_is_positive: with which side 0 counts, as the corpus' Acc-2 has it: MOSI's with the
            positive one, CH-SIMS' with the negative one.
    """
    sign = np.greater_equal if zero_is_positive else np.greater
    right = sign(prediction, 0) == sign(truth, 0)  # (S, n)
    return float(np.mean([right[:, samples].mean() for samples in drawn]))
