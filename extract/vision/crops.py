"""Pictures of faces cut from a clip's pictures as they pass: boxed or aligned, at any rate.

Nothing is kept: crops come in pieces of at most ``PIECE`` pictures, so an hour takes no more
memory than a second. A face is cut where it is; between two of its rows its place lies on the
straight way from one to the other, and where its rows end it ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypedDict, Unpack

import numpy as np

from ...cache.errors import BadCall, BadInput
from ...cache.records import Array, Features
from ..clip import Clip, Frame
from .chosen import column
from .mtcnn_face import FACE_COLUMNS

#: Pictures of crops that are handed on at once.
PIECE = 64
#: Where an aligned face of 112 x 112 pixels has its eyes, nose tip and mouth corners: the
#: template of Deng et al. (2019), "ArcFace", CVPR, which most face recognisers follow.
TEMPLATE = np.array(
    [
        (38.2946, 51.6963),
        (73.5318, 51.5014),
        (56.0252, 71.7366),
        (41.5493, 92.3655),
        (70.7299, 92.2041),
    ]
)
TEMPLATE_SIDE = 112
#: Seconds by which a time may miss the start of its row through rounding.
ROUNDING = 1e-6


@dataclass(frozen=True)
class Window:
    """Which part of a picture is cut for a face, and how large it comes out.

    Args:
        size: side of the crop in pixels.
        margin: share of the box's longer side added on each of the four sides; negative: cut
            into the box. Aligned: share of the crop's side.
        lower: share of the box's longer side by which the window lies below the box's middle.
        aligned: turn and scale the face so that its five landmarks fit ``TEMPLATE`` best.
        fill: grey level in [0, 255] of what lies beyond the picture's edge.
        smooth: seconds over which the median of the box (or the landmarks) is taken; 0: none.
    """

    size: int
    margin: float = 0.0
    lower: float = 0.0
    aligned: bool = False
    fill: int = 0
    smooth: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.size <= 4096:
            raise BadCall(f"the side of a crop must be in [1, 4096] pixels, not {self.size}")
        if not -0.5 < self.margin <= 4:
            raise BadCall(f"the margin of a crop must be in (-0.5, 4], not {self.margin:g}")
        if not 0 <= self.fill <= 255:
            raise BadCall(f"the fill of a crop must be in [0, 255], not {self.fill}")
        if not 0 <= self.smooth <= 10:
            raise BadCall(f"smoothing of a crop must be in [0, 10] s, not {self.smooth:g}")


class Cutting(TypedDict, total=False):
    """Settings of a ``Window`` beside its size."""

    margin: float
    lower: float
    aligned: bool
    fill: int
    smooth: float


def face_crops(
    clip: Clip,
    faces: Features,
    size: int,
    rate: float,
    **cutting: Unpack[Cutting],
) -> Iterator[tuple[Array, Array, Array]]:
    """The one face of each picture, cut and brought to one size.

    Args:
        clip: whose pictures; they are decoded once for all nodes, see ``Clip.frames``.
        faces: what ``mtcnn-face`` or a chooser of a speaker gives, at any rate.
        size: side of the crops in pixels.
        rate: crops a second, Hz.
        cutting: what is cut; see ``Window``.

    Yields:
        times (k, 2) in seconds, pictures (k, size, size, 3) uint8 RGB and mask (k,) of the next
        k pictures, k at most ``PIECE``. Pictures without a face are 0 and masked.
    """
    window = Window(size, **cutting)
    path = FacePath(faces, window)
    times, pictures, mask = [], [], []
    for frame in clip.frames(rate):
        matrix = path.in_frame(frame)
        times.append((frame.time, frame.time + 1 / rate))
        mask.append(matrix is not None)
        blank = np.zeros((size, size, 3), np.uint8)
        pictures.append(blank if matrix is None else cut(frame.image, matrix, size, window.fill))
        if len(times) == PIECE:
            yield np.array(times), np.stack(pictures), np.array(mask)
            times, pictures, mask = [], [], []
    if times:
        yield np.array(times), np.stack(pictures), np.array(mask)


class FacePath:
    """Where one face a picture is at any time, and the window to be cut there."""

    def __init__(self, faces: Features, window: Window) -> None:
        self.window = window
        self.times, self.mask = faces.times, faces.mask
        self.shown = column(faces, "shown").astype(np.float64)
        names = FACE_COLUMNS[5:] if window.aligned else FACE_COLUMNS[:4]
        self.points = np.stack([column(faces, name) for name in names], axis=1).astype(np.float64)
        size = np.stack([column(faces, f"frame_{side}") for side in ("height", "width")], axis=1)
        self.size = size.astype(np.int64)
        same = (np.diff(column(faces, "track")) == 0) & (np.diff(self.size, axis=0) == 0).all(1)
        near = np.diff(faces.times[:, 0]) < 1.5 * (faces.times[:-1, 1] - faces.times[:-1, 0])
        self.goes_on = same & near & self.mask[1:] & self.mask[:-1]  # (n - 1,) to the next row
        if window.smooth:
            self._smooth(window.smooth)

    def _smooth(self, seconds: float) -> None:
        """Median over the rows of the same face that start within half of ``seconds``."""
        starts, points = self.times[:, 0], self.points.copy()
        run = np.concatenate([[0], np.cumsum(~self.goes_on)])  # (n,) rows of one number go on
        reach = seconds / 2 + ROUNDING
        first = np.maximum(starts.searchsorted(starts - reach), run.searchsorted(run))
        last = np.minimum(
            starts.searchsorted(starts + reach, "right"), run.searchsorted(run, "right")
        )
        for row in np.flatnonzero(self.mask):
            self.points[row] = np.median(points[first[row] : last[row]], axis=0)

    def in_frame(self, frame: Frame) -> Array | None:
        """The map (2, 3) to the crop; None where the face is not, or the picture is damaged."""
        return self.at(frame.time, frame.shown, frame.image.shape) if frame.readable else None

    def at(self, time: float, shown: float, shape: tuple[int, ...]) -> Array | None:
        """The map (2, 3) from the picture's pixels to the crop's; None where there is no face.

        Args:
            time: of the picture's step of the grid, seconds.
            shown: when the picture is shown: where it lies between two rows follows from this.
            shape: (height, width, ...) of the picture.

        Raises:
            BadInput: the picture is of another size than the one in which the face was found.
        """
        row = int(self.times[:, 0].searchsorted(time + ROUNDING, "right")) - 1
        if row < 0 or not self.mask[row] or time + ROUNDING >= self.times[row, 1]:
            return None
        points = self.points[row]
        if row < len(self.goes_on) and self.goes_on[row]:
            passed = self.shown[row + 1] - self.shown[row]
            part = min(max((shown - self.shown[row]) / passed, 0.0), 1.0) if passed > 0 else 0.0
            points = (1 - part) * points + part * self.points[row + 1]
        if tuple(self.size[row]) != shape[:2]:
            self._check_resized(time, row, shape)
            return None
        if self.window.aligned:
            return aligning(points.reshape(-1, 2), self.window.size, self.window.margin)
        return framing(points, self.window)

    def _check_resized(self, time: float, row: int, shape: tuple[int, ...]) -> None:
        """Pictures may change their size between a row and the next picture.

        Raises:
            BadInput: they never do in this clip, so the faces are those of other pictures.
        """
        if (self.size == self.size[row]).all():
            height, width = self.size[row]
            raise BadInput(
                f"the face at {time:g} s was found in a picture of {width}x{height}, but the "
                f"picture there is {shape[1]}x{shape[0]}"
            )


def framing(box: Array, window: Window) -> Array:
    """The map (2, 3) that brings a square about a box (4,) to the crop."""
    side = float(max(box[2] - box[0], box[3] - box[1], 1.0))
    middle = (box[:2] + box[2:]) / 2 + (0, window.lower * side)
    scale = window.size / (side * (1 + 2 * window.margin))
    shift = window.size / 2 - scale * middle
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])


def aligning(points: Array, size: int, margin: float = 0.0) -> Array:
    """The similarity (2, 3) that brings five landmarks (5, 2) nearest to ``TEMPLATE``.

    Source:
        Umeyama (1991), IEEE TPAMI 13(4); in the plane the least squares are one division of
        complex numbers.
    """
    scale = size / (TEMPLATE_SIDE * (1 + 2 * margin))
    wanted = (TEMPLATE - TEMPLATE_SIDE / 2) * scale + size / 2
    here, there = points[:, 0] + 1j * points[:, 1], wanted[:, 0] + 1j * wanted[:, 1]
    mean_here, mean_there = here.mean(), there.mean()
    spread = float(np.sum(np.abs(here - mean_here) ** 2))
    turn = np.sum(np.conj(here - mean_here) * (there - mean_there)) / max(spread, 1e-9)
    shift = mean_there - turn * mean_here
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def cut(image: Array, matrix: Array, size: int, fill: int = 0) -> Array:
    """A window of a picture at another size, (size, size, 3) uint8.

    Args:
        image: (height, width, 3) uint8.
        matrix: (2, 3) similarity from the picture's pixels to the crop's, both counted from
            the upper left corner of the upper left pixel.
        size: side of the crop.
        fill: grey level of what lies beyond the picture's edge.
    """
    import cv2

    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    inverse = np.linalg.inv(np.vstack([matrix, (0, 0, 1)]))
    corners = np.array([(0, 0, 1), (size, 0, 1), (0, size, 1), (size, size, 1)]) @ inverse[:2].T
    reach = 2 / min(scale, 1.0)  # what the last pixels are mixed from
    height, width = image.shape[:2]
    low = np.clip(np.floor(corners.min(0) - reach), 0, (width, height)).astype(int)
    high = np.clip(np.ceil(corners.max(0) + reach), 0, (width, height)).astype(int)
    if (high <= low).any():
        return np.full((size, size, 3), fill, np.uint8)
    part = image[low[1] : high[1], low[0] : high[0]]
    onto = np.vstack([matrix, (0, 0, 1)]) @ np.array([[1, 0, low[0]], [0, 1, low[1]], [0, 0, 1]])
    if scale < 1:  # means of areas first: a bilinear map alone would skip pixels
        smaller = np.maximum(np.round(np.array(part.shape[1::-1]) * scale), 1).astype(int)
        ratio = np.array(part.shape[1::-1]) / smaller
        part = cv2.resize(part, smaller.tolist(), interpolation=cv2.INTER_AREA)
        onto = onto @ np.diag([*ratio, 1])
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # OpenCV counts from pixels' middles
    onto = np.linalg.inv(half) @ onto @ half
    crop: Array = cv2.warpAffine(
        part,
        onto[:2],
        (size, size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(fill, fill, fill),
    )
    return crop
