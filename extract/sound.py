"""Put decoded sound on the time line: gaps, overlaps, padding, and the mean of the channels."""

from __future__ import annotations

import numpy as np
from av.audio.frame import AudioFrame

from ..cache.errors import BadMedia
from ..cache.records import Array
from .decoding import Decoded
from .resample import BLOCK, length, resample, window

#: A jump in the times of the sound is a gap or an overlap from this many seconds on; less is
#: rounding, and the samples are taken to follow each other.
JUMP = 0.020
#: Seconds that are resampled in one go, in whole blocks, as soon as they are there.
CHUNK = 16 * BLOCK
#: Samples by which ``Line.close`` shortens the sound at most: more than any codec's frame.
LONGEST_FRAME = 1 << 16


class Line:
    """Sound on the file's clock, brought to the rate that is wanted while it comes in.

    Of the sound's own samples no more are held than the next ``CHUNK`` needs, so that an hour
    takes the memory of its result.

    Args:
        rate: rate that is wanted, Hz.
        first: number of the first sample that is wanted.
        last: number of the sample after the last; None: to the end.
    """

    def __init__(self, rate: int, first: int, last: int | None) -> None:
        self.rate, self.first, self.last = rate, first, last
        self.native = 0  # Hz; known from the first frame (a header may say half of it)
        self.end = 0  # number of the sample after the last one added
        self.pieces: list[tuple[int, Array]] = []  # number of the first sample, (n,) float32
        self.made: list[Array] = []  # samples from ``first`` on at the rate that is wanted
        self.next = first  # number of the first that is not made
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
            piece = mono(item.frame)[max(self.end - place, 0) if self.newest is not None else 0 :]
            self.pieces.append((stop - len(piece), piece))
        self.end = max(self.end, stop)
        self.newest = item
        self._make_what_is_there()
        return True

    def _make_what_is_there(self) -> None:
        stop = (self.next // (BLOCK * self.rate) * BLOCK + CHUNK) * self.rate
        if self.last is not None and stop > self.last:
            return
        right = window(self.next, stop, self.rate, self.native)[1]
        if right is None or self.end - LONGEST_FRAME < right:
            return
        self.made.append(self._resampled(self.next, stop))
        self.next = stop
        left = window(stop, None, self.rate, self.native)[0]
        self.pieces = [(place, piece) for place, piece in self.pieces if place + len(piece) > left]

    def close(self, padded: bool) -> None:
        """Take away what an encoder added to fill its last frame, where the file says how much."""
        if padded and self.newest is not None:
            extra = self.newest.frame.samples - round(self.newest.duration * self.native)
            self.end -= max(extra, 0)

    def length(self) -> int:
        """Samples from zero to the end of what was added, at the rate that is wanted."""
        return length(self.end, self.rate, self.native) if self.native else 0

    def samples(self, last: int) -> Array:
        """Samples [``first``, last) at the rate that is wanted, (last - first,) float32."""
        return np.concatenate([*self.made, self._resampled(self.next, last)])

    def _resampled(self, first: int, last: int) -> Array:
        left, right = window(first, last, self.rate, self.native)
        assert right is not None
        whole = np.zeros(min(right, self.end) - left, np.float32)
        for place, piece in self.pieces:
            begin = max(place, left)
            stop = min(place + len(piece), left + len(whole))
            if stop > begin:
                whole[begin - left : stop - left] = piece[begin - place : stop - place]
        return resample(whole, left, first, last, self.rate, self.native)


def mono(frame: AudioFrame) -> Array:
    """Mean of a frame's channels, (n_samples,) float32 with full scale at 1."""
    values: Array = frame.to_ndarray()  # (channels, n) planar, (1, n * channels) packed
    if frame.format.is_packed:
        values = values.reshape(-1, len(frame.layout.channels)).T
    if values.dtype == np.float32 or values.dtype == np.int16:
        mean: Array = values.mean(axis=0, dtype=np.float32) if len(values) > 1 else values[0]
    else:
        mean = values.mean(axis=0, dtype=np.float64)
    if values.dtype.kind == "u":
        mean = (mean - 128) / 128
    elif values.dtype.kind == "i":
        mean = mean / 2.0 ** (8 * values.itemsize - 1)
    return mean.astype(np.float32)
