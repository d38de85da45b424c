"""All faces of a clip as tracks: detected, followed between looks, linked within each shot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from ...cache.errors import BadCall, NoVideo
from ...cache.records import Array, ArraySpec, Features, FeatureSpec
from ..clip import Clip, Frame
from .chosen import NO_TRACK, TRACK_COLUMNS
from .computing import one_thread
from .mtcnn_cascade import Cascade, load_cascade
from .mtcnn_face import FACE_COLUMNS, face_rows
from .mtcnn_finder import MtcnnFinder
from .shots import Shots
from .tracking import Picture, Track, Tracker

#: Bytes of pictures that may wait for the next look; a look comes sooner where they are large.
WAITING = 128 << 20
#: Times are rounded to milliseconds in files.
TOLERANCE = 0.001


@dataclass(frozen=True)
class TrackedFaces(MtcnnFinder):
    """Every face of every picture by MTCNN, with the track that it belongs to.

    ``values`` (n_rows, 21) has a row for each face of each picture, in order of time, the largest
    face first; a picture without a face has one masked row, so that all times are known. Columns
    are those of ``mtcnn-face`` (box and landmarks in pixels, probability in [0, 1], the picture's
    size, ``shown``: its true time in seconds), with

    - ``track``: number of the track, 1, 2, ...; -1 in masked rows. A track is one face within
      one shot, without a gap: it is never carried on where the face is lost.
    - ``detected``: 1 where a net saw the face; 0 where box and landmarks were put between those
      before and after a short gap (``probability`` is 0 there).
    - ``shot``: number of the shot, from 0; a track never crosses a cut.

    The whole picture is searched ``looks`` times a second, and at the beginning and end of each
    shot. Between, each face is looked for by the last net of MTCNN in the box where it was in the
    picture before (after, for a face that is new). Pictures that fill several steps of the grid
    are looked at once. A clip without any face gives masked rows and a warning.

    Args:
        rate: pictures a second, Hz. 25 is what detectors of active speakers are trained on.
        looks: searches of the whole picture a second, Hz; from ``rate`` on: every picture. At 5
            of 25 a clip of dark scenes, cuts and quick turns keeps 94 % of the faces that a search
            of every picture finds, in a third of the time; at 2.5 it is 91 %, in a ninth.
        min_size: side of the smallest face looked for, in pixels; see ``mtcnn-face``.
        threshold: probability that a face must reach in the last net, in (0, 1).
        gap: longest gap in a track that is filled, in seconds; one of more than twice the pictures
            in which the face was seen never is.

    Source:
        Zhang et al. (2016), see ``mtcnn_cascade.Cascade``. Linking by overlap as in Bochinski et
        al. (2017), "High-Speed Tracking-by-Detection Without Using Image Information", AVSS;
        following by the last net and filling are ours.
    """

    name: ClassVar[str] = "faces"
    version: ClassVar[int] = 2
    provides: ClassVar[str] = "tracks"
    rows: ClassVar[str] = "a face in a picture"
    paper: ClassVar[str] = "Zhang et al. (2016), MTCNN; Bochinski et al. (2017)"
    peak_memory: ClassVar[int] = 5 << 29

    rate: float = 25.0
    looks: float = 5.0
    min_size: float = 40.0
    threshold: float = 0.7
    gap: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.looks >= 1:
            raise BadCall(f"faces: looks must be at least 1 Hz, not {self.looks:g}")
        if not 0 <= self.gap <= 10:
            raise BadCall(f"faces: gap must be in [0, 10] s, not {self.gap:g}")

    @property
    def spec(self) -> FeatureSpec:
        return {"values": ArraySpec((len(TRACK_COLUMNS),), "float32", TRACK_COLUMNS)}

    def _extract(self, clip: Clip, device: str) -> Features:
        """Map the pictures of a clip to the faces in them.

        Raises:
            NoVideo: there are no pictures.
        """
        cascade = load_cascade(device)
        tracker = Tracker(partial(self._look, cascade), partial(self._follow, cascade), self.gap)
        steps = Steps()
        for block in self._blocks(steps.pictures(clip.frames(self.rate))):
            tracker.block(block)
        if not steps.times:
            raise NoVideo(f"'{clip.id}' has no picture at {self.rate:g} Hz: the segment is empty")
        if not tracker.tracks:
            clip.warn(
                f"no face in any of {len(steps.times)} pictures, looking from {self.min_size:g} "
                f"pixels up with threshold {self.threshold:g}; every row is masked"
            )
        return steps.features(tracker.tracks, 1 / self.rate)

    def _look(self, cascade: Cascade, image: Array) -> Array:
        with one_thread():
            return face_rows(cascade.detect(image, self.min_size, self.threshold))

    def _follow(self, cascade: Cascade, image: Array, boxes: Array) -> tuple[Array, Array]:
        with one_thread():
            found, faces = cascade.follow(image, boxes, self.threshold)
        return found, face_rows(faces)

    def _blocks(self, pictures: Iterator[Picture]) -> Iterator[list[Picture]]:
        """Pictures up to the next one that is to be searched, which is the last of its block."""
        waiting: list[Picture] = []
        due, shot = 0.0, -1  # the first picture of each shot is searched
        for picture in pictures:
            if waiting and picture.shot != shot:  # and so is the last one
                yield waiting
                waiting = []
            waiting.append(picture)
            full = sum(p.image.nbytes for p in waiting) > WAITING
            if picture.shot != shot or picture.shown >= due - TOLERANCE or full:
                yield waiting
                waiting, due = [], picture.shown + 1 / self.looks
            shot = picture.shot
        if waiting:
            yield waiting


class Steps:
    """Steps of the grid and the picture that each shows; gives rows when the tracks are known."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.shows: list[int] = []  # number of the picture
        self.about: list[tuple[int, int, float, int]] = []  # width, height, shown, shot of each

    def pictures(self, frames: Iterable[Frame]) -> Iterator[Picture]:
        """Each picture of the frames once."""
        shots, last = Shots(), None
        for frame in frames:
            new = frame.index != last
            last = frame.index
            if new:
                height, width = frame.image.shape[:2]  # may change within a file
                shot = shots.see(frame.image, frame.readable)
                self.about.append((width, height, frame.shown, shot))
            self.times.append(frame.time)
            self.shows.append(len(self.about) - 1)
            if new:
                yield Picture(len(self.about) - 1, frame.image, frame.shown, shot)

    def features(self, tracks: Sequence[Track], hop: float) -> Features:
        """Rows of all faces.

        Args:
            tracks: through the pictures.
            hop: seconds from step to step.
        """
        inside: list[list[Track]] = [[] for _ in self.about]
        for track in tracks:
            for picture in track.rows:
                inside[picture].append(track)
        blocks = [self._rows(picture, faces) for picture, faces in enumerate(inside)]
        values = np.concatenate([blocks[picture] for picture in self.shows])
        counts = [len(blocks[picture]) for picture in self.shows]
        starts = np.repeat(np.array(self.times), counts)
        mask = values[:, TRACK_COLUMNS.index("track")] != NO_TRACK
        return Features(values, np.stack([starts, starts + hop], axis=1), TRACK_COLUMNS, mask)

    def _rows(self, picture: int, tracks: Sequence[Track]) -> Array:
        """Rows (n, 21) of one picture, at least one."""
        rows = np.zeros((max(len(tracks), 1), len(TRACK_COLUMNS)), np.float32)
        width, height, shown, shot = self.about[picture]
        rows[:, len(FACE_COLUMNS) :] = (NO_TRACK, width, height, shown, 0, shot)
        for row, track in zip(rows, tracks, strict=False):
            row[: len(FACE_COLUMNS)] = track.rows[picture]
            row[len(FACE_COLUMNS)] = track.number
            row[-2] = picture not in track.filled
        area = np.prod(rows[:, 2:4] - rows[:, :2], axis=1)
        ordered: Array = rows[np.argsort(-area, kind="stable")]
        return ordered
