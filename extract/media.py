"""Decode sound and pictures of media files; what PyAV gives, on a clock and in shapes of ours.

All times are seconds from the file's zero: the earliest start of a sound or picture stream
(``container.py``). A beep and a flash made at the same instant come out at the same time, also
where one stream starts later: there sound begins with silence, and the first picture is shown
from the beginning.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from ..cache.errors import BadCall, BadInput, BadMedia
from ..cache.records import Array
from .clip import Frame, Waveform
from .container import Decoded, open_media
from .resample import length, resample, window

#: Times in files are rounded, to milliseconds at worst: a picture that comes this much after a
#: grid time, in seconds, still serves it.
TOLERANCE = 0.001
#: A jump in the times of the sound is a gap or an overlap from this many seconds on; less is
#: rounding, and the samples are taken to follow each other.
JUMP = 0.020


@dataclass(frozen=True)
class MediaInfo:
    """What a file says about itself; nothing is decoded to find out.

    Args:
        duration: seconds, by the file's own account; NaN where it gives none.
        has_audio: whether there is a sound stream.
        has_video: whether there is a picture stream (an album's cover is none).
        width: width of the pictures as stored (before any rotation), pixels; 0: none.
        height: height of the same.
        fps: mean rate of the pictures, Hz; 0: none, or unknown.
        audio_rate: samples per second, Hz; 0: none.
        channels: channels of sound; 0: none.
    """

    duration: float
    has_audio: bool
    has_video: bool
    width: int
    height: int
    fps: float
    audio_rate: int
    channels: int


def probe(path: str | Path) -> MediaInfo:
    """Say what a media file holds.

    Raises:
        BadMedia: it is missing, or no media file that can be read.
    """
    with open_media(path) as source:
        audio, video = source.audio(), source.video()
        micros = source.container.duration
        rate = video.average_rate if video is not None else None
        return MediaInfo(
            duration=math.nan if micros is None else micros / 1e6,
            has_audio=audio is not None,
            has_video=video is not None,
            width=video.codec_context.width if video is not None else 0,
            height=video.codec_context.height if video is not None else 0,
            fps=float(rate) if rate else 0.0,
            audio_rate=audio.codec_context.sample_rate if audio is not None else 0,
            channels=audio.codec_context.channels if audio is not None else 0,
        )


def read_audio(
    path: str | Path, rate: int, start: float | None = None, end: float | None = None
) -> Waveform:
    """Sound of a file or of a segment of it, mono, at a rate.

    Channels are averaged, integers scaled to [-1, 1], gaps filled with silence. Sample k belongs to
    the time ``start + k / rate``. A segment holds exactly the samples
    ``[round(start * rate), round(end * rate))`` of the whole file; it is shorter where the sound
    ends earlier. Nothing is clipped: resampling and float formats may pass full scale.

    Args:
        path: a local media file.
        rate: samples per second that are wanted, Hz.
        start: first second; None: 0.
        end: second at which to stop (half open); None: the end of the sound.

    Raises:
        NoAudio: the file has no sound.
        BadMedia: it cannot be decoded, or less of it than it promises.
        BadInput: the segment lies outside the sound, or is longer than ``MAX_SECONDS``.
        BadCall: the rate is not a positive whole number.
    """
    if not (isinstance(rate, int) and rate > 0):
        raise BadCall(f"the rate of sound must be a whole number of Hz above 0, not {rate!r}")
    begin = _checked_start(start, end)
    first = round(begin * rate)
    last = None if end is None else round(end * rate)
    with open_media(path) as source:
        decoding = source.sound()
        line = _Line(rate, first, last)
        for item in decoding.frames(begin):
            if not line.add(item):
                break
        else:
            line.close(padded=source.format == "mov")
        decoding.check(end)
        known = line.length()
        last = known if last is None else min(last, known)
        if last <= first:
            raise decoding.outside(begin, end)
        samples = line.samples(first, last)
        if not np.isfinite(samples).all():
            raise BadMedia(f"the sound of '{path}' holds values that are no numbers (NaN or inf)")
        return Waveform(samples, rate)


class _Line:
    """The sound's own samples on the file's clock, as far as samples [first, last) need them."""

    def __init__(self, rate: int, first: int, last: int | None) -> None:
        self.rate, self.first, self.last = rate, first, last
        self.native = 0  # Hz; known from the first frame (a header may say half of it)
        self.end = 0  # number of the sample after the last one added
        self.pieces: list[tuple[int, Array]] = []  # number of the first sample, (n,) float32
        self.newest: Decoded[AudioFrame] | None = None

    def add(self, item: Decoded[AudioFrame]) -> bool:
        """Put a frame in its place; False, and nothing is done, once all that is needed is there.

        Raises:
            BadMedia: the rate changes within the file.
        """
        rate = item.frame.sample_rate
        if not self.native:
            self.native = rate
            self.left, self.right = window(self.first, self.last, self.rate, rate)
        if rate != self.native:
            raise BadMedia(
                f"the sound changes from {self.native} Hz to {rate} Hz at {float(item.start):.2f} s"
                "; convert the file to one rate"
            )
        place = round(item.start * rate)
        if self.newest is not None and abs(place - self.end) < JUMP * rate:
            place = self.end
        if self.right is not None and place >= self.right:
            return False
        stop = place + item.frame.samples
        if stop > max(self.left, self.end):
            piece = _mono(item.frame)[max(self.end - place, 0) if self.newest is not None else 0 :]
            self.pieces.append((stop - len(piece), piece))
        self.end = max(self.end, stop)
        self.newest = item
        return True

    def close(self, padded: bool) -> None:
        """Take away what an encoder added to fill its last frame, where the file says how much."""
        if padded and self.newest is not None:
            extra = self.newest.frame.samples - round(self.newest.duration * self.native)
            self.end -= max(extra, 0)

    def length(self) -> int:
        """Samples from zero to the end of what was added, at the rate that is wanted."""
        return length(self.end, self.rate, self.native) if self.native else 0

    def samples(self, first: int, last: int) -> Array:
        """Samples [first, last) at the rate that is wanted, (last - first,) float32."""
        left, right = window(first, last, self.rate, self.native)
        assert right is not None
        whole = np.zeros(min(right, self.end) - left, np.float32)
        for place, piece in self.pieces:
            begin = max(place, left)
            stop = min(place + len(piece), left + len(whole))
            if stop > begin:
                whole[begin - left : stop - left] = piece[begin - place : stop - place]
        return resample(whole, left, first, last, self.rate, self.native)


def _mono(frame: AudioFrame) -> Array:
    """Mean of a frame's channels, (n_samples,) float32 with full scale at 1."""
    values: Array = frame.to_ndarray()  # (channels, n) planar, (1, n * channels) packed
    if frame.format.is_packed:
        values = values.reshape(-1, len(frame.layout.channels)).T
    if values.dtype == np.float32 or values.dtype == np.int16:
        mean = values.mean(axis=0, dtype=np.float32) if len(values) > 1 else values[0]
    else:
        mean = values.mean(axis=0, dtype=np.float64)
    if values.dtype.kind == "u":
        return ((mean - 128) / 128).astype(np.float32)
    if values.dtype.kind == "i":
        return (mean / 2.0 ** (8 * values.itemsize - 1)).astype(np.float32)
    return mean.astype(np.float32)


def read_frames(
    path: str | Path, rate: float, start: float | None = None, end: float | None = None
) -> Iterator[Frame]:
    """Pictures of a file or of a segment of it, on a regular grid of times; one is held at a time.

    Grid step k stands at ``k / rate`` seconds from ``start`` and shows the picture that a player
    shows then: the latest one that has begun (``TOLERANCE`` later still counts), and the first
    one also before it begins. Pictures are RGB, turned and mirrored upright as the file says, and
    of the size that is stored: pixels that are not square stay so. Steps that show the same
    picture share one array; do not write into it.

    Args:
        path: a local media file.
        rate: steps a second, Hz.
        start: first second; None: 0.
        end: second at which to stop (half open); None: the end of the pictures.

    Raises:
        NoVideo: the file has no pictures.
        BadMedia: it cannot be decoded, or less of it than it promises.
        BadInput: the segment lies outside the pictures, or is longer than ``MAX_SECONDS``.
        BadCall: the rate is not above 0.
    """
    if not (math.isfinite(rate) and rate > 0):
        raise BadCall(f"the rate of frames must be a number of Hz above 0, not {rate!r}")
    begin = _checked_start(start, end)
    with open_media(path) as source:
        decoding = source.pictures()
        grid = _Grid(rate, begin, end)
        stop = end
        for item in decoding.frames(begin):
            yield from grid.until(item)
            if grid.done:  # perhaps before the end: the last step comes earlier
                stop = float(decoding.reached)
                break
        else:
            yield from grid.rest()
        decoding.check(stop)
        if grid.step == 0:
            raise decoding.outside(begin, end)


class _Grid:
    """Hands each grid step the picture that is shown then; converts only those that are used."""

    def __init__(self, rate: float, start: float, end: float | None) -> None:
        self.rate, self.start = rate, start
        self.steps = math.inf if end is None else _count((end - start) * rate)
        self.step = 0  # the next one to be filled
        self.number = 0  # of the held picture, counted from the first one used
        self.held: Decoded[VideoFrame] | None = None
        self.image: Array | None = None  # the held picture once it was used
        self.convert = VideoReformatter()

    @property
    def done(self) -> bool:
        return self.step >= self.steps

    def until(self, item: Decoded[VideoFrame]) -> Iterator[Frame]:
        """Fill the steps before ``item`` is shown, then hold it."""
        if self.held is None:
            self.held = item
        if item.start < self.held.start:
            return  # out of order: a player would not show it either
        shown = float(item.start) - TOLERANCE
        while not self.done and self.start + self.step / self.rate < shown:
            yield self._fill()
        if item is not self.held:
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
        if self.image is None:
            self.image = _upright(self.held.frame, self.convert)
        time = self.step / self.rate
        self.step += 1
        return Frame(self.image, time, float(self.held.start) - self.start, self.number)


def _count(steps: float) -> int:
    """Grid steps in a half-open span; what is a rounding error over a whole step is none."""
    return max(math.ceil(steps - 1e-6), 0)


def _upright(frame: VideoFrame, convert: VideoReformatter) -> Array:
    """One picture as it is to be seen, (height, width, 3) uint8 RGB.

    Raises:
        BadMedia: it is to be turned by something else than quarter turns.
    """
    rgb: Array = convert.reformat(frame, format="rgb24", threads=1).to_ndarray()
    turn = frame.side_data.get("DISPLAYMATRIX")
    if turn is not None:
        # Nine fixed-point numbers by rows; (x, y) is shown at (a x + c y, b x + d y).
        a, b, _, c, d = (np.frombuffer(cast(bytes, turn), np.int32)[:5] / 65536).round(3)
        if abs(a) == abs(d) == 1 and b == c == 0:
            rgb = rgb[:: int(d), :: int(a)]
        elif abs(b) == abs(c) == 1 and a == d == 0:
            rgb = rgb.transpose(1, 0, 2)[:: int(b), :: int(c)]
        else:
            raise BadMedia(
                f"the pictures are to be shown by the matrix [{a:g} {b:g}; {c:g} {d:g}]; only "
                "quarter turns and mirrors are understood: convert the file to upright pictures"
            )
    return np.array(rgb, order="C")  # a copy: the decoder's memory is used again


def _checked_start(start: float | None, end: float | None) -> float:
    """The first second of a segment.

    Raises:
        BadInput: it is before 0, or not before the end.
    """
    begin = 0.0 if start is None else float(start)
    if not (math.isfinite(begin) and begin >= 0):
        raise BadInput(f"a segment must start at 0 s or later, not at {start!r} s")
    if end is not None and not end > begin:
        raise BadInput(f"a segment's end ({end!r} s) must come after its start ({begin!r} s)")
    return begin
