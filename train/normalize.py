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

    def __call__(self, values: Array) -> Array:
        """Normalise values (..., D); float32 stays float32."""
        dtype = values.dtype if values.dtype.kind == "f" else np.dtype(np.float64)
        done: Array = (values - self.mean.astype(dtype)) / self.scale.astype(dtype)
        return done

    def apply(self, values: Array) -> None:
        """The same in place, for values that are floats."""
        values -= self.mean.astype(values.dtype)
        values /= self.scale.astype(values.dtype)


def identity(width: int) -> Scaler:
    """A scaler that changes nothing."""
    return Scaler(np.zeros(width), np.ones(width))


def fit_scaler(blocks: Iterable[Array], width: int) -> Scaler:
    """Mean and population standard deviation over blocks of real rows, each (n_rows, width).

    Two numbers a block are kept (Chan et al., 1979), in float64, so that neither memory nor
    rounding grow with the corpus. No rows at all: nothing is changed.
    """
    n, mean, squares = 0, np.zeros(width), np.zeros(width)
    largest = np.zeros(width)
    for block in blocks:
        if not len(block):
            continue
        rows = np.asarray(block, np.float64)
        its_mean = rows.mean(axis=0)
        delta, total = its_mean - mean, n + len(rows)
        squares += ((rows - its_mean) ** 2).sum(axis=0) + delta**2 * n * len(rows) / total
        mean += delta * len(rows) / total
        np.maximum(largest, np.abs(rows).max(axis=0), out=largest)
        n = total
    scale = np.sqrt(squares / max(n, 1))
    scale[scale <= CONSTANT * largest] = 1.0
    return Scaler(mean, scale)
