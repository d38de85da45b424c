"""Pictures for people: faces boxed and numbered, the chosen one, its score over time.

Colours are those of Okabe and Ito, which the colour-blind tell apart, on dark; and nothing is said
by colour alone: every box has its number, the chosen face a white rim and the word.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ..cache.records import Array
from ..extract.clip import Frame
from ..extract.vision.chosen import NO_TRACK, column
from ..extract.vision.mtcnn_face import FACE_COLUMNS
from ..extract.vision.speaker_crops import RATE
from .inspection import Inspection
from .inspection_text import Colour, drawable, width, wrapped, write

#: Red, green and blue of the tracks, in turn.
COLOURS: tuple[Colour, ...] = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 158, 115),
    (240, 228, 66),
    (204, 121, 167),
    (213, 94, 0),
    (0, 114, 178),
)
BLACK, WHITE, DARK, GREY, PALE = (0,) * 3, (255,) * 3, (24,) * 3, (90,) * 3, (190,) * 3
#: Letters, and room about things, in pixels.
LETTER, EDGE = 16, 8
#: Side of the crop beside the curve, which is as high.
CROP = 144
#: Shape of the score's curve: room above it, for its title, and below, for the bar of tracks.
ABOVE, BELOW = 24, 26
#: Seconds between two lines on it, the first by which there are no more than ``TICKS``.
STEPS = (0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600)
TICKS = 12
#: A face that was not seen but put between others has corners only, of this share of its sides.
CORNER = 0.25


def colour_of(track: int) -> Colour:
    """The colour of a track."""
    return COLOURS[(track - 1) % len(COLOURS)]


def fitted(shape: tuple[int, ...], least: int, most: int) -> tuple[int, int]:
    """Width and height at which pictures are shown, even, from ``least`` to ``most`` wide."""
    height, wide = shape[:2]
    scale = min(max(1.0, least / wide), most / max(height, wide))
    room = (max(wide * scale, least), max(height * scale, least / 4))
    return round(room[0] / 2) * 2, round(room[1] / 2) * 2


class Drawer:
    """Draws pictures of one clip at one size.

    Args:
        seen: what was found.
        size: width and height of the pictures.
        letter: size of the letters on them.
    """

    def __init__(self, seen: Inspection, size: tuple[int, int], letter: int = LETTER) -> None:
        self.seen = seen
        self.size = size
        self.letter = letter

    def picture(self, number: int, frame: Frame) -> Array:
        """A picture with its faces, (height, width, 3) uint8."""
        import cv2

        wide, high = self.size
        height, width_ = frame.image.shape[:2]
        scale = min(wide / width_, high / height)
        inner = max(round(width_ * scale), 1), max(round(height * scale), 1)
        left, top = (wide - inner[0]) // 2, (high - inner[1]) // 2
        kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        canvas = np.full((high, wide, 3), DARK, np.uint8)
        canvas[top : top + inner[1], left : left + inner[0]] = cv2.resize(
            frame.image, inner, interpolation=kind
        )
        taken = int(column(self.seen.chosen, "track")[number])
        numbers = column(self.seen.tracks, "track")
        detected = column(self.seen.tracks, "detected")
        for row in sorted(self.seen.rows(number), key=lambda row: numbers[row] == taken):
            face = self.seen.tracks.values[row, : len(FACE_COLUMNS)].astype(np.float64)
            face[:4], points = face[:4] * scale, face[5:].reshape(-1, 2) * scale
            face[:4] += (left, top, left, top)
            track = int(numbers[row])
            self._face(canvas, face, points + (left, top), track, track == taken, detected[row] > 0)
        return canvas

    def _face(
        self, canvas: Array, face: Array, points: Array, track: int, taken: bool, found: bool
    ) -> None:
        """Draw one face: its box, landmarks and label."""
        import cv2

        colour = colour_of(track)
        low, high = face[:2].round().astype(int), face[2:4].round().astype(int)
        for thick, shade in ((7, WHITE), (3, colour)) if taken else ((4, BLACK), (2, colour)):
            for first, last in _edges(low, high, whole=found):
                cv2.line(canvas, first, last, shade, thick, cv2.LINE_AA)
        for x, y in points.round().astype(int).tolist():
            cv2.circle(canvas, (x, y), 4, BLACK, -1, cv2.LINE_AA)
            cv2.circle(canvas, (x, y), 3, WHITE if taken else colour, -1, cv2.LINE_AA)
        sure = f"{face[4]:.2f}" if found else "between"
        self._label(canvas, f"{track}{' chosen' if taken else ''}  {sure}", low, high, colour)

    def _label(self, canvas: Array, text: str, low: Array, high: Array, colour: Colour) -> None:
        """Write on a face's colour, above its box; inside where there is no room above."""
        wide, tall = width(text, self.letter) + 8, self.letter + 6
        x = int(np.clip(low[0] - 2, 0, max(canvas.shape[1] - wide, 0)))
        y = int(low[1]) - tall - 2
        y = y if y >= 0 else int(np.clip(low[1] + 2, 0, canvas.shape[0] - tall))
        canvas[y : y + tall, x : x + wide] = colour
        write(canvas, text, (x + 4, y + tall - 6), self.letter, BLACK)

    def crop(self, frame: Frame, side: int) -> Array:
        """What a network sees of the picture, (side, side, 3); crossed out where it sees none."""
        import cv2

        crop = self.seen.crop(frame)
        if crop is not None:
            return np.asarray(cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA))
        blank = np.full((side, side, 3), DARK, np.uint8)
        cv2.line(blank, (0, 0), (side, side), GREY, 1, cv2.LINE_AA)
        cv2.line(blank, (0, side), (side, 0), GREY, 1, cv2.LINE_AA)
        return blank

    def said(self, number: int) -> str:
        """Time, track and score of a picture."""
        row = self.seen.chosen.values[number]
        time = f"{self.seen.chosen.times[number, 0]:.2f} s"
        names = self.seen.chosen.columns
        track = int(row[names.index("track")])
        if track == NO_TRACK:
            return f"{time}   no face chosen"
        return f"{time}   face {track}   score {row[names.index('score')]:+.2f}"


def _edges(low: Array, high: Array, whole: bool) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Lines of a box: its sides, or its corners only."""
    lines = []
    corners = [(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])]
    for k, first in enumerate(corners):
        here, there = np.array(first), np.array(corners[(k + 1) % 4])
        part = (there - here) * (1.0 if whole else CORNER)
        lines.append((here, here + part))
        if not whole:
            lines.append((there, there - part))
    return [(_pixel(first), _pixel(last)) for first, last in lines]


def _pixel(point: Array) -> tuple[int, int]:
    return int(round(float(point[0]))), int(round(float(point[1])))


class Strip:
    """The score over the whole clip, with a cursor.

    Args:
        seen: what was found.
        wide: width in pixels.
        high: height in pixels.
    """

    def __init__(self, seen: Inspection, wide: int, high: int = CROP) -> None:
        self.seen, self.wide, self.high = seen, wide, high
        self.curves = seen.curves()
        every = np.concatenate([np.zeros(1), *(curve.scores for curve in self.curves)])
        self.low, self.top = float(every.min()), float(every.max())
        if self.top == self.low:
            self.top = self.low + 1

    def at(self, time: float) -> Array:
        """The strip with the cursor at a time in seconds, (high, wide, 3) uint8."""
        drawn = self.still.copy()
        x = self._x(np.array([time]))[0]
        drawn[:, max(x - 1, 0) : x + 1] = WHITE
        return drawn

    def _x(self, times: Array) -> Array:
        share = times / max(self.seen.seconds, 1e-9)
        return np.clip(share * (self.wide - 1), 0, self.wide - 1).astype(int)

    def _y(self, scores: Array) -> Array:
        share = (scores - self.low) / (self.top - self.low)
        foot = self.high - BELOW
        return (foot - share * (foot - ABOVE)).astype(int)

    @cached_property
    def still(self) -> Array:
        """The strip without a cursor."""
        import cv2

        drawn = np.full((self.high, self.wide, 3), DARK, np.uint8)
        self._sound(drawn)
        self._seconds(drawn)
        zero = int(self._y(np.zeros(1))[0])
        cv2.line(drawn, (0, zero), (self.wide - 1, zero), GREY, 1)
        chosen = self.seen.chosen
        taken = column(chosen, "track").astype(int)
        for curve in self.curves:
            own = np.isin(curve.track, taken[chosen.mask])
            self._line(drawn, curve.times, curve.scores, colour_of(curve.track), 3 if own else 1)
        self._bar(drawn, taken)
        self._cuts(drawn)
        for value in (self.low, self.top):
            text = f"{value:+.1f}" if value else "0"
            y = int(self._y(np.array([value]))[0])
            write(drawn, text, (4, min(y + 12, self.high - BELOW)), 12, PALE)
        title = f"score by {self.seen.speaker}; bar: chosen face; grey: sound; |: cut"
        write(drawn, title, (40, 15), 13, PALE)
        return drawn

    def _line(self, drawn: Array, times: Array, scores: Array, colour: Colour, thick: int) -> None:
        """One curve, with a gap where its face is not seen."""
        import cv2

        ends = np.flatnonzero(np.diff(times) > 2 / min(self.seen.rate, RATE)) + 1
        for t, s in zip(np.split(times, ends), np.split(scores, ends), strict=True):
            points = np.stack([self._x(t), self._y(s)], axis=1).astype(np.int32)
            cv2.polylines(drawn, [points], False, colour, thick, cv2.LINE_AA)

    def _seconds(self, drawn: Array) -> None:
        """Lines at whole seconds, at most ``TICKS``."""
        step = next((s for s in STEPS if self.seen.seconds / s <= TICKS), STEPS[-1])
        foot = self.high - BELOW
        for time in np.arange(step, self.seen.seconds, step):
            x = int(self._x(np.array([time]))[0])
            drawn[ABOVE:foot, x] = np.maximum(drawn[ABOVE:foot, x], 40)
            write(drawn, f"{time:g} s", (x + 3, foot - 4), 11, PALE)

    def _sound(self, drawn: Array) -> None:
        """How loud it is, as a shape that rises from the foot."""
        if not len(self.seen.loud) or not self.seen.loud.max() > 0:
            return
        xs = self._x(np.arange(len(self.seen.loud)) / RATE)
        most = np.zeros(self.wide)
        np.maximum.at(most, xs, self.seen.loud / self.seen.loud.max())
        filled = np.interp(np.arange(self.wide), np.unique(xs), most[np.unique(xs)])
        foot = self.high - BELOW
        for x, share in enumerate(filled):
            drawn[int(foot - share * (foot - ABOVE)) : foot, x] = (52, 52, 52)

    def _bar(self, drawn: Array, taken: Array) -> None:
        """Which face is taken when, by colour and number."""
        times = self.seen.chosen.times
        change = np.flatnonzero(np.diff(taken)) + 1
        starts, ends = np.r_[0, change], np.r_[change, len(taken)]
        for first, last in zip(starts, ends, strict=True):
            track = int(taken[first])
            if track == NO_TRACK:
                continue
            low, high = self._x(times[[first, last - 1], [0, 1]])
            drawn[self.high - BELOW + 6 : self.high - 4, low : high + 1] = colour_of(track)
            if high - low > width(str(track), 13) + 6:
                write(drawn, str(track), (int(low) + 3, self.high - 8), 13, BLACK)

    def _cuts(self, drawn: Array) -> None:
        """Dotted lines where a shot begins."""
        shot, times = column(self.seen.tracks, "shot"), self.seen.tracks.times[:, 0]
        for x in self._x(times[1:][np.diff(shot) != 0]):
            drawn[ABOVE : self.high - BELOW : 4, x] = PALE


def transcript(text: str, wide: int, lines: int) -> tuple[Array, str]:
    """A strip (height, wide, 3) with a transcript, and the characters that it lacks."""
    line, missing = drawable(text)
    rows = wrapped(line or "(no transcript)", LETTER + 4, wide - 2 * EDGE, lines)
    step = LETTER + 12
    strip = np.full((2 * EDGE + step * len(rows), wide, 3), DARK, np.uint8)
    for k, row in enumerate(rows):
        write(strip, row, (EDGE, EDGE + k * step + LETTER + 4), LETTER + 4, WHITE if line else PALE)
    return strip, missing
