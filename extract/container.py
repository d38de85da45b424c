"""Open media files safely and decode one stream of them; `media.py` builds on it.

Only ordinary local files are opened, and only by demuxers that read nothing but that file:
playlists, concat scripts and session descriptions, which name other files or hosts, are refused.

One clock serves sound and pictures. Its zero is the earliest start of any sound or picture stream
of the file (the container's start time, not rounded to microseconds), as in a player; a start
before 0 is an encoder's delay, which decoding takes away, and counts as 0.
"""

from __future__ import annotations

import itertools
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Generic, TypeVar, cast

import av
import av.error
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ..cache.errors import BadInput, BadMedia, NoAudio, NoVideo

#: Demuxers that may open a file; none of them opens a second file.
FORMATS = (
    "aac,ac3,aiff,amr,asf,au,avi,caf,dv,eac3,flac,flv,h264,hevc,ivf,m4v,matroska,mjpeg,mov,mp3,"
    "mpeg,mpegts,mpegvideo,nut,ogg,rm,tta,w64,wav,wv"
)
#: Pictures with more pixels than this are refused.
MAX_PIXELS = 8192 * 8192
#: Longest stretch that one call decodes, in seconds.
MAX_SECONDS = 2 * 3600.0
#: A stretch of which less than this share can be decoded is an error, not a shorter result.
ENOUGH = 0.95
#: Formats whose index makes seeking exact; others are decoded from their beginning.
_INDEXED = ("mov", "matroska")
#: Pictures come at most this much later than they lie in the file (reordered B frames).
_REORDERED = 1.0

F = TypeVar("F", AudioFrame, VideoFrame)


@contextmanager
def open_media(path: str | Path) -> Iterator[Source]:
    """Open a local media file for reading.

    Raises:
        BadMedia: there is no such file, it is no plain file, or no media that can be read.
        OSError: the file system failed; trying again may help.
    """
    _check_file(Path(path))
    try:
        # The prefix keeps ffmpeg from reading a protocol ("concat:") out of a file's name.
        container = av.open(
            f"file:{path}", options={"protocol_whitelist": "file", "format_whitelist": FORMATS}
        )
    except av.error.FFmpegError as error:
        raise _opening_error(Path(path), error) from error
    with container:
        yield Source(str(path), container)


def _check_file(path: Path) -> None:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise BadMedia(f"no media file at '{path}'") from None
    if stat.S_ISDIR(status.st_mode):
        raise BadMedia(f"'{path}' is a folder; a media file was wanted")
    if not stat.S_ISREG(status.st_mode):
        raise BadMedia(f"'{path}' is a pipe or device; media are read from plain files only")
    if status.st_size == 0:
        raise BadMedia(f"'{path}' is empty (0 bytes); copy or export it again")
    with path.open("rb") as file:
        head = file.read(8)
    promised = int.from_bytes(head[4:8], "little") + 8
    streamed = promised in (8, 8 + 0xFFFFFFFF)  # the writer did not know the length
    if head[:4] == b"RIFF" and not streamed and status.st_size < ENOUGH * promised:
        raise BadMedia(
            f"'{path}' is truncated: {status.st_size} of {promised} bytes are there; "
            "copy or export it again"
        )


def _opening_error(path: Path, error: av.error.FFmpegError) -> Exception:
    if isinstance(error, OSError):  # the disk, the network file system, a permission
        return OSError(error.errno, error.strerror, str(path))
    with path.open("rb") as file:
        head = file.read(4096)
    text = head.lstrip(b"\xef\xbb\xbf \r\n")
    if text.startswith((b"#EXTM3U", b"ffconcat", b"v=0", b"<?xml", b"[playlist]")):
        return BadMedia(
            f"'{path}' is a playlist or script that names other files; media are opened as plain "
            "files only: give the media file itself"
        )
    if head[4:8] == b"ftyp" or b"mdat" in head[:64]:
        return BadMedia(
            f"'{path}' is truncated: an mp4 without its index ('moov'), which usually stands at "
            "the end; copy or export it again"
        )
    return BadMedia(
        f"'{path}' is not a media file that can be read (it begins with {head[:12]!r}); "
        "known are mp4, mov, mkv, webm, avi, mpg, ts, flv, wav, flac, mp3, ogg and others"
    )


@dataclass(frozen=True)
class Decoded(Generic[F]):
    """One decoded frame and when it is shown or heard, in exact seconds from the file's zero."""

    frame: F
    start: Fraction
    duration: Fraction


class Source:
    """An open media file.

    Args:
        path: where it lies, for messages.
        container: the same, opened by PyAV.
    """

    def __init__(self, path: str, container: InputContainer) -> None:
        self.path = path
        self.container = container
        self.format = container.format.name.split(",")[0]
        streams: list[AudioStream | VideoStream] = [*container.streams.audio, *self._videos()]
        starts = [_start(stream) for stream in streams]
        self.zero = max(min(starts, default=Fraction(0)), Fraction(0))

    def _videos(self) -> list[VideoStream]:
        """Streams of moving pictures; the cover of an album is none."""
        cover = Disposition.attached_pic
        return [s for s in self.container.streams.video if not s.disposition & cover]

    def audio(self) -> AudioStream | None:
        """The first sound stream, if there is one."""
        return next(iter(self.container.streams.audio), None)

    def video(self) -> VideoStream | None:
        """The first picture stream, if there is one."""
        return next(iter(self._videos()), None)

    def sound(self) -> Decoding[AudioFrame]:
        """Decoder of the sound.

        Raises:
            NoAudio: the file has none.
        """
        stream = self.audio()
        if stream is None:
            raise NoAudio(f"'{self.path}' has no audio stream{self._streams()}")
        return Decoding(self, stream, "sound")

    def pictures(self) -> Decoding[VideoFrame]:
        """Decoder of the pictures.

        Raises:
            NoVideo: the file has none.
            BadMedia: they are larger than ``MAX_PIXELS``.
        """
        stream = self.video()
        if stream is None:
            raise NoVideo(f"'{self.path}' has no video stream{self._streams()}")
        width, height = stream.codec_context.width, stream.codec_context.height
        if width * height > MAX_PIXELS:
            raise BadMedia(
                f"'{self.path}' has pictures of {width}x{height} pixels; at most "
                f"{MAX_PIXELS / 1e6:.0f} million pixels are decoded"
            )
        return Decoding(self, stream, "pictures")

    def _streams(self) -> str:
        kinds = sorted({stream.type for stream in self.container.streams})
        return f" (it has: {', '.join(kinds)})" if kinds else " (it has no stream at all)"


class Decoding(Generic[F]):
    """Decoding of one stream, with an account of what could not be decoded.

    A packet that the decoder refuses is left out; ``check`` tells whether too much is missing.
    One thread decodes, so that results and costs do not depend on the machine's cores.

    Attributes:
        reached: end of what was decoded, in seconds from the file's zero.
        lost: seconds of packets that could not be decoded.
    """

    def __init__(self, source: Source, stream: AudioStream | VideoStream, what: str) -> None:
        self.source = source
        self.stream = stream
        self.what = what
        self.reached = Fraction(0)
        self.lost = Fraction(0)
        self._from = Fraction(0)
        self._seen = Fraction(0)  # end of the packets of all streams, where that must be watched
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        if not self._promise_is_shared:
            for other in source.container.streams:
                if other is not stream:
                    other.discard = Discard.all  # saves reading a film's pictures for its sound

    @property
    def _promise_is_shared(self) -> bool:
        """Matroska promises a length for all streams together, so all have to be watched."""
        return self.source.format == "matroska" and self.source.container.duration is not None

    @property
    def promised(self) -> Fraction | None:
        """End of the stream by the file's own index in seconds; None where that is an estimate."""
        base, length = self.stream.time_base, self.stream.duration
        if self.source.format in ("mov", "flac") and base is not None and length is not None:
            return _start(self.stream) + length * base - self.source.zero
        if self._promise_is_shared:
            whole = Fraction(self.source.container.duration or 0, 1_000_000)
            return whole if self._seen < ENOUGH * whole else None
        return None

    def frames(self, start: float = 0.0) -> Iterator[Decoded[F]]:
        """Decode in order of time, from a point that is no later than ``start``.

        A point in the middle is a key picture, from where decoding gives the same pictures as
        from the beginning. Sound is always decoded from the beginning: lossy decoders carry
        state (such as the random numbers of AAC's noise) and give other samples after a jump.

        Raises:
            BadMedia: the stream is longer than ``MAX_SECONDS`` after ``start``.
        """
        self._from = Fraction(start)
        jump = self.stream.type == "video" and self.source.format in _INDEXED and start > _REORDERED
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
            self.reached = max(self.reached, item.start + item.duration)
            if self.reached - self._from > MAX_SECONDS:
                raise BadInput(
                    f"more than {MAX_SECONDS / 3600:g} h of {self.what} were asked of "
                    f"'{self.source.path}'; give a start and an end"
                )
            yield item

    def _seek(self, time: float) -> None:
        assert self.stream.time_base is not None
        ticks = (Fraction(max(time, 0.0)) + self.source.zero) / self.stream.time_base
        self.source.container.seek(int(ticks), stream=self.stream)

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
                    start = frame.pts * base - self.source.zero
                length = frame.duration * base if frame.duration and base is not None else step
                end = start + length
                if after_key:
                    yield Decoded(frame, start, length)

    def _usual_step(self) -> Fraction:
        rate = self.stream.average_rate if isinstance(self.stream, VideoStream) else None
        return 1 / Fraction(rate) if rate else Fraction(0)

    def _packets(self) -> Iterator[Packet]:
        container = self.source.container
        streams = list(container.streams) if self._promise_is_shared else [self.stream]
        try:
            for packet in container.demux(streams):
                if len(streams) > 1 and packet.pts is not None and packet.time_base is not None:
                    end = (packet.pts + (packet.duration or 0)) * packet.time_base
                    self._seen = max(self._seen, end - self.source.zero)
                if packet.stream_index == self.stream.index:
                    yield packet
        except av.error.InvalidDataError:
            return  # what is missing then shows in `check`
        except av.error.OSError as error:
            raise OSError(error.errno, error.strerror, self.source.path) from error

    def _frames_of(self, packet: Packet) -> list[F]:
        try:
            return cast("list[F]", packet.decode())
        except av.error.EOFError:
            return []
        except av.error.FFmpegError as error:
            if isinstance(error, MemoryError):
                raise MemoryError(f"no memory left to decode '{self.source.path}'") from error
            base = packet.time_base
            if base is not None and packet.duration:
                time = (packet.pts or 0) * base - self.source.zero
                self.lost += packet.duration * base if time >= self._from else 0
            return []

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
        got = min(self.reached, wanted_end) - self._from - self.lost
        if wanted > 0 and got < ENOUGH * wanted:
            raise BadMedia(
                f"'{self.source.path}' is truncated or damaged: {max(float(got), 0):.2f} s of "
                f"{float(wanted):.2f} s of {self.what} could be decoded; copy or export it again"
            )
        if self.reached == 0:
            kind = NoAudio if self.what == "sound" else NoVideo
            raise kind(f"'{self.source.path}' has a stream for {self.what}, but nothing in it")

    def outside(self, start: float, end: float | None) -> BadInput:
        """The error for a segment in which this stream has nothing."""
        span = f"{start:g} s to {'the end' if end is None else f'{end:g} s'}"
        return BadInput(
            f"segment from {span} has no {self.what}: in '{self.source.path}' they end at "
            f"{float(self.reached):.2f} s"
        )


def _start(stream: AudioStream | VideoStream) -> Fraction:
    """Where a stream starts by its header, in seconds on the file's own clock."""
    if stream.start_time is None or stream.time_base is None:
        return Fraction(0)
    return stream.start_time * stream.time_base
