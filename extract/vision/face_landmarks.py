"""478 landmarks, 52 blendshapes, gaze and head pose of the face, by MediaPipe's FaceLandmarker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from ...cache.errors import BadCall, NoFace, NoVideo
from ...cache.keys import WHERE
from ...cache.records import Array, ArraySpec, Features, FeatureSpec, frame_times
from ..base import Extractor, Needs
from ..clip import Clip, Frame
from . import crops
from .face_geometry import POSE
from .face_landmarker import (
    BLENDSHAPES,
    N_LANDMARKS,
    FaceLandmarker,
    Found,
    load_face_landmarker,
    require_mediapipe,
)
from .iris_gaze import Window, gaze_and_pose

GAZE = (*(f"gaze_{eye}_{axis}" for eye in "01" for axis in "xyz"), "gaze_angle_x", "gaze_angle_y")
LANDMARKS = tuple(f"{axis}_{i}" for axis in "xyz" for i in range(N_LANDMARKS))
#: What can be asked for -> its columns.
FEATURES = {"gaze": GAZE, "pose": POSE, "blendshapes": BLENDSHAPES, "landmarks": LANDMARKS}


@dataclass(frozen=True)
class FaceLandmarks(Extractor):
    """Landmarks, expression, gaze and head pose of the face in each picture, by MediaPipe.

    ``values`` (n_pictures, 1500) by default, a row a picture at ``rate``; rows without a face,
    or in which MediaPipe sees none at its place, are masked (0).

    ===============  =====  ================================================================
    ``gaze``             8  ``gaze_0_x`` ...: where the eye on the picture's left, then the other,
                            looks: unit vectors (right, down, away; (0, 0, -1) into the camera).
                            ``gaze_angle_x`` (to the picture's right), ``gaze_angle_y`` (down):
                            their mean, degrees
    ``pose``             6  ``pose_Tx pose_Ty pose_Tz`` of the point between the eyes, mm;
                            ``pose_Rx pose_Ry pose_Rz``, degrees; axes as in ``face-geometry``
    ``blendshapes``     52  by MediaPipe's names, [0, 1]: in place of action units (``jawOpen``:
                            AU26, ``browInnerUp``: AU1 ...); ``Left`` is the person's left
    ``landmarks``     1434  ``x_0`` ... ``x_477``, then ``y_*``, pixels of the picture; ``z_*`` in
                            pixels too, away from the camera, 0 at the head's middle
    ===============  =====  ================================================================

    Names and axes are OpenFace's, whose angles are in radians; its landmarks are 68 others.

    MediaPipe sees the chosen face's window, at the picture's own resolution, and nothing else;
    each picture by itself, so that a row never depends on the clip before it (its mode for videos
    tracks and smooths). Its pose counts from a camera that looks at the window; here it counts
    from that of the picture, see ``iris_gaze.head_before_camera``. The pose rests on an average
    face, gaze on average eyes and on where the iris lies between the corners: trust their changes
    more than their zero.

    Needs the package mediapipe: ``pip install 'affectflow[landmarks]'`` installs one of the last
    releases that need no second OpenCV and send nothing; from 0.10.35 on MediaPipe reports
    metrics of its use to Google. Newer ones work too.

    Args:
        model: MediaPipe's ``face_landmarker.task``, a file that MediaPipe offers with its guide
            to face landmarks. Its content counts towards the fingerprint. Nothing is fetched.
        features: what to give, in the order of the columns.
        rate: pictures a second, Hz.
        margin: share of the box's longer side added on each side of it for the window.
        focal: focal length of the camera in pixels, where it is known; 0: a guess by the
            picture's size.

    Source:
        Grishchenko et al. (2020), "Attention Mesh", CVPR workshop, arXiv:2006.10962; Kartynnik
        et al. (2019), "Real-time Facial Surface Geometry", arXiv:1907.06724.
    """

    name: ClassVar[str] = "face-landmarks"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = "vision"
    rows: ClassVar[str] = "10 Hz"
    sizes: ClassVar[str] = "as chosen; 1500"
    libraries: ClassVar[tuple[str, ...]] = ("mediapipe", "opencv-python-headless")
    paper: ClassVar[str] = "Grishchenko et al. (2020), Attention Mesh; MediaPipe"
    peak_memory: ClassVar[int] = 1 << 30

    model: str = field(metadata=WHERE)
    features: tuple[str, ...] = tuple(FEATURES)
    rate: float = 10.0
    margin: float = 0.5
    focal: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.model or not isinstance(self.model, str):
            raise BadCall("face-landmarks: model must be MediaPipe's face_landmarker.task, a file")
        if isinstance(self.features, list):
            object.__setattr__(self, "features", tuple(self.features))
        known = [name for name in self.features if name in FEATURES]
        if not known or len(set(known)) < len(self.features):
            raise BadCall(
                f"face-landmarks: features must be some of {', '.join(FEATURES)}, each once, "
                f"not {self.features!r}"
            )
        if not 0 < self.rate <= 240:
            raise BadCall(f"face-landmarks: rate must be in (0, 240] Hz, not {self.rate:g}")
        if not 0 <= self.margin <= 4:
            raise BadCall(f"face-landmarks: margin must be in [0, 4], not {self.margin:g}")
        if not 0 <= self.focal < np.inf:
            raise BadCall(f"face-landmarks: focal must be at least 0 pixels, not {self.focal:g}")

    @property
    def needs(self) -> Needs:
        return Needs(frames=self.rate, features=("faces",))

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that ``features`` asks for."""
        return tuple(name for part in self.features for name in FEATURES[part])

    @property
    def spec(self) -> FeatureSpec:
        columns = self.columns
        return {"values": ArraySpec((len(columns),), "float32", columns, hop=1 / self.rate)}

    def weights(self) -> Mapping[str, Path]:
        require_mediapipe()
        return {"model": Path(self.model).expanduser()}

    def extract(self, clip: Clip) -> Features:
        """Map the face's pictures to rows of ``columns``.

        Raises:
            NoFace: no picture has a face, or MediaPipe sees none of them.
            NoVideo: there are no pictures.
            BadCall: mediapipe is not installed, or the model's file cannot be used.
        """
        network = load_face_landmarker(self.weights()["model"])
        # A window of one pixel: its map says where the face is and how large.
        path = crops.FacePath(self.upstream(clip, "faces"), crops.Window(1, self.margin))
        rows, given = [], 0
        for frame in clip.frames(self.rate):
            place = path.in_frame(frame)
            given += place is not None
            rows.append(None if place is None else self._row(frame, place, network))
        if not rows:
            raise NoVideo(f"'{clip.id}' has no picture at {self.rate:g} Hz: the segment is empty")
        mask = np.array([row is not None for row in rows])
        if not mask.any():
            raise NoFace(
                f"'{clip.id}': MediaPipe sees no face in the {given} of {len(rows)} pictures "
                "that have one"
                if given
                else f"'{clip.id}': none of {len(rows)} pictures has a face to look at"
            )
        values = np.zeros((len(rows), len(self.columns)), np.float32)
        values[mask] = [row for row in rows if row is not None]
        return Features(values, frame_times(len(rows), 1 / self.rate), self.columns, mask)

    def _row(self, frame: Frame, place: Array, network: FaceLandmarker) -> Array | None:
        """What is found of the face at a place, (n_columns,); None where MediaPipe sees none."""
        span = 1 / place[0, 0]  # px, of the window
        middle = (0.5 - place[:, 2]) * span
        height, width = frame.image.shape[:2]
        low = np.clip(np.floor(middle - span / 2), 0, (width, height)).astype(int)
        high = np.clip(np.ceil(middle + span / 2), 0, (width, height)).astype(int)
        if (high <= low).any():
            return None
        window = Window(int(low[0]), int(low[1]), *(int(side) for side in high - low))
        seen = network.faces(frame.image[low[1] : high[1], low[0] : high[0]])
        found = _nearest(seen, middle - low, span / (2 + 4 * self.margin))
        if found is None:
            return None
        gaze, pose = gaze_and_pose(found, window, (width, height), self.focal)
        points = found.landmarks + (*low, 0)
        parts = {"gaze": gaze, "pose": pose, "blendshapes": found.blendshapes}
        parts["landmarks"] = points.T.ravel()
        return np.concatenate([parts[name] for name in self.features])


def _nearest(seen: list[Found], middle: Array, reach: float) -> Found | None:
    """The face whose landmarks lie nearest to a place; None where none is within reach.

    Args:
        seen: what MediaPipe found.
        middle: (2,) of the face's box, in the same pixels.
        reach: half of the box's side.
    """
    if not seen:
        return None
    away = [np.linalg.norm(found.landmarks[:, :2].mean(axis=0) - middle) for found in seen]
    best = int(np.argmin(away))
    return seen[best] if away[best] <= reach else None
