"""The lower face of every track, grey, as active speaker networks were trained to see it.

These crops are the authors' to the pixel (but for the lossy video that they write in between):
whole pixels of the picture, brought to 224 x 224 by a bilinear map, and the middle 112 x 112 of
that. ``crops.py`` cuts more exactly, between pixels and without aliasing, which is another input
than these networks know.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ...cache.records import Array, Features
from ..clip import Clip
from .chosen import column, one_track, track_numbers

#: Pictures a second.
RATE = 25
#: The window is this much wider than the face, as a share of half the face's longer side.
SCALE = 0.40
#: Grey of what lies beyond the picture's edge.
BEYOND = 110
#: Side of the whole window in pixels, and of its middle that is used.
WHOLE, SIDE = 224, 112
#: Pictures over which the median of a face's place is taken.
MEDIAN = 13
#: Seconds by which a time may miss the step of its grid through rounding.
ROUNDING = 1e-6


class Piece(NamedTuple):
    """Successive crops of one track.

    Args:
        track: its number.
        first: step of the first crop: that of time ``first / RATE``.
        faces: (n, 112, 112) uint8 grey.
    """

    track: int
    first: int
    faces: Array


@dataclass(eq=False)
class FacePlaces:
    """Where one face is at each step of the grid, smoothed; and its crops that wait.

    Args:
        first: step at which the track begins.
        middles: (n, 2) middle of the box in pixels.
        halves: (n,) half of the box's longer side, pixels.
    """

    first: int
    middles: Array
    halves: Array
    waiting: list[Array] = field(default_factory=list)

    @property
    def end(self) -> int:
        """Step at which the track is over."""
        return self.first + len(self.halves)


def face_places(track: Features) -> FacePlaces:
    """Where the face of one track is at each step at 25 Hz.

    Between the rows of a track its box lies on the straight way from one to the other. Ends are
    as the authors have them: beyond a track's ends the median meets zeros, so that there it is
    the smallest of the values that it meets. Tracks of less than ``MEDIAN`` steps, which they
    drop, are smoothed over as many as they have.
    """
    first = math.ceil((track.times[0, 0] - ROUNDING) * RATE)
    end = max(math.ceil((track.times[-1, 1] - ROUNDING) * RATE), first + 1)
    steps = np.arange(first, end) / RATE
    shown = column(track, "shown").astype(np.float64)
    box = [
        np.interp(steps, shown, column(track, side).astype(np.float64))
        for side in ("x1", "y1", "x2", "y2")
    ]
    half = np.maximum(box[2] - box[0], box[3] - box[1]) / 2
    middles = np.stack([_median((box[0] + box[2]) / 2), _median((box[1] + box[3]) / 2)], axis=1)
    return FacePlaces(first, middles, _median(half))


def _median(values: Array) -> Array:
    """Running median of (n,) with zeros beyond the ends."""
    reach = (min(MEDIAN, len(values)) - 1) // 2
    padded = np.pad(values, reach)
    return np.asarray(
        np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1), axis=1)
    )


def lower_face(image: Array, middle: Array, half: float) -> Array:
    """The crop of one face, (112, 112) uint8 grey.

    Args:
        image: (height, width, 3) uint8 RGB.
        middle: (2,) x and y of the middle of its box.
        half: half of the box's longer side.
    """
    import cv2

    whole = face_window(image, middle, half)
    edge = (WHOLE - SIDE) // 2
    middle_part = np.ascontiguousarray(whole[edge : edge + SIDE, edge : edge + SIDE])
    return np.asarray(cv2.cvtColor(middle_part, cv2.COLOR_RGB2GRAY))


def face_window(image: Array, middle: Array, half: float) -> Array:
    """The whole window about a face, (224, 224, 3) uint8: half as much again, and lower."""
    import cv2

    x, y = float(middle[0]), float(middle[1])
    left, right = math.floor(x - half * (1 + SCALE)), math.floor(x + half * (1 + SCALE))
    top, bottom = math.floor(y - half), math.floor(y + half * (1 + 2 * SCALE))
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    height, width = image.shape[:2]
    inside = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if not inside.size:
        return np.full((WHOLE, WHOLE, 3), BEYOND, np.uint8)
    above, before = max(-top, 0), max(-left, 0)
    below, after = max(bottom - height, 0), max(right - width, 0)
    if above or before or below or after:
        inside = cv2.copyMakeBorder(
            inside, above, below, before, after, cv2.BORDER_CONSTANT, value=(BEYOND,) * 3
        )
    return np.asarray(cv2.resize(inside, (WHOLE, WHOLE)))


def lower_faces(clip: Clip, tracks: Features, length: int) -> Iterator[Piece]:
    """Crops of every track, cut in one pass over the pictures.

    A crop is dropped as soon as its piece is handed on, so that memory does not grow with the
    length of the clip.

    Args:
        clip: whose pictures.
        tracks: what ``faces`` gives.
        length: crops of a piece at most; only the last piece of a track is shorter.
    """
    waiting = [face_places(one_track(tracks, int(n))) for n in track_numbers(tracks)]
    numbers = dict(zip(map(id, waiting), track_numbers(tracks).tolist(), strict=True))
    waiting.sort(key=lambda places: places.first)
    live: list[FacePlaces] = []
    step = -1
    for step, frame in enumerate(clip.frames(RATE)):
        while waiting and waiting[0].first <= step:
            live.append(waiting.pop(0))
        for places in live:
            at = step - places.first
            crop = lower_face(frame.image, places.middles[at], places.halves[at])
            places.waiting.append(crop)
            if len(places.waiting) == length or step + 1 == places.end:
                yield _piece(numbers[id(places)], places, step + 1)
        live = [places for places in live if places.end > step + 1]
    for places in live:  # the pictures end before the track
        if places.waiting:
            yield _piece(numbers[id(places)], places, step + 1)


def _piece(number: int, places: FacePlaces, end: int) -> Piece:
    faces = np.stack(places.waiting)
    places.waiting.clear()
    return Piece(number, end - len(faces), faces)
