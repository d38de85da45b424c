"""COVAREP's rows: a feature on its own time base becomes a value every 10 ms, or none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ....cache.records import Array
from .signal import half_away, interpolated, row_samples

#: Seconds on either side of a row within which all samples are 0 where the row is silent.
SILENCE = 0.025


@dataclass(frozen=True, eq=False)
class CovarepRows:
    """Features every 10 ms.

    Args:
        values: (T, n_columns) float64, finite; 0 where a column has no value.
        mask: (T,) bool, False on rows that hold no measurement.
        columns: their names.
        samples: (T,) int, numbers of the samples (from 0) at which the rows stand.
        notes: what is not defined and why, for the user.
    """

    values: Array
    mask: Array
    columns: tuple[str, ...]
    samples: Array
    notes: tuple[str, ...]


class RowGrid:
    """The rows of one recording, and how values come to stand on them.

    Args:
        n_samples: of the recording.
        rate: Hz.
        compat: as the toolbox does; otherwise frames that have no value are left out.
    """

    def __init__(self, n_samples: int, rate: int, compat: bool) -> None:
        self.n_samples, self.rate, self.compat = n_samples, rate, compat
        self.samples = row_samples(n_samples, rate)

    def __len__(self) -> int:
        return len(self.samples)

    def frames(self, centres: Array, values: Array) -> Array:
        """Values of frames that cover the recording, (T,).

        In ``compat`` there is none before the first frame's centre and after the last's;
        otherwise these frames stand for the ends too, which lie inside their windows.
        """
        if self.compat:
            return self.inside(centres, values)
        real = np.isfinite(values)
        if not real.any():
            return np.full(len(self), np.nan)
        held: Array = np.interp(self.samples, centres[real], values[real])
        return held

    def inside(self, knots: Array, values: Array) -> Array:
        """Values between instants, (T,), NaN before the first and after the last."""
        if not self.compat:
            real = np.isfinite(values)
            knots, values = knots[real], values[real]
        return interpolated(self.samples, knots, values)

    def stretched(self, values: Array) -> Array:
        """Values of frames that are spread over the whole recording, wherever they come from."""
        knots = half_away(np.linspace(1, self.n_samples, len(values))) - 1
        return interpolated(self.samples, knots, values)

    def silent(self, signal: Array) -> Array:
        """Rows with nothing but zeros within 25 ms, (T,) bool."""
        reach = round(SILENCE * self.rate)
        counts = np.zeros(len(signal) + 1, np.int32)
        np.cumsum(signal != 0, out=counts[1:])
        first = np.maximum(self.samples - reach, 0)
        stop = np.minimum(self.samples + reach + 1, len(signal))
        quiet: Array = counts[stop] == counts[first]
        return quiet
