"""Decode one stream of an open media file, and keep account of what could not be decoded."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Generic, TypeVar

import av.error
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ..cache.errors import BadInput, BadMedia, NoAudio, NoVideo

#: Pictures with more pixels than this are refused.
MAX_PIXELS = 8192 * 8192
#: Longest stretch that one call decodes, in seconds.
MAX_SECONDS = 2 * 3600.0
#: A stretch of which less than this share can be decoded is an error, not a shorter result.
ENOUGH = 0.95
#: Formats whose index makes seeking exact; others are decoded from their beginning.
_INDEXED = ("avi", "mov", "matroska")
#: Pictures come at most this much later than they lie in the file (reordered B frames).
_REORDERED = 1.0
#: Times that go back by more seconds than this begin anew: the file was joined from several.
_BACK = 1.0

F = TypeVar("F", AudioFrame, VideoFrame)


@dataclass(frozen=True)
class OpenFile:
    """A media file that was opened.

    Args:
        path: where it lies, for messages.
        container: the same, opened by PyAV.
        format: first name of its format, such as ``mov`` for mp4.
        zero: zero of our clock, in seconds on the file's own.
    """

    path: str
    container: InputContainer
    format: str
    zero: Fraction


@dataclass(frozen=True)
class Decoded(Generic[F]):
    """One decoded frame and when it is shown or heard, in exact seconds from the file's zero."""

    frame: F
    start: Fraction
    duration: Fraction


class Decoding(Generic[F]):
    """Decoding of one stream, with an account of what could not be decoded.

    A packet that the decoder refuses is left out; ``check`` tells whether too much is missing.
    Of pictures any span may be missing; ``damage.PictureDecoding`` says which.
    One thread decodes, so that results and costs do not depend on the machine's cores.

    Attributes:
        reached: end of what was decoded, in seconds from the file's zero.
        lost: seconds of packets that could not be decoded.
    """

    def __init__(self, file: OpenFile, stream: AudioStream | VideoStream, what: str) -> None:
        self.file = file
        self.stream = stream
        self.what = what
        self.reached = Fraction(0)
        self.lost = Fraction(0)
        self._from = Fraction(0)
        self._seen = Fraction(0)  # end of the packets of all streams, where that must be watched
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        if not self._promise_is_shared:
            for other in file.container.streams:
                if other is not stream:
                    other.discard = Discard.all  # saves reading a film's pictures for its sound

    @property
    def _promise_is_shared(self) -> bool:
        """Matroska promises a length for all streams together, so all have to be watched."""
        return self.file.format == "matroska" and self.file.container.duration is not None

    @property
    def promised(self) -> Fraction | None:
        """End of the stream by the file's own index in seconds; None where that is an estimate."""
        base, length = self.stream.time_base, self.stream.duration
        if self.file.format in ("mov", "flac") and base is not None and length is not None:
            return start_of(self.stream) + length * base - self.file.zero
        if self._promise_is_shared:
            whole = Fraction(self.file.container.duration or 0, 1_000_000)
            return whole if self._seen < ENOUGH * whole else None
        return None

    def frames(self, start: float = 0.0) -> Iterator[Decoded[F]]:
        """Decode in order of time, from a point that is no later than ``start``.

        A point in the middle is a key picture, from where decoding gives the same pictures as
        from the beginning. Sound is always decoded from the beginning: lossy decoders carry
        state (such as the random numbers of AAC's noise) and give other samples after a jump.

        Raises:
            BadInput: the stream is longer than ``MAX_SECONDS`` after ``start``.
            BadMedia: the file's index is damaged, or its times begin anew on the way.
        """
        self._from = Fraction(start)
        jump = self.stream.type == "video" and self.file.format in _INDEXED and start > _REORDERED
        if jump:
            self._seek(start - _REORDERED)
        decoded = self._decode(only_from_key=jump)
        first = next(decoded, None)
        if jump and (first is None or first.start > start):  # no key picture where one was due
            self._seek(0.0)
            decoded = self._decode(only_from_key=False)
            first = next(decoded, None)
        if first is None:
            return
        for item in itertools.chain([first], decoded):
            if item.start < self.reached - _BACK:
                raise BadMedia(
                    f"'{self.file.path}' is damaged or joined from several recordings: the times "
                    f"of its {self.what} go back from {float(self.reached):.2f} s to "
                    f"{float(item.start):.2f} s; convert it, so that they run on"
                )
            self.reached = max(self.reached, item.start + item.duration)
            if self.reached - self._from > MAX_SECONDS:
                raise BadInput(
                    f"more than {MAX_SECONDS / 3600:g} h of {self.what} were asked of "
                    f"'{self.file.path}'; give a start and an end"
                )
            yield item

    def _seek(self, time: float) -> None:
        assert self.stream.time_base is not None
        ticks = (Fraction(max(time, 0.0)) + self.file.zero) / self.stream.time_base
        try:
            self.file.container.seek(int(ticks), stream=self.stream)
        except av.error.FFmpegError as error:
            raise BadMedia(
                f"'{self.file.path}' is damaged: {time:.2f} s cannot be found in it ({error}); "
                "copy or export it again"
            ) from error

    def _decode(self, only_from_key: bool) -> Iterator[Decoded[F]]:
        end: Fraction | None = None
        step = self._usual_step()
        after_key = not only_from_key
        for packet in self._packets():
            for frame in self._frames_of(packet):
                # Pictures before the first key picture may lack what they were predicted from.
                after_key = after_key or bool(getattr(frame, "key_frame", True))
                base = frame.time_base
                if frame.pts is None or base is None:
                    start = Fraction(0) if end is None else end
                else:
                    start = frame.pts * base - self.file.zero
                length = frame.duration * base if frame.duration and base is not None else step
                end = start + length
                if after_key:
                    yield Decoded(frame, start, length)

    def _usual_step(self) -> Fraction:
        rate = self.stream.average_rate if isinstance(self.stream, VideoStream) else None
        return 1 / Fraction(rate) if rate else Fraction(0)

    def _packets(self) -> Iterator[Packet[Any]]:
        container = self.file.container
        streams = list(container.streams) if self._promise_is_shared else [self.stream]
        try:
            for packet in container.demux(streams):
                if len(streams) > 1 and packet.pts is not None and packet.time_base is not None:
                    end = (packet.pts + (packet.duration or 0)) * packet.time_base
                    self._seen = max(self._seen, end - self.file.zero)
                if packet.stream_index == self.stream.index:
                    yield packet
        except av.error.InvalidDataError:
            return  # what is missing then shows in `check`
        except av.error.OSError as error:
            raise OSError(error.errno, error.strerror, self.file.path) from error

    def _frames_of(self, packet: Packet[Any]) -> list[F]:
        try:
            return packet.decode()  # type: ignore[return-value]  # frames of its own stream
        except av.error.EOFError:
            return []
        except av.error.FFmpegError as error:
            if isinstance(error, MemoryError):
                raise MemoryError(f"no memory left to decode '{self.file.path}'") from error
            self._refuse(packet)
            return []

    def _refuse(self, packet: Packet[Any]) -> None:
        """Note a packet that could not be decoded."""
        base = packet.time_base
        if base is not None and packet.duration:
            time = (packet.pts or 0) * base - self.file.zero
            self.lost += packet.duration * base if time >= self._from else 0

    def check(self, end: float | None) -> None:
        """Tell whether all up to ``end`` in seconds was decoded; call it after the last frame.

        Raises:
            BadMedia: less than ``ENOUGH`` of it could be decoded: the file is damaged.
            NoAudio: the sound stream is there but empty.
            NoVideo: the picture stream is there but empty.
        """
        promised = self.reached if self.promised is None else self.promised
        wanted_end = promised if end is None else min(Fraction(end), promised)
        wanted = wanted_end - self._from
        got = self._readable(wanted_end)
        if wanted > 0 and got < ENOUGH * wanted:
            raise BadMedia(
                f"'{self.file.path}' is truncated or damaged: {max(float(got), 0):.2f} s of "
                f"{float(wanted):.2f} s of {self.what} could be decoded; copy or export it again"
            )
        if self.reached == 0 and self.lost > 0:
            raise BadMedia(f"'{self.file.path}' is damaged: none of its {self.what} can be decoded")
        if self.reached == 0:
            kind = NoAudio if self.what == "sound" else NoVideo
            raise kind(f"'{self.file.path}' has a stream for {self.what}, but nothing in it")

    def _readable(self, end: Fraction) -> Fraction:
        """Seconds up to ``end`` that were decoded."""
        return min(self.reached, end) - self._from - self.lost

    def outside(self, start: float, end: float | None) -> BadInput:
        """The error for a segment in which this stream has nothing."""
        span = f"{start:g} s to {'the end' if end is None else f'{end:g} s'}"
        return BadInput(
            f"segment from {span} has no {self.what}: in '{self.file.path}' they end at "
            f"{float(self.reached):.2f} s"
        )


def start_of(stream: AudioStream | VideoStream) -> Fraction:
    """Where a stream starts by its header, in seconds on the file's own clock."""
    if stream.start_time is None or stream.time_base is None:
        return Fraction(0)
    return stream.start_time * stream.time_base
