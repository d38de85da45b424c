"""Dynamic time warping of tokens onto the frames that a decoder looks at while it writes them."""

from __future__ import annotations

import numpy as np

from ...cache.records import Array


def warp(costs: Array) -> Array:
    """First frame of each row on the cheapest monotonic path from corner to corner.

    A step goes to the next row, the next frame, or both; each cell on the path costs what stands
    in it.

    Args:
        costs: (n_rows, n_frames) finite; both at least 1.

    Returns:
        (n_rows,) int64, not decreasing, the first 0.

    Source:
        Sakoe and Chiba (1978), "Dynamic programming algorithm optimization for spoken word
        recognition", IEEE TASSP 26(1), symmetric steps without slope weights.
    """
    n_rows, n_frames = costs.shape
    total = np.empty((n_rows, n_frames))
    total[0] = np.cumsum(costs[0], dtype=np.float64)
    for row in range(1, n_rows):
        # Entering the row at frame k costs reach[k]; from there it is followed up to frame j:
        # min over k <= j of reach[k] + sum(costs[k : j + 1]), by running sums and minima.
        reach = total[row - 1].copy()
        np.minimum(reach[1:], total[row - 1, :-1], out=reach[1:])
        sums = np.cumsum(costs[row], dtype=np.float64)
        before = np.concatenate([[0.0], sums[:-1]])
        total[row] = sums + np.minimum.accumulate(reach - before)
    first = np.zeros(n_rows, np.int64)
    row, frame = n_rows - 1, n_frames - 1
    while row > 0:
        if frame == 0:
            row -= 1
            continue
        both, down, right = (
            total[row - 1, frame - 1],
            total[row - 1, frame],
            total[row, frame - 1],
        )
        if right < min(both, down):
            frame -= 1
            continue
        first[row] = frame
        row -= 1
        frame -= both <= down
    return first


def places(looks: Array, n_prompt: int, n_places: int, width: int) -> Array:
    """The place that a decoder has come to when it writes each token.

    Each head's attention is normalised over the tokens, smoothed by a running median, averaged
    over the heads, and warped. The prompt counts for the normalisation alone.

    Args:
        looks: (n_heads, n_rows, n_all) attention of each row, all of them prompt or text.
        n_prompt: rows that belong to the prompt.
        n_places: places that hold sound; those behind them are padding.
        width: places under the median, odd.

    Returns:
        (n_rows - n_prompt,) int64, not decreasing.

    Source:
        The authors' code behind Radford et al. (2022), whisper/timing.py.
    """
    looks = looks[:, :, :n_places].astype(np.float64)
    looks /= looks.sum(axis=2, keepdims=True)
    spread = looks.std(axis=1, keepdims=True)
    looks = (looks - looks.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1.0)
    return warp(-_smoothed(looks, width).mean(axis=0)[n_prompt:])


def _smoothed(looks: Array, width: int) -> Array:
    """Running median over the last axis, mirrored at its ends."""
    half = width // 2
    if not 0 < half < looks.shape[-1]:
        return looks
    padded = np.pad(looks, [(0, 0)] * (looks.ndim - 1) + [(half, half)], mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, width, axis=-1)
    medians: Array = np.median(windows, axis=-1)
    return medians
