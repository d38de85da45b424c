"""Faces in a clip: where they are, how sure that is, and five landmarks of each (MTCNN)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...cache.errors import NoFace, NoVideo
from ...cache.records import Array, ArraySpec, Features, FeatureSpec
from ..clip import Clip
from .computing import one_thread
from .main_face import MainFace
from .mtcnn_cascade import NO_FACES, Faces, load_cascade
from .mtcnn_finder import MtcnnFinder

#: Landmarks in the net's order; left and right as seen in the picture.
LANDMARKS = ("eye_left", "eye_right", "nose", "mouth_left", "mouth_right")
#: Columns that describe one face: pixels, with the origin at the picture's upper left corner.
FACE_COLUMNS = (
    *("x1", "y1", "x2", "y2", "probability"),
    *(f"{point}_{axis}" for point in LANDMARKS for axis in "xy"),
)
#: Columns of the main array: the main face, then what is true of the picture with or without it.
COLUMNS = (*FACE_COLUMNS, "track", "frame_width", "frame_height", "shown")


@dataclass(frozen=True)
class MtcnnFace(MtcnnFinder):
    """Faces of each picture by MTCNN; the main one as a row a picture, all of them beside it.

    The main array ``values`` (n_pictures, 19) has a row for each step of the grid of times:
    the box ``x1 y1 x2 y2`` and five landmarks in pixels (they may pass the picture's edges), the
    ``probability`` in [0, 1], ``track`` (1, 2, ...; grows when the main face is not the one
    before, see ``MainFace``), ``frame_width`` and ``frame_height`` in pixels, and ``shown``, the
    true time of the picture in seconds. ``left`` and ``right`` are as seen in the picture. A row
    without a face is masked: its face columns and track are 0 and mean nothing.

    The array ``faces`` (n_faces, 16) has every face of every picture, the largest first: ``row``
    (number of its row in ``values``), then the same face columns.

    Each picture is looked at alone, so nothing depends on batches; a picture that fills two
    steps of the grid is looked at once.

    Args:
        rate: pictures a second, Hz. 10 sees nods and most of the 2-5 Hz rhythm of syllables at
            a third of the cost of every picture; FmlMSN's text says 30.
        min_size: side of the smallest face looked for, in pixels. Below 40 the eyes are about
            16 pixels apart and the landmarks too coarse for a pose; time goes with its inverse
            square, so 80 suits close-ups in 1080p.
        threshold: probability that a face must reach in the last net, in (0, 1).

    Source:
        Zhang et al. (2016), see ``mtcnn_cascade.Cascade``; weights of facenet-pytorch 2.5.3.
        Its default looks for faces from 20 pixels.
    """

    name: ClassVar[str] = "mtcnn-face"
    version: ClassVar[int] = 1
    provides: ClassVar[str] = "faces"
    paper: ClassVar[str] = "Zhang et al. (2016), MTCNN"
    peak_memory: ClassVar[int] = 2 << 30

    rate: float = 10.0
    min_size: float = 40.0
    threshold: float = 0.7

    @property
    def spec(self) -> FeatureSpec:
        return {
            "values": ArraySpec((len(COLUMNS),), "float32", COLUMNS, hop=1 / self.rate),
            "faces": ArraySpec((1 + len(FACE_COLUMNS),), "float32", ("row", *FACE_COLUMNS)),
        }

    def _extract(self, clip: Clip, device: str) -> Features:
        """Map the pictures of a clip to the main face of each and all faces.

        Raises:
            NoFace: no picture has a face.
            NoVideo: there are no pictures.
        """
        cascade = load_cascade(device)
        found: list[Faces] = []
        frames: list[tuple[float, float, float, float]] = []  # time, width, height, time shown
        last = None
        for frame in clip.frames(self.rate):
            if frame.index != last:
                faces = NO_FACES
                if frame.readable:
                    with one_thread():
                        faces = cascade.detect(frame.image, self.min_size, self.threshold)
                last = frame.index
            height, width = frame.image.shape[:2]  # may change within a file
            found.append(faces)
            frames.append((frame.time, width, height, frame.shown))
        if not found:
            raise NoVideo(f"'{clip.id}' has no picture at {self.rate:g} Hz: the segment is empty")
        if not any(len(faces) for faces in found):
            raise NoFace(
                f"no face in any of {len(found)} pictures of '{clip.id}' ({width}x{height}), "
                f"looking from {self.min_size:g} pixels up with threshold {self.threshold:g}; "
                "lower min_size or threshold if there is one"
            )
        return _features(found, np.array(frames), 1 / self.rate)


def _features(found: Sequence[Faces], frames: Array, hop: float) -> Features:
    """Rows of the main faces, and of all faces, from what each picture holds.

    Args:
        found: faces of each picture.
        frames: (n, 4) its time on the grid, width, height, and the time when it is shown.
        hop: seconds from picture to picture.
    """
    main = MainFace()
    values = np.zeros((len(found), len(COLUMNS)), np.float32)
    values[:, -3:] = frames[:, 1:]
    for row, faces, time in zip(values, found, frames[:, 0], strict=True):
        if len(faces):
            number = main.among(faces, time)
            row[: len(FACE_COLUMNS)] = face_rows(faces)[number]
            row[-4] = main.track
    times = np.stack([frames[:, 0], frames[:, 0] + hop], axis=1)
    rows = np.repeat(np.arange(len(found)), [len(faces) for faces in found])
    every = np.concatenate([face_rows(faces) for faces in found])  # (n_faces, 15)
    every = np.concatenate([rows[:, None].astype(np.float32), every], axis=1)
    return Features(
        values,
        times,
        COLUMNS,
        mask=np.array([len(faces) > 0 for faces in found]),
        more={"faces": Features(every, times[rows], ("row", *FACE_COLUMNS))},
    )


def face_rows(faces: Faces) -> Array:
    """Faces as rows of ``FACE_COLUMNS``, (n, 15) float32."""
    points = faces.landmarks.reshape(-1, 2 * len(LANDMARKS))
    return np.concatenate([faces.boxes, faces.probabilities[:, None], points], axis=1)
