"""Faces linked to tracks: by overlap, by following between looks, across short gaps.

A track is one face from where it is first seen to where it is lost; it never goes on in the next
shot. What finds faces in a picture is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...cache.records import Array

#: Boxes of one face in neighbouring looks share this much at least (intersection over union).
SAME_FACE = 0.3
#: Two boxes that share this much show one face: one of two tracks there has lost its own.
ONE_PLACE = 0.6
#: A gap of more pictures than this, for each one in which the face was seen, is not filled. On a
#: clip of dark scenes and cuts 2 takes the faces where a search of every picture finds none from
#: 5.4 to 0.9 in 100, and costs 0.4 in 100 of those that it finds; 1 costs 1.3 for no more.
GUESSED = 2
#: Column of the probability in a face's row, after its box.
PROBABILITY = 4


@dataclass(eq=False)
class Track:
    """One face through the pictures of a shot.

    Args:
        number: of the track, 1, 2, ... in the order of first detection.
        last: number of the latest picture in which it was seen.
        rows: number of a picture -> (15,) float32 row of ``FACE_COLUMNS``.
        filled: pictures in which it was not seen; their rows lie between those that were.
    """

    number: int
    last: int
    rows: dict[int, Array] = field(default_factory=dict)
    filled: set[int] = field(default_factory=set)

    @property
    def box(self) -> Array:
        """Where it was last seen, (4,)."""
        return self.rows[self.last][:4]

    @property
    def n_seen(self) -> int:
        """Pictures in which it was seen."""
        return len(self.rows) - len(self.filled)

    def see(self, picture: int, row: Array) -> None:
        """It is in this picture."""
        self.rows[picture] = row
        self.last = max(self.last, picture)

    def fill(self, first: int, second: int, shown: Array) -> None:
        """Put it on the straight way between two pictures in which it was seen.

        Args:
            first: number of the earlier picture.
            second: number of the later one.
            shown: (second - first + 1,) times of these pictures in seconds, growing.
        """
        share = (shown - shown[0]) / (shown[-1] - shown[0])
        for picture, part in zip(range(first + 1, second), share[1:-1], strict=True):
            row = (1 - part) * self.rows[first] + part * self.rows[second]
            row[PROBABILITY] = 0  # nobody said that there is a face
            self.rows[picture] = row.astype(np.float32)
            self.filled.add(picture)


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture of a clip, as the tracker sees it.

    Args:
        number: counted from 0, repeats not counted.
        image: (height, width, 3) uint8 RGB.
        shown: its time in seconds.
        shot: number of its shot.
    """

    number: int
    image: Array
    shown: float
    shot: int


#: All faces of a picture: (n, 15) float32 rows of ``FACE_COLUMNS``.
Look = Callable[[Array], Array]
#: Which of the faces in boxes (n, 4) are still in the picture, (n,) bool, and the rows of those.
Follow = Callable[[Array, Array], tuple[Array, Array]]


class Tracker:
    """Tracks of a clip, made block by block.

    A block begins after a picture in which all faces were looked for and ends with the next such
    one. Between the two, each face is followed from where it was; one that is new at the end is
    followed backwards. A face that is lost and found again near that place within ``gap`` seconds
    is the same one, and the pictures between are filled; unless they are more than ``GUESSED``
    times those in which it was seen at all, as with what was twice taken for a face by mistake.

    Args:
        look: finds all faces of a picture.
        follow: finds known faces again.
        gap: longest time in seconds that is filled.
    """

    def __init__(self, look: Look, follow: Follow, gap: float) -> None:
        self.look, self.follow, self.gap = look, follow, gap
        self.tracks: list[Track] = []
        self.shown: list[float] = []
        self._open: list[Track] = []  # of this shot, not lost for longer than the gap
        self._shot = 0

    def block(self, pictures: Sequence[Picture]) -> None:
        """Go on to the last of these pictures, which are of one shot and follow the ones before."""
        if pictures[0].shot != self._shot:
            self._open, self._shot = [], pictures[0].shot
        before = pictures[0].number - 1
        live = [track for track in self._open if track.last == before]
        for picture in pictures[:-1]:
            live = self._go_on(picture, live)
        end = pictures[-1]
        self.shown.extend(picture.shown for picture in pictures)
        faces = self.look(end.image)
        lost = [track for track in self._open if track not in live]
        again = {track: track.last for track in self._open}
        faces = _link(end, live, faces)  # a face that was there a moment ago comes first
        faces = _link(end, lost, faces)
        again = {track: last for track, last in again.items() if last < end.number - 1}
        again = {track: last for track, last in again.items() if track.last == end.number}
        new = [Track(len(self.tracks) + n + 1, end.number) for n in range(len(faces))]
        for track, row in zip(new, faces, strict=True):
            track.see(end.number, row)
        self.tracks.extend(new)
        self._open.extend(new)
        self._go_back(pictures, again | dict.fromkeys(new, before))
        for track, last in again.items():
            first = min(number for number in track.rows if number > last)
            if first - last - 1 > GUESSED * track.n_seen:
                self._part(track, last)
            else:
                track.fill(last, first, np.array(self.shown[last : first + 1]))
        self._open = [t for t in self._open if end.shown - self.shown[t.last] <= self.gap]

    def _part(self, track: Track, last: int) -> None:
        """Make what was seen of a track after picture ``last`` a track of its own."""
        later = {number: row for number, row in track.rows.items() if number > last}
        new = Track(len(self.tracks) + 1, max(later), later)
        track.rows = {number: row for number, row in track.rows.items() if number <= last}
        track.last = last
        self.tracks.append(new)
        self._open[self._open.index(track)] = new

    def _go_on(self, picture: Picture, live: list[Track]) -> list[Track]:
        """Those of the tracks that are in the next picture too."""
        if not live:
            return live
        boxes = np.stack([track.box for track in live])
        found, rows = self.follow(picture.image, boxes)
        kept = [track for track, there in zip(live, found, strict=True) if there]
        stay = _apart(boxes[found], rows)
        for n in stay:
            kept[n].see(picture.number, rows[n])
        return [kept[n] for n in stay]

    def _go_back(self, pictures: Sequence[Picture], tracks: dict[Track, int]) -> None:
        """Follow tracks from the last picture backwards, each no further than to its number."""
        active = list(tracks)
        for picture in reversed(pictures[:-1]):
            active = [track for track in active if tracks[track] < picture.number]
            if not active:
                return
            boxes = np.stack([track.rows[picture.number + 1][:4] for track in active])
            found, rows = self.follow(picture.image, boxes)
            active = [track for track, there in zip(active, found, strict=True) if there]
            taken = [t.rows[picture.number] for t in self._open if picture.number in t.rows]
            stay = _apart(boxes[found], rows, np.array(taken).reshape(-1, rows.shape[1]))
            for n in stay:
                active[n].see(picture.number, rows[n])
            active = [active[n] for n in stay]


def _link(picture: Picture, tracks: Sequence[Track], faces: Array) -> Array:
    """Let tracks go on to faces (n, 15) of a picture; the faces that none took are returned."""
    pairs = linked(np.array([track.box for track in tracks]).reshape(-1, 4), faces[:, :4])
    for i, j in pairs:
        tracks[i].see(picture.number, faces[j])
    rest: Array = np.delete(faces, [j for _, j in pairs], axis=0)
    return rest


def _apart(before: Array, rows: Array, taken: Array | None = None) -> list[int]:
    """Which of the followed faces are their own: the one that moved least, where two meet.

    Args:
        before: (n, 4) boxes from where they were followed.
        rows: (n, 15) where they were found.
        taken: (m, 15) faces of other tracks in the same picture.
    """
    kept = [] if taken is None else [row[:4] for row in taken]
    moved = -np.diagonal(overlaps(before, rows[:, :4]))
    stay = []
    for n in np.argsort(moved, kind="stable"):
        box = rows[n, :4]
        if not kept or overlaps(box[None], np.array(kept)).max() < ONE_PLACE:
            stay.append(int(n))
            kept.append(box)
    return sorted(stay)


def overlaps(boxes: Array, others: Array) -> Array:
    """Intersection over union (n, m) in [0, 1] of boxes (n, 4) with others (m, 4)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=2)
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    other = np.prod(others[:, 2:] - others[:, :2], axis=1)
    union = area[:, None] + other[None] - shared
    return np.asarray(shared / np.maximum(union, 1e-9))


def linked(boxes: Array, others: Array) -> list[tuple[int, int]]:
    """Pairs (number in boxes, number in others) of one face, each used once, the surest first."""
    shared = overlaps(boxes, others)
    pairs = []
    while shared.size and shared.max() >= SAME_FACE:
        i, j = (int(n) for n in np.unravel_index(int(np.argmax(shared)), shared.shape))
        pairs.append((i, j))
        shared[i], shared[:, j] = -1, -1
    return pairs
