"""One utterance's media as extractors see it: decoded on first use, once, and bounded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..cache.errors import BadInput, NoAudio, NoVideo
from ..cache.records import Array, Features
from .ahead import read_ahead

if TYPE_CHECKING:
    from .damage import Shown

#: Decoded pictures of one clip are kept, as the decoder gave them, for the next extractor and for
#: any rate, up to this many bytes: at 25 Hz 62 s of 640x360 or 7 s of 1920x1080; a longer clip is
#: decoded again.
FRAMES_KEPT = 512 << 20
#: How often on the way to that it is asked whether all of them will be more.
LOOKS = 8
#: Damaged spans that a warning lists.
SPANS_TOLD = 3


@dataclass(frozen=True, eq=False)
class Waveform:
    """Mono sound.

    Args:
        samples: (n_samples,) float32, full scale is [-1, 1]; may pass it where a file clips.
        rate: samples per second, Hz.
    """

    samples: Array
    rate: int

    def __post_init__(self) -> None:
        if self.samples.ndim != 1 or self.samples.dtype != np.float32:
            raise BadInput(
                f"a waveform is one-dimensional float32, got {self.samples.dtype} "
                f"of shape {self.samples.shape}"
            )

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.rate


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture on a regular grid of times.

    Args:
        image: (height, width, 3) uint8 RGB, upright.
        time: start of its grid step in seconds from the start of the utterance: k / rate.
        shown: true presentation time of the picture in the same clock: the latest that is at
            most ``time`` plus 1 ms; later only where the first picture stands in for an earlier
            time, before 0 where a segment starts within a picture.
        index: number of the picture in the source, counted from the first one shown; two grid
            steps with the same index show the same picture and share one array.
        readable: False where the file is damaged and nothing can be shown: ``image`` is black
            then, and a row of this time must be masked.
    """

    image: Array
    time: float
    shown: float
    index: int
    readable: bool = True


@dataclass(eq=False)
class Clip:
    """Media, segment, transcript and upstream features of one utterance.

    Args:
        id: the utterance's id, for messages.
        media: path of the file, or None.
        start: first second of the segment; None: from the beginning.
        end: end of the segment in seconds (half open); None: to the end.
        text: transcript.
        features: upstream features by role.
        warnings: what extractors had to say of it so far; see ``warn``.
        ahead: pictures that a thread decodes ahead of the extractor; 0: none, no thread.
        _frames: pictures that are in memory already, by rate; they are not decoded.
    """

    id: str
    media: str | None = None
    start: float | None = None
    end: float | None = None
    text: str = ""
    features: dict[str, Features] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    ahead: int = 0
    _audio: dict[int, Waveform] = field(default_factory=dict, repr=False)
    _frames: dict[float, list[Frame]] = field(default_factory=dict, repr=False)
    _decoded: list[Shown] | None = field(default=None, repr=False)

    def warn(self, message: str) -> None:
        """Note something that a user of the features should know, though they could be made.

        A run writes it down with the utterance and the node; a call in a notebook turns it into
        an ``InputWarning``.
        """
        self.warnings.append(message)

    def audio(self, rate: int) -> Waveform:
        """Sound of the segment at a rate in Hz.

        Raises:
            NoAudio: there is no media or it has no audio stream.
            BadMedia: it cannot be decoded.
        """
        if self.media is None:
            raise NoAudio(f"utterance '{self.id}' has no media file, so no audio")
        if rate not in self._audio:
            from .media import read_audio

            self._audio[rate] = read_audio(self.media, rate, self.start, self.end)
        return self._audio[rate]

    def forget_audio(self) -> None:
        """Let go of the decoded sound: for extractors that hold many clips before one is done."""
        self._audio.clear()

    def frames(self, rate: float) -> Iterable[Frame]:
        """Pictures of the segment at a rate in Hz, in order.

        Where damage left none, black ones stand in that are not ``readable``, with a warning.
        What is decoded is kept for the next caller, whatever its rate, if it was read to the end
        and is not larger than ``FRAMES_KEPT``.

        Raises:
            NoVideo: there is no media or it has no video stream.
            BadMedia: it cannot be decoded.
        """
        if self.media is None:
            raise NoVideo(f"utterance '{self.id}' has no media file, so no pictures")
        if rate in self._frames:
            return self._frames[rate]
        return self._on_grid(rate)

    def _on_grid(self, rate: float) -> Iterator[Frame]:
        from .pictures import on_grid

        frames = on_grid(self._told(), rate, self.start or 0.0, self.end)
        return read_ahead(frames, self.ahead) if self.ahead else frames

    def _told(self) -> Iterator[Shown]:
        """Pictures of the segment; a warning at their end where damage left none."""
        from .damage import Unreadable

        lost = []
        start, end = self.start or 0.0, float("inf") if self.end is None else self.end
        for item in self._pictures():
            if isinstance(item, Unreadable):
                span = max(float(item.start), start), min(float(item.end), end)
                lost += [(span[0] - start, span[1] - start)] if span[1] > span[0] else []
            yield item
        if lost:
            parts = ", ".join(f"{a:.2f}-{b:.2f} s" for a, b in lost[:SPANS_TOLD])
            more = f" and {len(lost) - SPANS_TOLD} more" if len(lost) > SPANS_TOLD else ""
            message = (
                f"the file is damaged: {sum(b - a for a, b in lost):.2f} s of its pictures could "
                f"not be read ({parts}{more}); rows there are masked"
            )
            if message not in self.warnings:  # one node may read the pictures twice
                self.warn(message)

    def _pictures(self) -> Iterator[Shown]:
        """Decoded pictures: the kept ones, or those of the file, kept for the next caller."""
        if self._decoded is not None:
            yield from self._decoded
            return
        from .damage import Unreadable
        from .media import read_pictures

        assert self.media is not None
        kept: list[Shown] = []
        size, whole, look = 0, True, FRAMES_KEPT // LOOKS
        for item in read_pictures(self.media, self.start, self.end):
            if kept and kept[-1].start <= item.start <= (self.start or 0.0):
                kept, size = [], 0  # the one before is over when the segment begins
            if not isinstance(item, Unreadable):
                size += sum(plane.buffer_size for plane in item.frame.planes)
            if whole and size > look:
                reached = float(item.start + item.duration)
                whole = size * self._times_as_long(reached) <= FRAMES_KEPT
                look += FRAMES_KEPT // LOOKS
            if whole:
                kept.append(item)
            else:
                kept = []  # too long: its memory is given back at once
            yield item
        if whole:
            self._decoded = kept

    def _times_as_long(self, reached: float) -> float:
        """How many times as long the segment is as its part up to ``reached`` seconds.

        At least 1, which also stands for a file that does not say how long it is.
        """
        from .media import probe

        assert self.media is not None
        start = self.start or 0.0
        end = self.end if self.end is not None else probe(self.media).duration
        times = (end - start) / max(reached - start, 1e-3)
        return max(times, 1.0) if math.isfinite(times) else 1.0
