"""Principal components of the training split's real rows: fitted in one pass, without labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..cache.errors import TrainingError
from .normalize import RunningMean

Array = npt.NDArray[Any]
#: Raise it when the same rows and settings give other components.
PCA_VERSION = 1


@dataclass(frozen=True, eq=False)
class Components:
    """The directions in which rows vary most, the first one most of all.

    Args:
        mean: (D,) float64, of the rows.
        directions: (k, D) float64, orthonormal; the largest entry of each is positive.
        variances: (k,) float64, along each direction, falling; n - 1 in the denominator.
        share: of the rows' whole variance that lies along them, (0, 1].
        n: rows that it was fitted on.
    """

    mean: Array
    directions: Array
    variances: Array
    share: float
    n: int


def project(mean: Array, directions: Array, values: Array, mask: Array) -> Array:
    """Rows (n, D) along the directions, (n, k) float32; 0 where the mask says that none is real.

    A product for each utterance alone, in float64: what else is projected does not matter.
    """
    done = np.zeros((len(values), len(directions)), np.float32)
    done[mask] = (np.asarray(values[mask], np.float64) - mean) @ directions.T
    return done


def fit_components(blocks: Iterable[Array], width: int, columns: int) -> Components:
    """The first principal components of blocks of real rows, each (n_rows, width).

    Mean and scatter (D x D) are kept in float64 and grow by a block at a time (``RunningMean``), so
    that memory does not grow with the corpus: for 4464 columns, at most some 400 MB.

    Raises:
        TrainingError: more columns are asked for than rows have, or than rows vary in.
    """
    if columns > width:
        raise TrainingError(
            f"{columns} principal components of rows of {width} columns were asked for: ask for "
            f"{width} at most"
        )
    running, scatter = RunningMean(width), np.zeros((width, width))
    for block in blocks:
        if not len(block):
            continue
        centred, delta, weight = running.add(np.asarray(block, np.float64))
        scatter += centred.T @ centred
        scatter += np.outer(delta * weight, delta)
    n = running.n
    if n <= columns:
        raise TrainingError(
            f"{columns} principal components need more than {columns} real rows in the training "
            f"split, it has {n}: ask for fewer columns, or give more training utterances"
        )
    if not np.isfinite(scatter).all():
        raise TrainingError("a real row of the training split is not finite, or far too large")
    return _components(n, running.mean, scatter, columns)


def _components(n: int, mean: Array, scatter: Array, columns: int) -> Components:
    from scipy.linalg import eigh

    width, whole = len(mean), float(np.trace(scatter))
    last = [width - columns, width - 1]  # eigenvalues rise
    values, vectors = eigh(scatter, subset_by_index=last, overwrite_a=True, check_finite=False)
    values, directions = values[::-1], np.ascontiguousarray(vectors[:, ::-1].T)
    # What rounding leaves along a direction in which the rows do not vary at all.
    eps = float(np.finfo(np.float64).eps)
    real = int((values > width * eps * max(values[0], eps * n * float(mean @ mean))).sum())
    if real < columns:
        raise TrainingError(
            f"{columns} principal components were asked for, but the {n} real rows of the "
            f"training split vary in {real} directions only: ask for {max(real, 1)} columns at most"
            if real
            else f"the {n} real rows of the training split are all the same: there is nothing to "
            "take principal components of. Look at the features it reads"
        )
    largest = np.abs(directions).argmax(axis=1)
    directions *= np.sign(directions[np.arange(columns), largest])[:, None]
    return Components(mean, directions, values / (n - 1), float(values.sum()) / whole, n)
