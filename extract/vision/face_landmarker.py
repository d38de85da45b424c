"""MediaPipe's FaceLandmarker on single pictures: its model file, and what it finds."""

from __future__ import annotations

import weakref
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...cache.errors import BadCall
from ...cache.records import Array
from ..extras import not_there, require
from ..hf_hub import reason
from ..loaded import LoadedModels
from .tensor_file import file_mark

#: MediaPipe's coefficients of expression, in its order; left and right are the person's own.
BLENDSHAPES = (
    *("_neutral", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft"),
    *("browOuterUpRight", "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft"),
    *("eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight"),
    *("eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight", "eyeSquintLeft"),
    *("eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen"),
    *("jawRight", "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft"),
    *("mouthFrownRight", "mouthFunnel", "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight"),
    *("mouthPressLeft", "mouthPressRight", "mouthPucker", "mouthRight", "mouthRollLower"),
    *("mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft"),
    *("mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft"),
    *("mouthUpperUpRight", "noseSneerLeft", "noseSneerRight"),
)
N_LANDMARKS = 478
#: What a file for FaceLandmarker holds: three networks, and the canonical face.
PARTS = (
    *("face_detector.tflite", "face_landmarks_detector.tflite", "face_blendshapes.tflite"),
    "geometry_pipeline_metadata_landmarks.binarypb",
)
#: Faces that are looked for in one picture, so that a neighbour is not taken for the one wanted.
FACES = 3


class Found(NamedTuple):
    """One face.

    ``landmarks`` (478, 3) in pixels of the picture: right, down, and away from the camera counted
    from the head's middle. ``blendshapes`` (52,) in [0, 1]. ``matrix`` (4, 4) puts MediaPipe's
    canonical face, in cm, before its camera (right, up, towards the viewer).
    """

    landmarks: Array
    blendshapes: Array
    matrix: Array


class FaceLandmarker:
    """A loaded model; see ``load_face_landmarker``."""

    def __init__(self, network: Any) -> None:
        self._network = network
        weakref.finalize(self, _let_go, network)

    def faces(self, picture: Array) -> list[Found]:
        """Faces of one picture, (height, width, 3) uint8 RGB; each picture is seen by itself.

        Raises:
            BadCall: the model gives other landmarks or blendshapes than those known.
        """
        import mediapipe

        height, width = picture.shape[:2]
        image = mediapipe.Image(
            image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(picture)
        )
        seen = self._network.detect(image)
        found = []
        for points, shapes, matrix in zip(
            seen.face_landmarks,
            seen.face_blendshapes,
            seen.facial_transformation_matrixes,
            strict=True,
        ):
            names = tuple(shape.category_name for shape in shapes)
            if len(points) != N_LANDMARKS or names != BLENDSHAPES:
                raise BadCall(
                    f"face-landmarks: the model gives {len(points)} landmarks and {len(names)} "
                    f"blendshapes, not MediaPipe's {N_LANDMARKS} and {len(BLENDSHAPES)}"
                )
            places = np.array([(p.x, p.y, p.z) for p in points]) * (width, height, width)
            scores = np.array([shape.score for shape in shapes])
            found.append(Found(places, scores, np.asarray(matrix, np.float64)))
        return found


def _let_go(network: Any) -> None:
    try:
        network.close()
    except RuntimeError:  # Python has begun to end, and MediaPipe's own threads are gone
        network._handle = None  # or its finaliser tries once more, and fails aloud


_LOADED: LoadedModels[FaceLandmarker] = LoadedModels()


def load_face_landmarker(path: Path) -> FaceLandmarker:
    """The model of a file, loaded once in each process while it is used.

    Raises:
        BadCall: mediapipe is not installed, or the file is missing or no FaceLandmarker's.
    """
    return _LOADED.get(file_mark(path), lambda: _load(path))


def require_mediapipe() -> None:
    """Check that the extra is installed.

    Raises:
        BadCall: it is not.
    """
    require("mediapipe", "face-landmarks", "landmarks")


def _load(path: Path) -> tuple[FaceLandmarker, int]:
    require_mediapipe()
    _check_parts(path)
    try:
        from mediapipe.tasks.python import BaseOptions, vision
    except (ImportError, OSError) as error:  # OSError: a library of the system is missing
        raise not_there("mediapipe", "face-landmarks", "landmarks", reason(error)) from error
    content = path.read_bytes()
    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_buffer=content),
        running_mode=vision.RunningMode.IMAGE,  # of a video, a face would depend on those before
        num_faces=FACES,
        output_face_blendshapes=True,
        output_facial_transformation_matrixes=True,
    )
    try:
        network = vision.FaceLandmarker.create_from_options(options)
    except (RuntimeError, ValueError, OSError) as error:
        raise BadCall(f"face-landmarks: '{path}' cannot be loaded: {reason(error)}") from error
    return FaceLandmarker(network), len(content)


def _check_parts(path: Path) -> None:
    """Tell a file of another kind before MediaPipe does in its own words.

    Raises:
        BadCall: it is no zip archive, or lacks one of ``PARTS``.
    """
    mend = "set model to MediaPipe's face_landmarker.task"
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError) as error:
        raise BadCall(
            f"face-landmarks: '{path}' is no .task file, a zip archive of networks "
            f"({reason(error)}); {mend}"
        ) from error
    missing = [part for part in PARTS if part not in names]
    if missing:
        raise BadCall(
            f"face-landmarks: '{path}' is not for FaceLandmarker: it lacks {', '.join(missing)} "
            f"and holds {', '.join(names[:4]) or 'nothing'}; {mend}"
        )
