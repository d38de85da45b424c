"""Geometry of the main face from its five landmarks: shape, head pose, distances, their change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from ...cache.errors import BadCall, BadInput, NoFace
from ...cache.keys import ADDED_LATER
from ...cache.records import Array, ArraySpec, Features, FeatureSpec
from ..base import Extractor, Needs
from ..clip import Clip
from .head_pose import MEAN_FACE, camera_matrix, head_pose, rotation_angles
from .mtcnn_face import COLUMNS as MAIN_COLUMNS
from .mtcnn_face import LANDMARKS

POSE = ("pose_Tx", "pose_Ty", "pose_Tz", "pose_Rx", "pose_Ry", "pose_Rz")
SHAPE = tuple(f"shape_{point}_{axis}" for point in LANDMARKS for axis in "xy")
DISTANCES = ("mouth_width", "mouth_nose", "eye_mouth")
PLACE = ("face_x", "face_y", "face_width", "face_height")
STILL = (*POSE, *SHAPE, *DISTANCES, *PLACE)
#: What is measured in each picture, then how fast the first 23 of it change.
COLUMNS = (*STILL, "interocular", "interocular_px", "pose_error", *(f"d_{name}" for name in STILL))
ANGLES = slice(3, 6)


@dataclass(frozen=True)
class FaceGeometry(Extractor):
    """Shape, head pose and place of the main face in each picture, and how fast they change.

    ``values`` (n_pictures, 49) has the rows and times of ``faces``; rows without a face stay
    masked (0). Left and right are as seen in the picture.

    - ``pose_Tx pose_Ty pose_Tz``: the point between the pupils, in mm from the camera: right,
      down, away. ``pose_Rx pose_Ry pose_Rz``: pitch (nose down), yaw (nose to the picture's
      left) and roll (clockwise), in degrees. Names and axes are OpenFace's, whose angles are in
      radians. Absolute numbers rest on a mean face and a guessed camera: see ``head_pose``.
    - ``shape_*``: the landmarks without place, size and roll: moved to their centroid, divided
      by their root mean square distance from it, turned to fit the frontal mean face best.
    - ``mouth_width``, ``mouth_nose`` (nose tip to the mouth's middle), ``eye_mouth`` (middles):
      lengths over that same root mean square distance, so without size.
    - ``face_x face_y``: middle of the box, ``face_width face_height`` its size, over the
      picture's width and height: [0, 1], a little more where the box passes the edge.
    - ``interocular``: distance of the eyes over the picture's width; ``interocular_px`` in
      pixels; ``pose_error``: root mean square distance in pixels between the landmarks and
      those of the posed mean face, over ``interocular_px``.
    - ``d_*``: change a second of each of the first 23, over the true times of the pictures: the
      slope between the rows before and after, or to the one of them that shows the same face
      (unmasked, same track, another time). Steps of the grid that repeat a picture count as one.
      A picture without such a neighbour has 0: no change was seen.

    Five landmarks do not show how far eyes and mouth are open; see ``openface2`` for that.

    Args:
        focal: focal length of the camera in pixels, where it is known: ``pose_T*`` are then as
            true as the mean face; 0: a guess by the picture's size.

    Source:
        Names: Baltrusaitis et al. (2018), "OpenFace 2.0: Facial Behavior Analysis Toolkit", FG.
        Shape: the ordinary Procrustes fit of Dryden and Mardia (2016), *Statistical Shape
        Analysis*. Pose: see ``head_pose``; OpenFace fits 68 landmarks, these are five.
    """

    name: ClassVar[str] = "face-geometry"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = "vision"
    rows: ClassVar[str] = "as 'faces'"
    libraries: ClassVar[tuple[str, ...]] = ("opencv-python-headless",)
    paper: ClassVar[str] = "Dryden and Mardia (2016); names of OpenFace 2"
    peak_memory: ClassVar[int] = 512 << 20

    focal: float = field(default=0.0, metadata=ADDED_LATER)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.focal < np.inf:
            raise BadCall(f"face-geometry: focal must be at least 0 pixels, not {self.focal:g}")

    @property
    def needs(self) -> Needs:
        return Needs(features=("faces",))

    @property
    def spec(self) -> FeatureSpec:
        return {"values": ArraySpec((len(COLUMNS),), "float32", COLUMNS)}

    def extract(self, clip: Clip) -> Features:
        """Map the rows of ``faces`` to rows of geometry.

        Raises:
            NoFace: every row of ``faces`` is masked, or none of its landmarks can be posed.
            BadInput: ``faces`` lacks a column.
        """
        faces = self.upstream(clip, "faces")
        missing = [name for name in MAIN_COLUMNS if name not in faces.columns]
        if missing:
            raise BadInput(f"'{clip.id}': the faces lack the columns {', '.join(missing)}")
        order = [faces.columns.index(name) for name in MAIN_COLUMNS]
        rows = faces.values[:, order].astype(np.float64)
        measured, posed = _measure(rows[faces.mask], self.focal)
        mask = faces.mask.copy()
        mask[faces.mask] = posed
        if not mask.any():
            raise NoFace(
                f"'{clip.id}': none of {len(faces)} pictures has a face whose landmarks show a "
                "head in front of the camera"
            )
        values = np.zeros((len(rows), len(COLUMNS)))
        values[mask, : measured.shape[1]] = measured[posed]
        still = values[mask, : len(STILL)]
        track, shown = MAIN_COLUMNS.index("track"), MAIN_COLUMNS.index("shown")
        values[mask, -len(STILL) :] = _slopes(
            still, rows[mask, shown], np.flatnonzero(mask), rows[mask, track]
        )
        return Features(values.astype(np.float32), faces.times, COLUMNS, mask)


def _measure(rows: Array, focal: float) -> tuple[Array, Array]:
    """What is seen in each picture by itself.

    Args:
        rows: (n, 19) float64 in the columns of ``mtcnn-face``, every one with a face.
        focal: see ``FaceGeometry``.

    Returns:
        (n, 26) float64 and (n,) bool: whether the head could be posed.
    """
    columns = dict(zip(MAIN_COLUMNS, rows.T, strict=True))
    points = np.stack([columns[f"{p}_{axis}"] for p in LANDMARKS for axis in "xy"], axis=1)
    points = points.reshape(-1, len(LANDMARKS), 2)
    size = np.stack([columns["frame_width"], columns["frame_height"]], axis=1)
    eyes = np.linalg.norm(points[:, 1] - points[:, 0], axis=1)
    pose, posed = _poses(points, size, focal)
    shape, scale = frontal_shape(points)
    low, high = rows[:, :2], rows[:, 2:4]  # the box
    parts = (
        pose[:, :6],
        shape.reshape(-1, 2 * len(LANDMARKS)),
        _distances(points) / scale[:, None],
        (low + high) / 2 / size,
        (high - low) / size,
        (eyes / size[:, 0])[:, None],
        eyes[:, None],
        pose[:, 6:] / np.where(eyes > 0, eyes, 1)[:, None],
    )
    return np.concatenate(parts, axis=1), posed & (eyes > 0)


def _poses(points: Array, size: Array, focal: float) -> tuple[Array, Array]:
    """Translation, angles and error (n, 7) of each face, and whether there is one (n,)."""
    poses = np.zeros((len(points), 7))
    posed = np.zeros(len(points), bool)
    for i, (face, (width, height)) in enumerate(zip(points, size, strict=True)):
        found = head_pose(face, camera_matrix(width, height, focal))
        if found is not None:
            rotation, translation, error = found
            poses[i] = (*translation, *rotation_angles(rotation), error)
            posed[i] = True
    return poses, posed


def frontal_shape(points: Array) -> tuple[Array, Array]:
    """Landmarks without place, size and roll, and their size.

    Args:
        points: (n, 5, 2) pixels.

    Returns:
        (n, 5, 2) with centroid 0 and root mean square length 1, and (n,) that length in pixels.
    """
    reference = MEAN_FACE[:, 0] + 1j * MEAN_FACE[:, 1]
    reference = reference - reference.mean()
    flat = points[..., 0] + 1j * points[..., 1]  # (n, 5)
    flat = flat - flat.mean(axis=1, keepdims=True)
    scale = np.sqrt(np.mean(np.abs(flat) ** 2, axis=1))
    turn = np.sum(np.conj(flat) * reference, axis=1)
    # A face whose landmarks fall together has no shape; it has no pose either and is masked.
    unit = flat * np.where(turn == 0, 1, turn / np.where(turn == 0, 1, np.abs(turn)))[:, None]
    unit = unit / np.where(scale == 0, 1, scale)[:, None]
    return np.stack([unit.real, unit.imag], axis=-1), np.where(scale == 0, 1, scale)


def _distances(points: Array) -> Array:
    """Mouth width, nose tip to mouth, eyes to mouth, (n, 3) pixels."""
    eyes, mouth = points[:, :2].mean(axis=1), points[:, 3:].mean(axis=1)
    lengths = (points[:, 4] - points[:, 3], mouth - points[:, 2], mouth - eyes)
    return np.stack([np.linalg.norm(length, axis=1) for length in lengths], axis=1)


def _slopes(still: Array, shown: Array, rows: Array, track: Array) -> Array:
    """Change a second, (n, 23), of rows that show a face.

    Args:
        still: (n, 23) what was measured.
        shown: (n,) true times in seconds.
        rows: (n,) numbers of the rows among all rows, growing.
        track: (n,) which face it is.
    """
    apart = (np.diff(rows) > 1) | (np.diff(track) != 0)
    first = np.concatenate([[True], apart | (np.diff(shown) != 0)])  # repeats of a picture: False
    starts, picture = np.flatnonzero(first), np.cumsum(first) - 1
    linked = ~apart[starts[1:] - 1]  # each picture with the next one
    number = np.arange(len(starts))
    before = number - np.concatenate([[False], linked])
    after = number + np.concatenate([linked, [False]])
    time, values = shown[starts], still[starts]
    change = values[after] - values[before]
    change[:, ANGLES] = (change[:, ANGLES] + 180) % 360 - 180
    passed = (time[after] - time[before])[:, None]
    slopes = np.divide(change, passed, out=np.zeros_like(change), where=passed > 0)
    return np.asarray(slopes[picture])
