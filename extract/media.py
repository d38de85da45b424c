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
from fractions import Fraction
from pathlib import Path

import numpy as np

from ..cache.errors import BadCall, BadInput, BadMedia
from .clip import Waveform
from .container import has_decoder, open_media
from .damage import Shown
from .sound import Line

#: Seconds that are no picture but a rounding of times.
ROUNDING = 1e-6


@dataclass(frozen=True)
class MediaInfo:
    """What a file says about itself; nothing is decoded to find out.

    Args:
        duration: seconds, by the file's own account; NaN where it gives none.
        has_audio: whether there is a sound stream.
        has_video: whether there is a picture stream (an album's cover is none).
        width: width of the pictures as stored (before any rotation), pixels; 0: none, or unknown.
        height: height of the same.
        fps: mean rate of the pictures, Hz; 0: none, or unknown.
        audio_rate: samples per second, Hz; 0: none, or unknown.
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
        pictures = video.codec_context if video is not None and has_decoder(video) else None
        sound = audio.codec_context if audio is not None and has_decoder(audio) else None
        return MediaInfo(
            duration=math.nan if micros is None else micros / 1e6,
            has_audio=audio is not None,
            has_video=video is not None,
            width=pictures.width if pictures is not None else 0,
            height=pictures.height if pictures is not None else 0,
            fps=float(rate) if rate else 0.0,
            audio_rate=sound.sample_rate if sound is not None else 0,
            channels=sound.channels if sound is not None else 0,
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
        line = Line(rate, first, last)
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
        samples = line.samples(last)
        if not np.isfinite(samples).all():
            raise BadMedia(f"the sound of '{path}' holds values that are no numbers (NaN or inf)")
        return Waveform(samples, rate)


def read_pictures(
    path: str | Path, start: float | None = None, end: float | None = None
) -> Iterator[Shown]:
    """Decoded pictures of a file or of a segment of it, in order; nothing is converted.

    The first ones may lie before the segment (decoding begins at a key picture), the last one
    begins at its end or after it, if there is such a one. Where damage left no picture that can be
    trusted, the span is given instead. See ``on_grid`` for frames of them.

    Args:
        path: a local media file.
        start: first second; None: 0.
        end: second at which to stop (half open); None: the end of the pictures.

    Raises:
        NoVideo: the file has no pictures.
        BadMedia: it cannot be decoded, or less of it than it promises.
        BadInput: the segment lies outside the pictures, or is longer than ``MAX_SECONDS``.
    """
    begin = _checked_start(start, end)
    with open_media(path) as source:
        decoding = source.pictures()
        for item in decoding.pictures(begin):
            yield item
            if end is not None and item.start >= end:
                break
        decoding.check(end)
        if decoding.reached - Fraction(begin) <= ROUNDING:
            raise decoding.outside(begin, end)


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
