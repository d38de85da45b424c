"""Which of several faces is the main one, without jumping from picture to picture."""

from __future__ import annotations

import numpy as np

from ...cache.records import Array
from .mtcnn_cascade import Faces

#: A face goes on from the last main one if their boxes share this much (intersection over union).
SAME_FACE = 0.3
#: Another face takes over when its box has this many times the area of the one that goes on.
TAKES_OVER = 2.0
#: Seconds for which a main face that vanished is waited for.
HOLD = 1.0


class MainFace:
    """The main face of each picture, asked in order of time.

    It is the face that goes on from the last main face (the box that overlaps it most, at least
    ``SAME_FACE``, at most ``HOLD`` seconds later), as long as no other has more than
    ``TAKES_OVER`` times its area; else the largest face, which starts a new track.
    """

    def __init__(self) -> None:
        self.track = 0
        self._box: Array | None = None
        self._time = 0.0

    def among(self, faces: Faces, time: float) -> int:
        """Number of the main face among ``faces`` (at least one), seen at ``time`` seconds."""
        areas = box_areas(faces.boxes)
        if self._box is not None and time - self._time <= HOLD:
            shared = box_overlaps(self._box, faces.boxes)
            best = int(np.argmax(shared))
            if shared[best] >= SAME_FACE and areas.max() <= TAKES_OVER * areas[best]:
                return self._remember(faces, best, time)
        self.track += 1
        return self._remember(faces, int(np.argmax(areas)), time)

    def _remember(self, faces: Faces, number: int, time: float) -> int:
        self._box, self._time = faces.boxes[number], time
        return number


def box_areas(boxes: Array) -> Array:
    """Areas (n,) of boxes (n, 4), square pixels."""
    return np.asarray(np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1))


def box_overlaps(box: Array, boxes: Array) -> Array:
    """Intersection over union (n,) in [0, 1] of one box (4,) with each of (n, 4)."""
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[2:], boxes[:, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    return np.asarray(shared / (box_areas(box[None]) + box_areas(boxes) - shared))
