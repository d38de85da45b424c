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


def group_numbers(names: Sequence[str] | Array, least: int = 1) -> Array:
    """Number of each one's group, (n,), from 0; each is its own where there are fewer groups."""
    groups, numbers = np.unique(np.asarray(names), return_inverse=True)
    return numbers if least <= len(groups) < len(names) else np.arange(len(names))


def permutation(
    delta: Array, draws: int, generator: np.random.Generator, group: Array | None = None
) -> float:
    """Two-sided p of the mean of (n,) differences; see ``permutations``."""
    return float(permutations(delta[:, None], draws, generator, group)[0])


def permutations(
    deltas: Array, draws: int, generator: np.random.Generator, group: Array | None = None
) -> Array:
    """Two-sided p of the mean of each column of (n, m) differences by flips of signs; (m,).

    A group's differences keep or change their signs together, so they need not be independent of
    each other; those of two groups must be, and as likely of either sign where there is no
    difference. All columns see the same flips. Where there are no more ways to flip than ``draws``,
    each is taken once and p is exact.

    Args:
        deltas: differences; NaN where a column does not look at a row.
        draws: ways to flip that are drawn, each sign a coin toss.
        generator: random numbers.
        group: (n,) number of each row's group, from 0; None: every row is its own.

    Source:
        Good (2005), *Permutation, Parametric and Bootstrap Tests of Hypotheses*, section 3.2;
        (extreme + 1) / (draws + 1) of drawn ones after Phipson and Smyth (2010).
    """
    known = np.nan_to_num(deltas)
    if group is not None:
        sums = np.zeros((int(group.max()) + 1, known.shape[1]))
        np.add.at(sums, group, known)
        known = sums
    # two sums that are equal but for rounding are a tie, also where they are nearly 0
    observed = np.abs(known.sum(axis=0)) - 1e-12 * np.abs(known).sum(axis=0)
    extreme = np.zeros(known.shape[1])
    for signs in _flips(len(known), draws, generator):
        extreme += (np.abs(signs @ known) >= observed).sum(axis=0)
    every = exact(len(known), draws)
    p: Array = extreme / 2 ** len(known) if every else (extreme + 1) / (draws + 1)
    return p


def exact(n_groups: int, draws: int) -> bool:
    """Whether all ways to flip the signs of so many groups are taken, not a sample of them."""
    return n_groups <= math.log2(draws)


def smallest_p(n_groups: int, draws: int) -> float:
    """The smallest p that ``permutations`` can find: all flipped is as extreme as none flipped."""
    return 2 / 2**n_groups if exact(n_groups, draws) else 1 / (draws + 1)


def _flips(n_groups: int, draws: int, generator: np.random.Generator) -> Iterator[Array]:
    """Signs in blocks, (k, n_groups) of -1 and 1: all ways there are, or so many draws of them."""
    if not exact(n_groups, draws):
        for k in _blocks(draws, n_groups):
            tosses = generator.integers(0, 2, (k, n_groups), dtype=np.int8)
            yield tosses.astype(np.float64) * 2 - 1
        return
    first = 0
    for k in _blocks(2**n_groups, n_groups):
        ways = np.arange(first, first + k)[:, None] >> np.arange(n_groups)  # a bit for each group
        yield (ways & 1).astype(np.float64) * 2 - 1
        first += k


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
