"""An inspection as a file: a movie with its sound, or a contact sheet."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ..cache.errors import BadCall, NoAudio
from ..cache.names import temporary
from ..cache.publish import publish, store_errors
from ..cache.records import Array
from ..extract.clip import Clip, Frame
from ..extract.vision.mouth_motion import SOUND_RATE
from .inspection import Inspection
from .inspection_drawing import CROP, DARK, EDGE, LETTER, PALE, Drawer, Strip, fitted, transcript
from .inspection_text import write

MOVIE, SHEET = ".mp4", ".png"
#: Width of a movie in pixels, at least and at most; of a picture on a sheet.
LEAST, MOST, CELL = 800, 1280, 420
#: Pictures on a sheet: across and down. The crop below each, in pixels.
ACROSS, DOWN, SMALL = 4, 3, 96
#: Lines of the transcript.
LINES = {MOVIE: 3, SHEET: 8}
#: Samples of sound that are encoded at once.
PIECE = 1 << 16


def check_out(out: Path, media: str | None) -> None:
    """See to it, before the work, that the file can be written.

    Raises:
        BadCall: its ending is of another kind, its folder is not there, or it is the clip.
    """
    if out.suffix.lower() not in LINES:
        raise BadCall(f"--out must end in .mp4 (a movie) or .png (a contact sheet), not '{out}'")
    if not out.parent.is_dir():
        raise BadCall(f"there is no folder '{out.parent}' to write '{out.name}' to; make it first")
    if not os.access(out.parent, os.W_OK):
        raise BadCall(f"the folder '{out.parent}' may not be written to; give another --out")
    if media is not None and out.exists() and out.samefile(media):
        raise BadCall(f"--out is the clip itself, '{out}'; give another name")


def write_inspection(seen: Inspection, out: Path) -> str:
    """Write a movie or a contact sheet, whole or not at all.

    Args:
        seen: what was found.
        out: ``.mp4`` or ``.png``; what is there is replaced.

    Returns:
        The characters of the transcript that could not be drawn, each once.

    Raises:
        StoreFull: the file system has no room.
        StoreReadOnly: it refuses to be written to.
    """
    if out.suffix.lower() == SHEET:
        return _write_sheet(seen, out)
    part = temporary(out)
    with store_errors(out):
        try:
            missing = _write_movie(seen, part)
            os.replace(part, out)
        finally:
            part.unlink(missing_ok=True)
    return missing


def _write_movie(seen: Inspection, path: Path) -> str:
    import av

    pictures = _movie_pictures(seen)
    first, missing = next(pictures)
    sound = _sound(seen.clip)
    rate = Fraction(seen.rate).limit_denominator(1001)
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as out:
        video = out.add_stream("libx264", rate=rate)
        video.height, video.width = first.shape[:2]
        video.pix_fmt = "yuv420p"
        video.options = {"preset": "veryfast", "crf": "20"}
        track = None
        if sound is not None:
            track = _Sound(out, out.add_stream("aac", rate=SOUND_RATE, layout="mono"), sound)
        for k, picture in enumerate(_from(first, pictures)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = k, 1 / rate
            out.mux(video.encode(frame))
            if track is not None:
                track.until((k + 1) / seen.rate)
        out.mux(video.encode(None))
        if track is not None:
            track.close(seen.seconds)
    return missing


def _from(first: Array, rest: Iterator[tuple[Array, str]]) -> Iterator[Array]:
    yield first
    for picture, _ in rest:
        yield picture


def _sound(clip: Clip) -> Array | None:
    """What the extractors hear; None where there is no sound."""
    try:
        return clip.audio(SOUND_RATE).samples
    except NoAudio:
        return None


class _Sound:
    """The sound of a movie, written along with its pictures so that neither waits in memory.

    Args:
        out: the open file.
        stream: of the sound.
        samples: (n,) float32 at ``SOUND_RATE``.
    """

    def __init__(self, out: Any, stream: Any, samples: Array) -> None:
        import av

        self.out, self.stream, self.samples = out, stream, samples
        self.done = 0
        size = stream.codec_context.frame_size or 1024
        self.pack = av.AudioResampler("fltp", "mono", SOUND_RATE, size)

    def until(self, time: float) -> None:
        """Write what is heard before a time in seconds."""
        import av

        last = min(round(time * SOUND_RATE), len(self.samples))
        if last <= self.done:
            return
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(self.samples[None, self.done : last]), "fltp", "mono"
        )
        frame.sample_rate, frame.time_base = SOUND_RATE, Fraction(1, SOUND_RATE)
        frame.pts = self.done
        self.done = last
        self._write(self.pack.resample(frame))

    def close(self, time: float) -> None:
        """Write the rest, up to the end of the pictures."""
        self.until(time)
        self._write(self.pack.resample(None))
        self.out.mux(self.stream.encode(None))

    def _write(self, pieces: list[Any]) -> None:
        for piece in pieces:
            self.out.mux(self.stream.encode(piece))


def _movie_pictures(seen: Inspection) -> Iterator[tuple[Array, str]]:
    """The pictures of a movie, each with the characters that its transcript lacks."""
    drawer: Drawer | None = None
    for number, frame in seen.pictures():
        if drawer is None:  # the first picture says how large they are
            drawer = Drawer(seen, fitted(frame.image.shape, LEAST, MOST))
            wide = drawer.size[0]
            strip = Strip(seen, wide - CROP)
            below, missing = transcript(seen.clip.text, wide, LINES[MOVIE])
        caption = np.full((LETTER + EDGE, wide, 3), DARK, np.uint8)
        write(caption, drawer.said(number), (EDGE, LETTER), LETTER, PALE)
        curve = np.hstack([drawer.crop(frame, CROP), strip.at(frame.time)])
        whole = np.vstack([drawer.picture(number, frame), caption, curve, below])
        yield np.ascontiguousarray(whole[: len(whole) // 2 * 2]), missing


def _write_sheet(seen: Inspection, out: Path) -> str:
    import cv2

    spread = np.linspace(0, len(seen) - 1, ACROSS * DOWN).round().astype(int)
    cells: list[Array] = []
    drawer: Drawer | None = None
    for number, frame in seen.pictures():
        if drawer is None:  # the first picture says how large they are
            drawer = Drawer(seen, fitted(frame.image.shape, CELL, CELL), LETTER - 3)
        if number in spread:
            cells.append(_cell(drawer, number, frame))
    cells += [np.full_like(cells[0], DARK[0])] * (-len(cells) % ACROSS)
    rows = [np.hstack(cells[k : k + ACROSS]) for k in range(0, len(cells), ACROSS)]
    wide = rows[0].shape[1]
    below, missing = transcript(seen.clip.text, wide, LINES[SHEET])
    whole = np.vstack([*rows, Strip(seen, wide, 2 * CROP).still, below])
    done, data = cv2.imencode(SHEET, cv2.cvtColor(whole, cv2.COLOR_RGB2BGR))
    assert done  # a picture of bytes can always be written as PNG
    publish(out, data.tobytes(), replace=True)
    return missing


def _cell(drawer: Drawer, number: int, frame: Frame) -> Array:
    """One picture of a sheet, with its crop and what is to be said of it below."""
    picture = drawer.picture(number, frame)
    foot = np.full((SMALL, picture.shape[1], 3), DARK, np.uint8)
    foot[:, :SMALL] = drawer.crop(frame, SMALL)
    for k, line in enumerate(drawer.said(number).split("   ")):
        write(foot, line, (SMALL + EDGE, 24 + 26 * k), LETTER, PALE)
    edges = ((EDGE, EDGE), (EDGE, EDGE), (0, 0))
    return np.pad(np.vstack([picture, foot]), edges, constant_values=DARK[0])
