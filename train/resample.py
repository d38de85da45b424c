"""Resampling: how far a score would move with other utterances, and with other signs.

All draws of all scores are one product of matrices: a drawn sample says how often each utterance
(or each whole group of them) is in it, and what a score needs of a sample are sums over that.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from .tallies import Tally

Array = npt.NDArray[Any]

#: Shares of the draws below and above a 95 % percentile interval.
TAILS = (0.025, 0.975)
#: Numbers of a block of draws; so much memory (8 bytes each) is taken at once.
BLOCK = 4_000_000


def permutation(delta: Array, draws: int, generator: np.random.Generator) -> float:
    """Two-sided p of the mean difference when each sign is a coin toss; the observed one counts."""
    return float(permutations(delta[:, None], draws, generator)[0])


def permutations(deltas: Array, draws: int, generator: np.random.Generator) -> Array:
    """As ``permutation``, of each column of (n, m) differences, by the same tosses; (m,).

    A row that a column does not look at is NaN there.

    Source:
        Good (2005), *Permutation, Parametric and Bootstrap Tests of Hypotheses*, section 3.2;
        (extreme + 1) / (draws + 1) after Phipson and Smyth (2010).
    """
    known = np.nan_to_num(deltas)
    observed = np.abs(known.sum(axis=0)) * (1 - 1e-12)
    extreme = np.ones(deltas.shape[1])
    for n in _blocks(draws, len(deltas)):
        signs = generator.integers(0, 2, (n, len(deltas)), dtype=np.int8).astype(np.float64) * 2 - 1
        extreme += (np.abs(signs @ known) >= observed).sum(axis=0)
    p: Array = extreme / (draws + 1)
    return p


def bootstrap(
    delta: Array, group: Array, draws: int, generator: np.random.Generator
) -> tuple[float, float]:
    """95 % percentile interval of the mean difference, drawing whole groups with replacement.

    Args:
        delta: (n,) differences.
        group: (n,) number of each one's group, from 0.
        draws: samples.
        generator: random numbers.

    Source:
        Efron and Tibshirani (1993), *An Introduction to the Bootstrap*, sections 13.3 and 8.
    """
    sums, counts = np.bincount(group, weights=delta), np.bincount(group)
    means = [(drawn @ sums) / (drawn @ counts) for drawn in counted(len(sums), draws, generator)]
    low, high = np.quantile(np.concatenate(means), TAILS)
    return float(low), float(high)


def bootstrap_scores(
    tallies: Sequence[Tally], group: Array, draws: int, generator: np.random.Generator
) -> Array:
    """Scores of the same drawn samples, (tallies, draws); each the mean over its seeds.

    As all see the same samples, the difference of two rows is that of paired scores. NaN where a
    sample leaves a score undefined.

    Args:
        tallies: scores as functions of sums, all over the same n utterances.
        group: (n,) number of each utterance's group, from 0.
        draws: samples.
        generator: random numbers.
    """
    n_groups = int(group.max()) + 1
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(n_groups))
    shapes = [(tally.parts.shape[0], tally.parts.shape[2]) for tally in tallies]
    ends = np.cumsum([seeds * k for seeds, k in shapes])
    flat = [t.parts.transpose(1, 0, 2).reshape(len(group), -1) for t in tallies]
    sums = np.add.reduceat(np.concatenate(flat, axis=1)[order], starts, axis=0)  # (groups, K)
    blocks = []
    for drawn in counted(n_groups, draws, generator):
        columns = np.split(drawn @ sums, ends[:-1], axis=1)
        blocks.append(
            [
                tally.finish(column.reshape(len(drawn), *shape)).mean(axis=1)
                for tally, column, shape in zip(tallies, columns, shapes, strict=True)
            ]
        )
    return np.concatenate(blocks, axis=1)


def interval(values: Array) -> tuple[float, float]:
    """95 % percentile interval of drawn scores (draws,); NaN where most draws are undefined."""
    known = values[np.isfinite(values)]
    if 2 * len(known) < len(values):
        return math.nan, math.nan
    low, high = np.quantile(known, TAILS)
    return float(low), float(high)


def counted(n_groups: int, draws: int, generator: np.random.Generator) -> Iterator[Array]:
    """Drawn samples in blocks: how often each group is in each one, (n, n_groups) float64."""
    for n in _blocks(draws, n_groups):
        drawn = generator.integers(0, n_groups, (n, n_groups))
        drawn += np.arange(n)[:, None] * n_groups
        counts = np.bincount(drawn.ravel(), minlength=n * n_groups)
        yield counts.reshape(n, n_groups).astype(np.float64)


def _blocks(draws: int, width: int) -> Iterator[int]:
    size = max(1, BLOCK // max(width, 1))
    for start in range(0, draws, size):
        yield min(size, draws - start)
