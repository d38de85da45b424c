"""Filters along time for many columns at once, without a shift, in pieces.

They are those of COVAREP: a filter run forwards and backwards, and a median. COVAREP continues a
signal beyond its ends by turning it about its first and last value for the filter, by zeros for
the median. That leaves the very first and last row as they were, unfiltered; a ``mirrored``
signal has no such ends. A piece of a longer signal brings its neighbours along instead, and gives
the same numbers.
"""

from __future__ import annotations

import numba
import numpy as np

from ....cache.records import Array


def both_ways(
    columns: Array, taps: Array, first: bool, last: bool, mirrored: bool = False
) -> Array:
    """Filter with an odd number of symmetric taps forwards, then backwards.

    Args:
        columns: (n_rows, ...), rows in time.
        taps: (n_taps,).
        first: the rows begin where the signal does; it is continued there by ``n_taps - 1`` rows.
            Otherwise as many rows at the beginning are only neighbours, and get no result.
        last: likewise at the end.
        mirrored: continue the signal by its mirror image, not as COVAREP does.

    Returns:
        (n_results, ...); NaN stays within ``n_taps - 1`` rows.
    """
    n_edge = len(taps) - 1
    edges = (n_edge * first, n_edge * last)
    flat = columns.reshape(len(columns), -1)
    flat = np.pad(flat, (edges, (0, 0)), mode="reflect", reflect_type="even" if mirrored else "odd")
    once = _forwards(flat, taps)
    twice = _forwards(np.ascontiguousarray(once[::-1]), taps)[::-1]
    result: Array = twice.reshape(-1, *columns.shape[1:])
    return result


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _forwards(columns, taps):  # type: ignore[no-untyped-def]
    """Filter down the rows; those without enough before them get no result.

    The sum runs from the oldest row to the newest, so that a constant meets the same rounding
    as in a recursive filter: ones that were 1 - 1e-16 would have a deviation.
    """
    n_taps = len(taps)
    n_rows, n_columns = len(columns) - n_taps + 1, columns.shape[1]
    result = np.zeros((n_rows, n_columns))
    for row in range(n_rows):
        for tap in range(n_taps):
            for column in range(n_columns):
                result[row, column] += taps[n_taps - 1 - tap] * columns[row + tap, column]
    return result


def median_of_9(columns: Array, first: bool, last: bool, mirrored: bool = False) -> Array:
    """Median of each row and its four neighbours on either side.

    Args:
        columns: (n_rows, ...), rows in time.
        first: the rows begin where the signal does: four rows of zeros come before them.
            Otherwise four rows at the beginning are only neighbours, and get no result.
        last: likewise at the end.
        mirrored: continue the signal by its mirror image, not by zeros.

    Source:
        Paeth (1990), "Median finding on a 3x3 grid", Graphics Gems: triples are sorted once.
    """
    flat = columns.reshape(len(columns), -1)
    edges = ((4 * first, 4 * last), (0, 0))
    flat = np.pad(flat, edges, mode="reflect") if mirrored else np.pad(flat, edges)
    result: Array = _medians(flat).reshape(-1, *columns.shape[1:])
    return result


@numba.njit(nogil=True, error_model="numpy", inline="always")
def _sorted(a, b, c):  # type: ignore[no-untyped-def]
    low, high = min(a, b), max(a, b)
    return min(low, c), max(low, min(high, c)), max(high, c)


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"nsz"})
def _medians(rows):  # type: ignore[no-untyped-def]
    n_rows, n_columns = len(rows) - 8, rows.shape[1]
    result = np.empty((n_rows, n_columns))
    for row in range(n_rows):
        for i in range(n_columns):
            x = rows[row : row + 9]
            low_1, middle_1, high_1 = _sorted(x[0, i], x[1, i], x[2, i])
            low_2, middle_2, high_2 = _sorted(x[3, i], x[4, i], x[5, i])
            low_3, middle_3, high_3 = _sorted(x[6, i], x[7, i], x[8, i])
            low = max(low_1, low_2, low_3)
            _, middle, _ = _sorted(middle_1, middle_2, middle_3)
            high = min(high_1, high_2, high_3)
            result[row, i] = _sorted(low, middle, high)[1]
    return result
