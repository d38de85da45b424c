"""Put decoded pictures on a regular grid of times, as RGB and upright."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import cast

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from ..cache.errors import BadCall, BadMedia
from ..cache.records import Array
from .clip import Frame
from .damage import Shown, Unreadable

#: Times in files are rounded, to milliseconds at worst: a picture that comes this much after a
#: grid time, in seconds, still serves it.
TOLERANCE = 0.001


def on_grid(
    pictures: Iterable[Shown], rate: float, start: float, end: float | None
) -> Iterator[Frame]:
    """Pictures on a regular grid of times; all of ``pictures`` is read, to its end, one at a time.

    Grid step k stands at ``k / rate`` seconds from ``start`` and shows the picture that a player
    shows then: the latest one that has begun (``TOLERANCE`` later still counts), and the first
    one also before it begins. Pictures are RGB, turned and mirrored upright as the file says, and
    of the size that is stored: pixels that are not square stay so. Steps that show the same
    picture share one array; do not write into it. Steps at which damage left nothing to be shown
    have a black picture and are not ``readable``.

    Args:
        pictures: in order of time.
        rate: steps a second, Hz.
        start: first second of the segment.
        end: second at which it stops (half open); None: the end of the pictures.

    Raises:
        BadCall: the rate is not above 0.
    """
    if not (math.isfinite(rate) and rate > 0):
        raise BadCall(f"the rate of frames must be a number of Hz above 0, not {rate!r}")
    grid = Grid(rate, float(start), end)
    for item in pictures:
        yield from grid.until(item)
    yield from grid.rest()


class Grid:
    """Hands each grid step the picture that is shown then; converts only those that are used."""

    def __init__(self, rate: float, start: float, end: float | None) -> None:
        self.rate, self.start = rate, start
        self.steps = math.inf if end is None else _count((end - start) * rate)
        self.step = 0  # the next one to be filled
        self.number = 0  # of the held picture, counted from the first one used
        self.held: Shown | None = None
        self.image: Array | None = None  # the held picture once it was used
        self.shape: tuple[int, ...] | None = None  # of the latest one that was converted
        self.view = View()

    @property
    def done(self) -> bool:
        return self.step >= self.steps

    def until(self, item: Shown) -> Iterator[Frame]:
        """Fill the steps before ``item`` is shown, then hold it."""
        if self.done:
            return
        if self.held is None:
            self.held = item
        if item.start < self.held.start:
            return  # out of order: a player would not show it either
        if isinstance(self.held, Unreadable) and self.shape is None and item is not self.held:
            self._image(item)
        shown = float(item.start) - TOLERANCE
        while not self.done and self.start + self.step / self.rate < shown:
            yield self._fill()
        if item is not self.held:
            if self.shape is None and isinstance(item, Unreadable):
                self._image(self.held)  # nothing of it is shown, but its size is needed
            self.number += self.step > 0
            self.held, self.image = item, None

    def rest(self) -> Iterator[Frame]:
        """Fill the steps for which the last picture is shown."""
        if self.held is None:
            return
        end = float(self.held.start + self.held.duration)
        self.steps = min(self.steps, _count((end - self.start) * self.rate))
        while not self.done:
            yield self._fill()

    def _fill(self) -> Frame:
        assert self.held is not None
        readable = not isinstance(self.held, Unreadable)
        if self.image is None:
            self.image = self._image(self.held)
        time = self.step / self.rate
        self.step += 1
        return Frame(self.image, time, float(self.held.start) - self.start, self.number, readable)

    def _image(self, held: Shown) -> Array:
        if isinstance(held, Unreadable):
            assert self.shape is not None  # there is a picture before or after: see `check`
            return np.zeros(self.shape, np.uint8)
        image = upright(held.frame, self.view)
        self.shape = image.shape
        return image


def _count(steps: float) -> int:
    """Grid steps in a half-open span; what is a rounding error over a whole step is none."""
    return max(math.ceil(steps - 1e-6), 0)


class View:
    """How pictures of one stream become what is seen; see ``upright``.

    PyAV keeps a picture whose side data were asked for until the garbage collector comes round,
    which at 4K are gigabytes. So they are asked for once for each rotation that a picture says.
    """

    def __init__(self) -> None:
        self.convert = VideoReformatter()
        self._matrices: dict[int, tuple[float, ...]] = {}

    def matrix(self, frame: VideoFrame) -> tuple[float, ...]:
        """How a picture is turned, (a, b, c, d): (x, y) is shown at (a x + c y, b x + d y)."""
        if frame.rotation not in self._matrices:
            self._matrices[frame.rotation] = _matrix(frame)
        return self._matrices[frame.rotation]


def upright(frame: VideoFrame, view: View) -> Array:
    """One picture as it is to be seen, (height, width, 3) uint8 RGB.

    Raises:
        BadMedia: it is to be turned by something else than quarter turns.
    """
    rgb: Array = view.convert.reformat(frame, format="rgb24", threads=1).to_ndarray()
    a, b, c, d = view.matrix(frame)
    if abs(a) == abs(d) == 1 and b == c == 0:
        rgb = rgb[:: int(d), :: int(a)]
    elif abs(b) == abs(c) == 1 and a == d == 0:
        rgb = rgb.transpose(1, 0, 2)[:: int(b), :: int(c)]
    else:
        raise BadMedia(
            f"the pictures are to be shown by the matrix [{a:g} {b:g}; {c:g} {d:g}]; only "
            "quarter turns and mirrors are understood: convert the file to upright pictures"
        )
    return np.ascontiguousarray(rgb)  # ``reformat`` gave it memory of its own


def _matrix(frame: VideoFrame) -> tuple[float, ...]:
    turn = frame.side_data.get("DISPLAYMATRIX")
    if turn is None:
        return 1.0, 0.0, 0.0, 1.0
    # Nine fixed-point numbers by rows.
    a, b, _, c, d = (np.frombuffer(cast(bytes, turn), np.int32)[:5] / 65536).round(3).tolist()
    return a, b, c, d
