"""Where a clip is cut: neighbouring pictures whose colours differ nearly everywhere at once."""

from __future__ import annotations

from collections import deque

import numpy as np

from ...cache.records import Array

#: Pictures are looked at in this many blocks a side, each by a histogram of its colours.
BLOCKS = 4
#: Levels of red, green and blue in a histogram.
LEVELS = 4
#: Pixels a side to which a picture is thinned out.
SIDE = 64
#: Share of the pixels that change their colour at a cut, in the median block.
CHANGED = 0.5
#: A cut changes this many times more than the pictures just before it did.
SUDDEN = 3.0
#: Changes just before that are remembered.
REMEMBERED = 5


class Shots:
    """Numbers the shots of pictures that are asked in order of time.

    A cut is where the median block of ``BLOCKS`` x ``BLOCKS`` changes the colour of more than
    ``CHANGED`` of its pixels from one picture to the next, and ``SUDDEN`` times more than in the
    pictures before. Somebody who moves changes some blocks, a camera that turns changes all of
    them in every picture; a fade is no cut.
    """

    def __init__(self) -> None:
        self.number = 0
        self._last: Array | None = None
        self._changes: deque[float] = deque(maxlen=REMEMBERED)

    def see(self, image: Array) -> int:
        """Number of the shot, from 0, to which the next picture (height, width, 3) belongs."""
        seen = histograms(image)
        if self._last is not None:
            change = float(np.median(np.abs(seen - self._last).sum(axis=1)) / 2)
            usual = float(np.mean(self._changes)) if self._changes else 0.0
            if change > CHANGED and change > SUDDEN * usual:
                self.number += 1
                self._changes.clear()
            else:
                self._changes.append(change)
        self._last = seen
        return self.number


def histograms(image: Array) -> Array:
    """Share of each colour in each block, (BLOCKS^2, LEVELS^3) float64, rows sum to 1."""
    height, width = image.shape[:2]
    rows = (np.arange(SIDE) * height) // SIDE
    columns = (np.arange(SIDE) * width) // SIDE
    small = image[rows][:, columns].astype(np.int64) * LEVELS // 256  # (SIDE, SIDE, 3)
    colour = (small[..., 0] * LEVELS + small[..., 1]) * LEVELS + small[..., 2]
    place = np.arange(SIDE) * BLOCKS // SIDE
    block = place[:, None] * BLOCKS + place[None]
    counts = np.bincount((block * LEVELS**3 + colour).ravel(), minlength=BLOCKS**2 * LEVELS**3)
    return np.asarray(counts.reshape(BLOCKS**2, -1) / (SIDE // BLOCKS) ** 2)
