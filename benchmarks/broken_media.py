"""Small MP4 files, and twenty ways to break one; no way leaves a file that is as good as before."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Mapping
from fractions import Fraction
from random import Random

import av
import numpy as np

RATE, FPS, SECONDS, SIZE = 16000, 10, 2, (64, 48)
#: A way that damages nothing: what reads a file with these bytes is to take its process down.
DEADLY = b"this one crashes its decoder"
_CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl"}


def clip(draw: Random) -> bytes:
    """A two-second MP4: moving noise (H.264) and a tone (AAC), other ones for every draw."""
    rng = np.random.default_rng(draw.getrandbits(32))
    times = np.arange(RATE * SECONDS) / RATE
    tone = np.sin(2 * np.pi * draw.uniform(100, 400) * times).astype(np.float32)
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        pictures = container.add_stream("libx264", rate=FPS)
        pictures.width, pictures.height, pictures.pix_fmt = *SIZE, "yuv420p"
        sound = container.add_stream("aac", rate=RATE, layout="mono")
        for _ in range(FPS * SECONDS):
            image = rng.integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8)
            container.mux(pictures.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        frame = av.AudioFrame.from_ndarray(tone[None], "fltp", "mono")
        frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), 0
        container.mux(sound.encode(frame))
        container.mux(pictures.encode())
        container.mux(sound.encode())
    return file.getvalue()


def alike(clip: bytes, mark: bytes) -> bytes:
    """The same clip as another file: an atom that readers pass over holds ``mark``."""
    return clip + struct.pack(">I", 8 + len(mark)) + b"free" + mark


def atoms(data: bytes, begin: int = 0, end: int | None = None) -> dict[bytes, tuple[int, int]]:
    """First byte of the body and end of each atom, the first of each kind."""
    found: dict[bytes, tuple[int, int]] = {}
    end = len(data) if end is None else end
    while begin + 8 <= end:
        size = struct.unpack(">I", data[begin : begin + 4])[0]
        kind = data[begin + 4 : begin + 8]
        found.setdefault(kind, (begin + 8, begin + size))
        if kind in _CONTAINERS:
            for name, place in atoms(data, begin + 8, begin + size).items():
                found.setdefault(name, place)
        begin += size
    return found


def _zeroed(kind: bytes) -> Callable[[bytes, Random], bytes]:
    """Zeros in place of what an atom holds."""

    def way(data: bytes, draw: Random) -> bytes:
        begin, end = atoms(data)[kind]
        return data[:begin] + bytes(end - begin) + data[end:]

    return way


def _without(kind: bytes) -> Callable[[bytes, Random], bytes]:
    """The file with an atom taken out."""

    def way(data: bytes, draw: Random) -> bytes:
        begin, end = atoms(data)[kind]
        return data[: begin - 8] + data[end:]

    return way


def _size(kind: bytes, size: int) -> Callable[[bytes, Random], bytes]:
    """An atom that says another size of itself."""

    def way(data: bytes, draw: Random) -> bytes:
        begin = atoms(data)[kind][0]
        return data[: begin - 8] + struct.pack(">I", size) + data[begin - 4 :]

    return way


def _cut(least: float, most: float) -> Callable[[bytes, Random], bytes]:
    """The first part of the file."""
    return lambda data, draw: data[: int(len(data) * draw.uniform(least, most))]


def _flipped(kind: bytes, share: float) -> Callable[[bytes, Random], bytes]:
    """Random bits of an atom flipped, one in each of a share of its bytes."""

    def way(data: bytes, draw: Random) -> bytes:
        image, (begin, end) = bytearray(data), atoms(data)[kind]
        for at in draw.sample(range(begin, end), int((end - begin) * share)):
            image[at] ^= 1 << draw.randrange(8)
        return bytes(image)

    return way


def _swapped(data: bytes, draw: Random) -> bytes:
    """The places of pictures and sound replaced by random ones."""
    begin, end = atoms(data)[b"stco"]
    return data[: begin + 8] + draw.randbytes(end - begin - 8) + data[end:]


WAYS: Mapping[str, Callable[[bytes, Random], bytes]] = {
    "empty": lambda data, draw: b"",
    "ten bytes": lambda data, draw: data[:10],
    "cut in the pictures": _cut(0.2, 0.8),
    "cut in the tables": lambda data, draw: data[: -draw.randrange(200, 1500)],
    "all zeros": lambda data, draw: bytes(len(data)),
    "random bytes": lambda data, draw: draw.randbytes(len(data)),
    "text": lambda data, draw: b"this is a transcript and no film\n" * 100,
    "playlist": lambda data, draw: b"#EXTM3U\n#EXTINF:2,\nhttp://127.0.0.1:9/clip.ts\n",
    "zeroed moov": _zeroed(b"moov"),
    "zeroed mdat": _zeroed(b"mdat"),
    "zeroed stsd": _zeroed(b"stsd"),
    "zeroed stsz": _zeroed(b"stsz"),
    "zeroed stsc": _zeroed(b"stsc"),
    "without moov": _without(b"moov"),
    "without mdat": _without(b"mdat"),
    "without stbl": _without(b"stbl"),
    "mdat over the end": _size(b"mdat", 0x7FFFFFFF),
    "flipped pictures": _flipped(b"mdat", 0.2),
    "places swapped": _swapped,
    "crashing decoder": lambda data, draw: alike(data, DEADLY),
}


def broken(way: str, data: bytes, draw: Random) -> bytes:
    """A clip broken in one of the ways; no two of them are the same file."""
    image = WAYS[way](data, draw)
    return image if way == "empty" else image + b"%016x" % draw.getrandbits(64)
