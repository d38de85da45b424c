"""Means over rectangles of a picture by a table of sums: the crops that MTCNN's nets look at."""

from __future__ import annotations

import numpy as np

from ...cache.records import Array


class SummedTable:
    """Means over rectangles of one picture, in the time of four look-ups each.

    Sums of bytes are exact integers, so the means are those of adaptive average pooling
    (facenet-pytorch's "area" resampling) to the last rounding, whatever the order of adding.
    """

    def __init__(self, image: Array) -> None:
        import cv2

        # Passes 2^31 on pictures over 8 megapixels; differences of wrapped integers stay right.
        self.sums = cv2.integral(image)  # (height + 1, width + 1, 3) int32
        self.height, self.width = image.shape[:2]

    def resized(self, height: int, width: int) -> Array:
        """The whole picture at another size, (height, width, 3) float32 in [0, 255]."""
        top, bottom = _bins(np.zeros(1, np.int64), np.array([self.height]), height)
        left, right = _bins(np.zeros(1, np.int64), np.array([self.width]), width)
        rows = self.sums[bottom[0]] - self.sums[top[0]]  # (height, width + 1, 3)
        sums = rows[:, right[0]] - rows[:, left[0]]
        area = np.outer(bottom[0] - top[0], right[0] - left[0])[:, :, None]
        result: Array = sums.astype(np.float32) / area.astype(np.float32)
        return result

    def crops(self, corners: Array, side: int) -> Array:
        """Rectangles at one size.

        Args:
            corners: (n, 4) integers left, top, right, bottom inside the picture, half open.
            side: height and width of what is returned.

        Returns:
            (n, side, side, 3) float32 in [0, 255].
        """
        left, right = _bins(corners[:, 0], corners[:, 2], side)  # (n, side)
        top, bottom = _bins(corners[:, 1], corners[:, 3], side)
        span = self.width + 1
        flat = self.sums.reshape(-1, 3)
        low, high = top[:, :, None] * span, bottom[:, :, None] * span
        west, east = left[:, None, :], right[:, None, :]
        sums = flat[high + east] - flat[high + west] - flat[low + east] + flat[low + west]
        area = ((bottom - top)[:, :, None] * (right - left)[:, None, :])[..., None]
        result: Array = sums.astype(np.float32) / area.astype(np.float32)
        return result


def _bins(start: Array, end: Array, n: int) -> tuple[Array, Array]:
    """First and last (half open) pixel of each of n bins of adaptive pooling, both (m, n)."""
    size = (end - start)[:, None]
    step = np.arange(n)
    first = step * size // n
    last = -((-(step + 1) * size) // n)
    return start[:, None] + first, start[:, None] + last
