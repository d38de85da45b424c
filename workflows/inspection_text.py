"""Text in pictures, in any script that OpenCV's own font has: no font of the machine is needed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from ..cache.errors import BadCall
from ..cache.records import Array

Colour = tuple[int, int, int]
#: Written in place of a character that the font has not; OpenCV writes a question mark then.
MISSING = "\N{WHITE SQUARE}"
#: Ends a text that is cut short.
MORE = "\N{HORIZONTAL ELLIPSIS}"


@cache
def _font() -> Any:
    """The font with Latin, Greek, Cyrillic, Chinese, Japanese and Korean letters.

    Raises:
        BadCall: this OpenCV has no fonts of its own.
    """
    import cv2

    if not hasattr(cv2, "FontFace"):
        raise BadCall(
            f"drawing needs OpenCV 5, whose fonts have Chinese letters too; this is "
            f"{cv2.__version__}: pip install 'opencv-python-headless>=5'"
        )
    return cv2.FontFace("uni")


def write(image: Array, text: str, place: tuple[int, int], size: int, colour: Colour) -> None:
    """Write a line into a picture.

    Args:
        image: (height, width, 3) uint8, written to.
        text: one line.
        place: x of its left end and y of the line on which it stands, pixels.
        size: of the letters in pixels.
        colour: in the order of the picture's channels.
    """
    import cv2

    cv2.putText(image, text, place, colour, _font(), size, 0, wrap=(0, 1 << 20))


def width(text: str, size: int) -> int:
    """How many pixels a line takes."""
    import cv2

    left, _, wide, _ = cv2.getTextSize((0, 0), text, (0, 0), _font(), size, 0)
    return int(left + wide)


def drawable(text: str) -> tuple[str, str]:
    """A text as it can be drawn in one line, and the characters of it that cannot, each once."""
    line = " ".join(text.split())
    missing = [letter for letter in dict.fromkeys(line) if _is_missing(letter)]
    for letter in missing:
        line = line.replace(letter, MISSING)
    return line, "".join(missing)


@cache
def _is_missing(letter: str) -> bool:
    return letter != "?" and not letter.isspace() and _drawn(letter) == _drawn("?")


def _drawn(letter: str) -> bytes:
    image = np.zeros((48, 48, 3), np.uint8)
    write(image, letter, (4, 36), 24, (255, 255, 255))
    return image.tobytes()


def wrapped(text: str, size: int, room: int, most: int) -> list[str]:
    """A text in lines, broken at spaces; anywhere in scripts without them and in endless words.

    Args:
        text: one line.
        size: of the letters in pixels.
        room: width of a line in pixels.
        most: lines; what does not fit is cut short.
    """
    lines = [""]
    for piece in _pieces(text, size, room):
        if width(lines[-1] + piece.rstrip(), size) <= room:
            lines[-1] += piece
            continue
        if len(lines) == most:
            return [*lines[:-1], _shortened(lines[-1] + piece, size, room)]
        lines.append(piece)
    return [line.rstrip() for line in lines]


def _pieces(text: str, size: int, room: int) -> Iterator[str]:
    """What a line may not be broken within: words, and single letters beyond U+2E7F (Chinese)."""
    for piece in re.findall(r"[\u2e80-\U0010ffff] *|[^\u2e80-\U0010ffff ]+ *", text):
        yield from [piece] if width(piece.rstrip(), size) <= room else piece


def _shortened(line: str, size: int, room: int) -> str:
    while line and width(line + MORE, size) > room:
        line = line[:-1]
    return line.rstrip() + MORE
