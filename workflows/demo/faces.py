"""A photographed face that moves: one public-domain portrait, warped and re-coloured.

The portrait is scikit-image's astronaut (Eileen Collins, NASA, no known copyright), which lies
inside its package. Every picture is one inverse warp of it: for each pixel of the output, where in
the portrait it comes from. All measures of the face below are in pixels of the portrait.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np

from ...cache.records import Array
from .motion import MOTIONS, Motion

WIDTH, HEIGHT = 320, 240  # pixels of the output
MARGIN = 24  # pixels around it that motion of the head can bring in
CENTRE = (224.0, 118.0)  # the middle of the face in the portrait
MOUTH = (223.8, 141.0)  # the middle of the lower edge of the upper lip
MOUTH_HALF = 19.5  # half the width of the mouth
TEETH = 8.0  # height of the teeth shown in the middle of the portrait's smile
JAW = 15.0  # how far the jaw drops at an opening of 1
#: Left, right, top and bottom of the parts of the portrait outside which nothing moves.
FACE = (160.0, 288.0, 52.0, 212.0)
LIPS = (186.0, 262.0, 128.0, 212.0)
MOUTH_REACH = (170.0, 278.0, 110.0, 200.0)  # the mouth is in it however the head moves
#: Outline of head and shoulders.
OUTLINE = (
    (276, 31), (251, 19), (241, 16), (227, 16), (214, 21), (205, 21), (193, 29), (189, 35),
    (174, 43), (156, 58), (153, 68), (155, 98), (159, 107), (170, 116), (170, 121), (174, 128),
    (182, 132), (182, 147), (152, 151), (140, 158), (129, 170), (126, 180), (126, 188), (119, 190),
    (118, 194), (115, 195), (113, 204), (91, 226), (60, 246), (20, 280), (0, 330), (0, 380),
    (440, 380), (400, 300), (352, 266), (318, 242), (303, 233), (299, 219), (289, 203), (276, 189),
    (256, 174), (256, 163), (264, 149), (266, 137), (275, 134), (290, 117), (296, 107), (301, 90),
    (296, 58), (288, 43),
)  # fmt: skip


@dataclass(frozen=True)
class Look:
    """What belongs to the speaker's picture.

    Args:
        mirrored: left and right exchanged.
        scale: output pixels a portrait pixel.
        stretch: width over height, 1 as in the portrait.
        shape: pixels by which eyes are set apart, jaw widened, mouth lowered, nose lengthened.
        skin: factors on red, green and blue.
        hair: factor on the brightness of the hair.
        suit: turn of the suit's hue, 0 to 180.
        wall: two colours (RGB, 0 to 255) of the wall behind, top and bottom.
    """

    mirrored: bool
    scale: float
    stretch: float
    shape: tuple[float, float, float, float]
    skin: tuple[float, float, float]
    hair: float
    suit: int
    wall: tuple[tuple[float, float, float], tuple[float, float, float]]


def make_look(rng: np.random.Generator) -> Look:
    """A random speaker."""
    wall = rng.uniform(90, 190) + rng.uniform(-35, 35, 3)
    tone = rng.normal(0, 1)
    return Look(
        mirrored=bool(rng.random() < 0.5),
        scale=float(rng.uniform(1.0, 1.25)),
        stretch=float(rng.uniform(0.93, 1.07)),
        shape=cast(
            tuple[float, float, float, float],
            tuple(float(value) for value in np.clip(rng.normal(0, 1, 4), -1.5, 1.5)),
        ),
        skin=(1.0 + 0.03 * tone, 1.0 + 0.05 * tone, 1.0 + 0.08 * tone),
        hair=float(rng.uniform(0.45, 1.1)),
        suit=int(rng.integers(0, 180)),
        wall=(_colour(wall * rng.uniform(0.95, 1.1)), _colour(wall * rng.uniform(0.7, 0.95))),
    )


def _colour(values: Array) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in np.clip(values, 0, 255))
    return red, green, blue


class Puppet:
    """One speaker's portrait, ready to be moved."""

    def __init__(self, look: Look) -> None:
        self.portrait = _portrait(look)  # (512, 512, 4) uint8 RGB and cover
        ramp = np.linspace(0, 1, HEIGHT)[:, None, None]
        top, bottom = (np.array([*colour, 255]) for colour in look.wall)
        wall = np.broadcast_to(top + ramp * (bottom - top), (HEIGHT, WIDTH, 4))
        self.wall = wall.astype(np.uint8)
        self.rest = _rest(look)  # (3, rows, columns) float32: portrait x, y, and darkness
        x, y = self.rest[:2]
        self.face, self.lips = _within(x, y, FACE), _within(x, y, LIPS)
        inner = np.s_[MARGIN:-MARGIN, MARGIN:-MARGIN]
        self.mouth = _within(x[inner], y[inner], MOUTH_REACH)
        self.bases = _bases(x[self.face], y[self.face])  # (K, 2 * pixels)

    def play(self, motion: Motion) -> Iterator[Array]:
        """Pictures (HEIGHT, WIDTH, 3) uint8 RGB, one a row of the motion."""
        import cv2

        # The minus: what moves right is read from further left.
        moved = -(motion.face.astype(np.float32) @ self.bases)
        size = (WIDTH, HEIGHT)
        for offsets, opening, (right, down, roll, zoom) in zip(
            moved, motion.mouth, motion.head, strict=True
        ):
            field = self.rest.copy()
            face = field[:2, *self.face]
            face += offsets.reshape(face.shape)
            _open_mouth(field[:, *self.lips], float(opening))
            # Turn about the neck, then shift; the margin is cut off on the way.
            turn = cv2.getRotationMatrix2D((WIDTH / 2 + MARGIN, HEIGHT * 0.85), roll, 1 + zoom)
            turn[:, 2] += (right - MARGIN, down - MARGIN)
            x, y, darkness = (
                cv2.warpAffine(part, turn, size, borderMode=cv2.BORDER_REPLICATE) for part in field
            )
            yield self._picture(x, y, darkness)

    def _picture(self, x: Array, y: Array, darkness: Array) -> Array:
        """The portrait, read at x and y, before the wall; the open mouth darkened."""
        import cv2

        figure = cv2.remap(self.portrait, x, y, cv2.INTER_LINEAR)  # 4 channels are the fast case
        near = figure[self.mouth][..., :3]
        near[:] = near * (1 - darkness[self.mouth][..., None])
        bare = 255 - figure[..., 3]
        behind = cv2.multiply(self.wall, cv2.merge([bare] * 4), scale=1 / 255)
        picture: Array = cv2.cvtColor(cv2.add(figure, behind), cv2.COLOR_RGBA2RGB)
        return picture


def _within(x: Array, y: Array, box: tuple[float, float, float, float]) -> tuple[slice, slice]:
    """Rows and columns of a field that hold all places inside a box of the portrait."""
    left, right, top, bottom = box
    inside = (x > left) & (x < right) & (y > top) & (y < bottom)
    rows, columns = np.nonzero(inside.any(axis=1))[0], np.nonzero(inside.any(axis=0))[0]
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _portrait(look: Look) -> Array:
    """The portrait in the speaker's colours, already multiplied by how far it covers the wall."""
    import cv2
    from skimage.data import astronaut

    image = astronaut()
    cover = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(cover, [np.array(OUTLINE, np.int32)], 255)
    cover = cv2.GaussianBlur(cv2.erode(cover, np.ones((3, 3), np.uint8)), (0, 0), 1.0)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    face = _disc(x, y, 223, 128, 41, 56)  # 1 on the face, 0 outside, soft edge
    face = np.maximum(face, _disc(x, y, 221, 168, 36, 22))  # the throat
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    orange = (hsv[..., 0] < 20) & (hsv[..., 1] > 120) & (y > 185)
    hsv[..., 0] = np.where(orange, (hsv[..., 0].astype(int) + look.suit) % 180, hsv[..., 0])
    hsv[..., 1] = np.where(orange, 0.7 * hsv[..., 1], hsv[..., 1])  # no other hue is as bright
    coloured = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).astype(np.float32)
    hair = np.where(y < 150, 1 - face, 0)[..., None]
    coloured *= 1 + hair * (look.hair - 1)
    coloured *= 1 + face[..., None] * (np.array(look.skin, np.float32) - 1)
    coloured = np.clip(coloured, 0, 255) * (cover[..., None] / np.float32(255))
    return np.dstack([coloured.astype(np.uint8), cover])


def _disc(x: Array, y: Array, cx: float, cy: float, rx: float, ry: float) -> Array:
    radius = np.hypot((x - cx) / rx, (y - cy) / ry)
    soft: Array = np.clip((1.1 - radius) / 0.2, 0, 1)
    return soft


def _rest(look: Look) -> Array:
    """Where each output pixel lies in the portrait while nothing moves; the last plane is 0."""
    rows, columns = np.mgrid[-MARGIN : HEIGHT + MARGIN, -MARGIN : WIDTH + MARGIN]
    across = (columns - WIDTH / 2) / (look.scale * np.sqrt(look.stretch))
    x = CENTRE[0] + (-across if look.mirrored else across)
    y = CENTRE[1] + (rows - HEIGHT * 0.52) / (look.scale / np.sqrt(look.stretch))
    eyes, jaw, mouth, nose = look.shape
    dx = 1.4 * eyes * (_bump(x, y, 205, 101, 15, 13) - _bump(x, y, 247, 103, 15, 13))
    dx = dx - 2.5 * jaw * np.tanh((x - 224) / 18) * _bump(x, y, 224, 165, 45, 26)
    dy = -1.5 * mouth * _bump(x, y, 224, 147, 28, 15) - 1.3 * nose * _bump(x, y, 224, 124, 14, 14)
    return np.stack([x + dx, y + dy, np.zeros_like(x)]).astype(np.float32)


def _bump(x: Array, y: Array, cx: float, cy: float, sx: float, sy: float) -> Array:
    """Gaussian hill of height 1."""
    hill: Array = np.exp(-0.5 * (((x - cx) / sx) ** 2 + ((y - cy) / sy) ** 2))
    return hill


def _bases(x: Array, y: Array) -> Array:
    """Displacement (portrait pixels, all x before all y) of one unit of each of ``MOTIONS``."""
    left, right = _bump(x, y, 204, 142, 11, 12), _bump(x, y, 243.5, 142, 11, 12)
    brow_left, brow_right = _bump(x, y, 202, 89, 10, 5.5), _bump(x, y, 250, 90, 10, 5.5)
    frown_left, frown_right = _bump(x, y, 213, 90, 6, 5), _bump(x, y, 239, 91, 6, 5)
    depth = _bump(x, y, 224, 122, 24, 26)  # the nose comes nearer than the cheeks
    zero = np.zeros_like(x)
    fields = {
        "corners_up": (zero, -(left + right)),
        "corners_out": (right - left, zero),
        "brows_up": (zero, -(brow_left + brow_right)),
        "brows_in": (frown_left - frown_right, frown_left + frown_right),
        "nod": (zero, depth),
        "shake": (depth, zero),
    }
    stacked = [np.stack(fields[name]).ravel() for name in MOTIONS]
    return np.stack(stacked).astype(np.float32)


def _open_mouth(field: Array, opening: float) -> None:
    """Close or open the lips of a field (3, rows, columns) in place; 0 is shut, 1 is wide.

    The portrait smiles with its teeth shown. Shut lips skip the teeth's rows; an open mouth shows
    the upper half of the gap as teeth and darkens the lower half.
    """
    x, y = field[:2]
    u = (x - MOUTH[0]) / MOUTH_HALF
    lens = np.clip(1 - u**2, 0, None)
    below = y - (MOUTH[1] + 1.2 * lens - 0.3)  # from the edge of the upper lip
    gap = JAW * opening * lens
    teeth = TEETH * lens
    spread = np.clip(1 - (u / 1.6) ** 2, 0, None)  # chin and cheeks follow more widely
    follow = np.exp(-((np.clip(below - gap, 0, None) / 26) ** 2))
    lower = np.where(below >= gap, (teeth - gap) * follow, 0)
    drop = np.where((below >= gap) & (lens == 0), -0.25 * JAW * opening * spread * follow, 0)
    within = (below > 0) & (below < gap)
    squeezed = np.where(within & (below > teeth), teeth - below, 0)  # stay on the last row
    dark = np.clip((below - 0.4 * gap) / 1.5, 0, 1) * np.clip((gap - below) / 1.2, 0, 1)
    y += lower + drop + squeezed
    field[2] = np.where(within, 0.85 * dark, 0)
