"""Each column to mean 0 and standard deviation 1, by the training split's real rows alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
#: A column whose standard deviation is below this share of its largest magnitude is constant but
#: for rounding (float16 keeps 3 digits, but then all rows are rounded alike).
CONSTANT = 1e-6


@dataclass(frozen=True, eq=False)
class Scaler:
    """``(values - mean) / scale`` column by column; stored in the checkpoint with the weights.

    Args:
        mean: (D,) float64.
        scale: (D,) float64, 1 where the column is constant.
    """

    mean: Array
    scale: Array

    @property
    def is_identity(self) -> bool:
        """Whether it changes nothing: passes over all rows are saved then."""
        return not self.mean.any() and bool((self.scale == 1).all())

    def __call__(self, values: Array) -> Array:
        """Normalise values (..., D); float32 stays float32."""
        if self.is_identity:
            return values
        dtype = values.dtype if values.dtype.kind == "f" else np.dtype(np.float64)
        done: Array = (values - self.mean.astype(dtype)) / self.scale.astype(dtype)
        return done

    def apply(self, values: Array) -> None:
        """The same in place, for values that are floats."""
        if self.is_identity:
            return
        values -= self.mean.astype(values.dtype)
        values /= self.scale.astype(values.dtype)


def identity(width: int) -> Scaler:
    """A scaler that changes nothing."""
    return Scaler(np.zeros(width), np.ones(width))


class RunningMean:
    """Mean of rows that come in blocks, and what sums of squares about it need (Chan et al., 1979).

    Kept in float64, so that neither memory nor rounding grow with the corpus.

    Attributes:
        n: rows so far.
        mean: (D,) of them.
    """

    def __init__(self, width: int) -> None:
        self.n, self.mean = 0, np.zeros(width)

    def add(self, rows: Array) -> tuple[Array, Array, float]:
        """Take in rows (n, D), n at least 1.

        Returns:
            The rows less their own mean (n, D), the step from the mean before to theirs (D,), and
            how much the square of that step adds to the sum of squares about the mean of all.
        """
        own = rows.mean(axis=0)
        delta, total = own - self.mean, self.n + len(rows)
        weight = self.n * len(rows) / total
        self.mean += delta * len(rows) / total
        self.n = total
        return rows - own, delta, weight


def fit_scaler(blocks: Iterable[Array], width: int) -> Scaler:
    """Mean and population standard deviation over blocks of real rows, each (n_rows, width).

    No rows at all: nothing is changed.
    """
    running = RunningMean(width)
    squares, largest = np.zeros(width), np.zeros(width)
    for block in blocks:
        if not len(block):
            continue
        rows = np.asarray(block, np.float64)
        centred, delta, weight = running.add(rows)
        squares += (centred**2).sum(axis=0) + delta**2 * weight
        np.maximum(largest, np.abs(rows).max(axis=0), out=largest)
    scale = np.sqrt(squares / max(running.n, 1))
    scale[scale <= CONSTANT * largest] = 1.0
    return Scaler(running.mean, scale)
