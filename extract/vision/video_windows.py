"""A stream of pictures cut into windows that overlap, held two at most."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ...cache.records import Array

#: A piece of a stream: times (k, 2) s, pictures (k, size, size, 3) uint8, mask (k,) bool.
Piece = tuple[Array, Array, Array]


@dataclass(frozen=True, eq=False)
class VideoWindow:
    """A part of a video that is read at once; numbers count the video's pictures.

    Args:
        start: its first picture.
        keep_start: the first picture whose rows are taken from it.
        keep_end: the picture after the last of them.
        times: (n, 2) seconds.
        pictures: (n, size, size, 3) uint8 RGB.
        mask: (n,) bool, True where there is a face.
    """

    start: int
    keep_start: int
    keep_end: int
    times: Array
    pictures: Array
    mask: Array


def video_windows(
    pieces: Iterable[Piece], size: int, overlap: int, align: int, stride: int
) -> Iterator[VideoWindow]:
    """Cut a video into windows of ``size`` pictures; each row is taken where it lies inner.

    Windows begin at multiples of ``align``. The last one ends with the video and is as long as
    the others (up to ``align`` pictures longer), so that no row is computed from a short rest.

    Args:
        pieces: the video, in order.
        size: pictures of a window, a multiple of ``align``.
        overlap: pictures that two neighbours share at least, a multiple of ``align`` below
            ``size``.
        align: see above.
        stride: pictures from row to row, which divides ``align``.
    """
    held: list[Array] = []  # times, pictures, mask from ``first`` on
    first = start = kept = 0  # ``start``: of the next window; ``kept``: up to where rows are taken
    for piece in pieces:
        both = zip(held, piece, strict=True) if held else ((part,) for part in piece)
        held = [np.concatenate(parts) for parts in both]
        # One more picture must follow: otherwise this is the last window.
        while first + len(held[0]) > start + size:
            keep_end = start + size - overlap // 2 // stride * stride
            part = [array[start - first :][:size] for array in held]
            yield VideoWindow(start, kept, keep_end, part[0], part[1], part[2])
            kept = keep_end
            dropped = start - first  # this window stays: the last one may reach back into it
            held, first = [array[dropped:] for array in held], start
            start += size - overlap
    if held:
        end = first + len(held[0])
        last = max(first, (end - size) // align * align) if start else 0
        part = [array[last - first :] for array in held]
        yield VideoWindow(last, kept, end, part[0], part[1], part[2])
