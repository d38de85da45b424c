"""Open media files safely; `decoding.py` decodes their streams, `media.py` builds on both.

Only ordinary local files are opened, and only by demuxers that read nothing but that file:
playlists, concat scripts and session descriptions, which name other files or hosts, are refused.

One clock serves sound and pictures. Its zero is the earliest start of any sound or picture stream
of the file (the container's start time, not rounded to microseconds), as in a player; a start
before 0 is an encoder's delay, which decoding takes away, and counts as 0.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import av.error
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from ..cache.errors import BadMedia, NoAudio, NoVideo
from .damage import PictureDecoding
from .decoding import ENOUGH, MAX_PIXELS, Decoding, OpenFile, start_of

#: Demuxers that may open a file; none of them opens a second file.
FORMATS = (
    "aac,ac3,aiff,amr,asf,au,avi,caf,dv,eac3,flac,flv,h264,hevc,ivf,m4v,matroska,mjpeg,mov,mp3,"
    "mpeg,mpegts,mpegvideo,nut,ogg,rm,tta,w64,wav,wv"
)
#: Pictures a second below which a clock in whole seconds is a damaged one.
SLOWEST = Fraction(1, 60)
#: How playlists, scripts and session descriptions begin, in lower case.
SCRIPTS = (b"#ext", b"ffconcat", b"v=0", b"<?xml", b"<asx", b"<smil", b"<mpd", b"[playlist]")


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
        # Titles in another encoding (GBK, say) are nobody's business here.
        container = av.open(
            f"file:{path}",
            options={"protocol_whitelist": "file", "format_whitelist": FORMATS},
            metadata_errors="replace",
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
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(SCRIPTS):
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


class Source(OpenFile):
    """An open media file and its first stream of each kind."""

    def __init__(self, path: str, container: InputContainer) -> None:
        streams: list[AudioStream | VideoStream] = [*container.streams.audio, *_videos(container)]
        zero = max(min(map(start_of, streams), default=Fraction(0)), Fraction(0))
        super().__init__(path, container, container.format.name.split(",")[0], zero)

    def audio(self) -> AudioStream | None:
        """The first sound stream, if there is one."""
        return next(iter(self.container.streams.audio), None)

    def video(self) -> VideoStream | None:
        """The first picture stream, if there is one."""
        return next(iter(_videos(self.container)), None)

    def sound(self) -> Decoding[AudioFrame]:
        """Decoder of the sound.

        Raises:
            NoAudio: the file has none.
            BadMedia: there is no decoder for it.
        """
        stream = self.audio()
        if stream is None:
            raise NoAudio(f"'{self.path}' has no audio stream{self._streams()}")
        self._check_codec(stream, "sound")
        self._check_clock(stream, "sound")
        return Decoding(self, stream, "sound")

    def pictures(self) -> PictureDecoding:
        """Decoder of the pictures.

        Raises:
            NoVideo: the file has none.
            BadMedia: there is no decoder for them, or they are larger than ``MAX_PIXELS``.
        """
        stream = self.video()
        if stream is None:
            raise NoVideo(f"'{self.path}' has no video stream{self._streams()}")
        self._check_codec(stream, "pictures")
        self._check_clock(stream, "pictures")
        width, height = stream.codec_context.width, stream.codec_context.height
        if width * height > MAX_PIXELS:
            raise BadMedia(
                f"'{self.path}' has pictures of {width}x{height} pixels; at most "
                f"{MAX_PIXELS / 1e6:.0f} million pixels are decoded"
            )
        return PictureDecoding(self, stream, "pictures")

    def _check_codec(self, stream: AudioStream | VideoStream, what: str) -> None:
        if not has_decoder(stream):
            raise BadMedia(
                f"the {what} of '{self.path}' are in a format that cannot be decoded (stream "
                f"{stream.index}); convert the file, to H.264 and AAC for example"
            )

    def _check_clock(self, stream: AudioStream | VideoStream, what: str) -> None:
        """Where an mp4 gives no unit of time, ffmpeg takes seconds: a clip becomes hours."""
        rate = stream.average_rate if isinstance(stream, VideoStream) else None
        if self.format == "mov" and stream.time_base == 1 and (not rate or rate < SLOWEST):
            raise BadMedia(
                f"the {what} of '{self.path}' have no unit of time (the 'mdhd' box of their track "
                "is damaged), so nothing tells when they are; copy or export it again"
            )

    def _streams(self) -> str:
        kinds = sorted({stream.type for stream in self.container.streams})
        return f" (it has: {', '.join(kinds)})" if kinds else " (it has no stream at all)"


def has_decoder(stream: AudioStream | VideoStream) -> bool:
    """Whether the stream's codec is known; PyAV gives it no ``codec_context`` if not."""
    return getattr(stream, "codec_context", None) is not None


def _videos(container: InputContainer) -> list[VideoStream]:
    """Streams of moving pictures; the cover of an album is none."""
    cover = Disposition.attached_pic
    return [stream for stream in container.streams.video if not stream.disposition & cover]
