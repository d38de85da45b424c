"""Which pictures of a damaged stream can be trusted, and which spans of time have none.

A decoder refuses a packet that it cannot read, and marks a picture that it had to patch. Of the
pictures that were predicted from such a one it says nothing, though they show smears of it. So
from a fault on, in the order in which pictures are decoded, none is trusted until the next key
picture, which needs no other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from .decoding import Decoded, Decoding, OpenFile

#: Formats in which damage may leave no packet that could be refused, but whose pictures come at
#: an even rate: where some are missing they were lost. Elsewhere the last one is shown for longer.
_EVEN = ("mpegts", "mpeg")
#: Steps from one picture to the next one from which some between them are missing.
_MISSING = Fraction(3, 2)


@dataclass(frozen=True)
class Unreadable:
    """A span without a picture that can be trusted, in exact seconds from the file's zero."""

    start: Fraction
    duration: Fraction

    @property
    def end(self) -> Fraction:
        return self.start + self.duration


#: What a stream of pictures gives, in order of time.
Shown = Decoded[VideoFrame] | Unreadable


class PictureDecoding(Decoding[VideoFrame]):
    """Decoding of pictures that leaves out those that cannot be trusted and says where it did.

    Attributes:
        spans: where there are none, so far.
    """

    def __init__(self, file: OpenFile, stream: VideoStream, what: str) -> None:
        super().__init__(file, stream, what)
        self.spans: list[Unreadable] = []
        self._faults = Faults()

    def pictures(self, start: float = 0.0) -> Iterator[Shown]:
        """Pictures that can be trusted, and the spans without one; see ``frames``.

        Raises:
            BadInput: the stream is longer than ``MAX_SECONDS`` after ``start``.
            BadMedia: the file's index is damaged, or its times begin anew on the way.
        """
        end: Fraction | None = None  # of the picture before
        for item in self.frames(start):
            yield from self._span(end, item.start)
            yield item
            end = max(item.start + item.duration, end or item.start)
        self._faults.close()
        yield from self._span(end, None)

    def _span(self, start: Fraction | None, end: Fraction | None) -> Iterator[Unreadable]:
        """The span between two pictures, where some that lay there were dropped."""
        dropped = self._faults.dropped_before(end)
        if not dropped:
            return
        start = dropped[0] if start is None else start
        end = dropped[-1] + self._usual_step() if end is None else end
        if end > start:
            self.spans.append(Unreadable(start, end - start))
            self.reached = max(self.reached, end)
            yield self.spans[-1]

    def _decode(self, only_from_key: bool) -> Iterator[Decoded[VideoFrame]]:
        even = self.file.format in _EVEN and self.stream.average_rate == self.stream.base_rate
        self._faults = Faults(_MISSING * self._usual_step() if even else Fraction(0))
        for item in super()._decode(only_from_key):
            if self._faults.trusts(item):
                yield item

    def _frames_of(self, packet: Packet[Any]) -> list[VideoFrame]:
        self._faults.come(self._time(packet), packet.is_keyframe, packet.is_corrupt)
        return super()._frames_of(packet)

    def _refuse(self, packet: Packet[Any]) -> None:
        super()._refuse(packet)
        self._faults.refuse(self._time(packet))

    def _time(self, packet: Packet[Any]) -> Fraction | None:
        if packet.pts is None or packet.time_base is None:
            return None
        return packet.pts * packet.time_base - self.file.zero

    def _readable(self, end: Fraction) -> Fraction:
        """Truncated pictures are none; of damaged ones a single good one is enough."""
        got = super()._readable(end)
        begin = self._from
        inside = [min(span.end, end) - max(span.start, begin) for span in self.spans]
        lost = sum(length for length in inside if length > 0)
        return got + self.lost if got + self.lost > lost else Fraction(0)


class Faults:
    """Tells which pictures of a stream can be trusted, asked in the order in which they are shown.

    Packets come in the order of decoding, pictures in that of time; times join the two. A picture
    is not trusted if it was decoded after a fault, unless the next key picture came between; those
    that are decoded after that one but shown before it may still need the faulty ones.

    Args:
        missing: time in seconds from one picture to the next from which some between them must be
            missing; 0: any time may be right.
    """

    def __init__(self, missing: Fraction = Fraction(0)) -> None:
        self.missing = missing
        self._faulty = False  # whether there was a fault since the last key picture
        self._leads = False  # whether there was one before it
        self._key: Fraction | None = None  # time of that key picture
        self._coming: dict[Fraction, bool] = {}  # decoded, not yet shown: whether it is a key
        self._tainted: set[Fraction] = set()  # of those
        self._last: Fraction | None = None
        self._dropped: list[Fraction] = []

    def come(self, time: Fraction | None, key: bool, damaged: bool) -> None:
        """A packet goes to the decoder.

        Args:
            time: when its picture is shown; None: unknown.
            key: whether it needs no other.
            damaged: whether the container says that a part of it is lost.
        """
        if key:
            self._leads, self._faulty, self._key = self._faulty, False, time
        self._faulty |= damaged
        if time is not None:
            self._coming[time] = key
            leads = self._leads and self._key is not None and time < self._key
            if self._faulty or leads:
                self._tainted.add(time)

    def refuse(self, time: Fraction | None) -> None:
        """The decoder could make nothing of the packet that came last."""
        self._faulty = True
        if time is not None:
            self._coming.pop(time, None)
            self._dropped.append(time)

    def trusts(self, item: Decoded[VideoFrame]) -> bool:
        """Whether the next picture shows what it should."""
        time = item.start
        is_late = self._last is not None and time - self._last >= self.missing > 0
        if is_late and self._last is not None:
            self._dropped.append(self._last + item.duration)
        if item.frame.is_corrupt or (is_late and not item.frame.key_frame):
            self._taint(time)
        faulty = time in self._tainted or (time not in self._coming and self._faulty)
        if faulty:
            self._dropped.append(time)
        self._last = time
        self._coming = {other: key for other, key in self._coming.items() if other > time}
        self._tainted = {other for other in self._tainted if other > time}
        return not faulty

    def _taint(self, time: Fraction) -> None:
        """A picture is faulty, and so are those that were decoded after it, to the next key."""
        self._tainted.add(time)
        order = list(self._coming)
        later = order[order.index(time) + 1 :] if time in self._coming else order
        key = next((other for other in later if self._coming[other]), None)
        if key is None:
            self._faulty = True
        else:
            self._leads = True
        self._tainted.update(other for other in later if key is None or other < key)

    def close(self) -> None:
        """No packet comes any more: those in hand that were not to be trusted gave no picture."""
        self._dropped += self._tainted

    def dropped_before(self, end: Fraction | None) -> list[Fraction]:
        """Times of what was not trusted before a time, in order; each is told once."""
        known = sorted(self._dropped)
        told = [time for time in known if end is None or time < end]
        self._dropped = known[len(told) :]
        return told
