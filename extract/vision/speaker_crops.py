"""The lower face of every track, grey, as active speaker networks were trained to see it.

These crops are the authors' to the pixel (but for the lossy video that they write in between):
whole pixels of the picture, brought to 224 x 224 by a bilinear map, and the middle 112 x 112 of
that. ``crops.py`` cuts more exactly, between pixels and without aliasing, which is another input
than these networks know.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ...cache.records import Array, Features
from ..clip import Clip, Frame
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

    Between the rows of a track its box lies on the straight way from one to the other. Ends are
    as the authors have them: beyond a track's ends the median meets zeros, so that there it is
    the smallest of the values that it meets. Tracks of less than ``MEDIAN`` steps, which they
    drop, are smoothed over as many as they have.

    Args:
        track: its rows.
        first: step at which it begins.
        end: step at which it is over.
        waiting: crops that are not handed on yet.
        latest: the latest crop; it stands in where damage left no picture, so that nothing moves.
    """

    track: Features
    first: int
    end: int
    waiting: list[Array] = field(default_factory=list)
    latest: Array | None = None

    def __post_init__(self) -> None:
        self.reach = (min(MEDIAN, self.end - self.first) - 1) // 2
        self._shown = column(self.track, "shown").astype(np.float64)
        sides = ("x1", "y1", "x2", "y2")
        self._box = [column(self.track, side).astype(np.float64) for side in sides]
        squares = self._squares(np.arange(self.first, self.end) / RATE)
        self._even = np.pad(squares, ((self.reach, self.reach), (0, 0)))

    def see(self, step: int, shown: float) -> None:
        """Learn when the picture of a step is shown; until then it is taken for the step's time.

        The picture that stands at a step was taken up to one picture earlier, and so was the face.
        """
        self._even[self.reach + step - self.first] = self._squares(np.array([shown]))[0]

    def at(self, step: int) -> Array:
        """Middle of the box (x, y) and half of its longer side in pixels at a step, (3,)."""
        row = step - self.first
        about = np.sort(self._even[row : row + 2 * self.reach + 1], axis=0)
        return np.asarray(about[self.reach])  # the median: quicker than by numpy's

    def _squares(self, shown: Array) -> Array:
        """Middle and half of the longer side (n, 3) in pictures that are shown at these times."""
        x1, y1, x2, y2 = (np.interp(shown, self._shown, side) for side in self._box)
        return np.stack([(x1 + x2) / 2, (y1 + y2) / 2, np.maximum(x2 - x1, y2 - y1) / 2], axis=1)


def face_places(track: Features) -> FacePlaces:
    """Where the face of one track is at each step at 25 Hz."""
    first = math.ceil((track.times[0, 0] - ROUNDING) * RATE)
    end = max(math.ceil((track.times[-1, 1] - ROUNDING) * RATE), first + 1)
    return FacePlaces(track, first, end)


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
    for step, frame in enumerate(_known(clip.frames(RATE), list(waiting))):
        while waiting and waiting[0].first <= step:
            live.append(waiting.pop(0))
        for places in live:
            if frame.readable or places.latest is None:
                x, y, half = places.at(step)
                places.latest = lower_face(frame.image, np.array([x, y]), float(half))
            places.waiting.append(places.latest)
            if len(places.waiting) == length or step + 1 == places.end:
                yield _piece(numbers[id(places)], places, step + 1)
        live = [places for places in live if places.end > step + 1]
    for places in live:  # the pictures end before the track
        if places.waiting:
            yield _piece(numbers[id(places)], places, step + 1)


def _known(frames: Iterable[Frame], tracks: Sequence[FacePlaces]) -> Iterator[Frame]:
    """Pictures, a few late: the tracks have seen all that the median about them reaches."""
    late: deque[Frame] = deque()
    for step, frame in enumerate(frames):
        for places in tracks:
            if places.first <= step < places.end:
                places.see(step, frame.shown)
        late.append(frame)
        if len(late) > MEDIAN // 2:
            yield late.popleft()
    yield from late


def _piece(number: int, places: FacePlaces, end: int) -> Piece:
    faces = np.stack(places.waiting)
    places.waiting.clear()
    return Piece(number, end - len(faces), faces)
