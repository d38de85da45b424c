"""Head pose and gaze from what MediaPipe finds in a window of a picture."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...cache.records import Array
from .face_landmarker import Found
from .head_pose import camera_matrix, rotation_angles

#: Degrees that MediaPipe's camera sees from the top of a picture to its bottom.
FIELD_OF_VIEW = 63.0
#: The point between the eyes of MediaPipe's canonical face, cm: the mean of the eyes' corners.
BETWEEN_EYES = np.array([0.0, 2.6246, 3.4657])
#: Landmarks of each eye, the one on the picture's left first: outer and inner corner, iris.
EYES = ((33, 133, 468), (263, 362, 473))
#: Millimetres from the point about which an eye turns to the middle of its pupil: 13.5 to the
#: cornea's front (Fry and Hill 1962, Am. J. Optom. 39) less 3, where the pupil is seen.
PUPIL_RADIUS = 10.5
#: From MediaPipe's axes (right, up, towards the viewer) to ours (right, down, away), and back.
FLIP = np.diag([1.0, -1.0, -1.0])


class Window(NamedTuple):
    """Part of a picture in pixels: its left and upper edge and its size."""

    left: int
    top: int
    width: int
    height: int


class Head(NamedTuple):
    """A head before the camera of the whole picture.

    ``rotation`` (3, 3) from the head's axes to the camera's, ``place`` (3,) of the point between
    the eyes in mm (right, down, away), ``seen`` (3, 3) the rotation as the window shows it, and
    ``scale``: mm that a pixel spans at the eyes.
    """

    rotation: Array
    place: Array
    seen: Array
    scale: float


def head_before_camera(
    matrix: Array, window: Window, picture: tuple[int, int], focal: float
) -> Head:
    """Where a head stands, from where it stands before the camera that MediaPipe supposes.

    That camera looks at the window's middle, with a field of view of its own. The true one looks
    at the picture's middle: a head that turns its face along the line of sight of a window at the
    picture's edge does not look along the camera's axis. So the head is moved along the line of
    sight until the pixels' sizes agree, and turned with it.

    Args:
        matrix: (4, 4) of ``Found``.
        window: what MediaPipe saw of the picture.
        picture: its width and height in pixels.
        focal: focal length in pixels; 0: a guess, see ``camera_matrix``.
    """
    import cv2

    camera = camera_matrix(*picture, focal)
    inner = window.height / (2 * np.tan(np.radians(FIELD_OF_VIEW / 2)))  # its focal length
    seen = 10 * FLIP @ (matrix[:3, :3] @ BETWEEN_EYES + matrix[:3, 3])  # mm
    middle = np.array([window.left + window.width / 2, window.top + window.height / 2])
    point = middle + inner * seen[:2] / seen[2]  # px
    depth = seen[2] * camera[0, 0] / inner
    place = np.append((point - camera[:2, 2]) * depth / camera[0, 0], depth)
    sight = np.append((middle - camera[:2, 2]) / camera[0, 0], 1)
    sight /= np.linalg.norm(sight)
    axis = np.array([-sight[1], sight[0], 0])  # of the turn from the camera's axis to the sight
    sine = np.linalg.norm(axis)
    turn = cv2.Rodrigues(axis * (np.arctan2(sine, sight[2]) / sine if sine else 0.0))[0]
    rotation = FLIP @ matrix[:3, :3] @ FLIP
    return Head(np.asarray(turn @ rotation), place, rotation, float(seen[2] / inner))


def eye_directions(landmarks: Array, head: Head) -> Array:
    """Where each eye looks, (2, 3) unit vectors before the camera; the picture's left eye first.

    An eye is a sphere about the middle between its corners, seen from the front of the head; the
    iris' distance from there, over ``PUPIL_RADIUS``, is the sine of the angle.

    Args:
        landmarks: (478, 3) of ``Found``.
        head: see ``head_before_camera``.
    """
    turned = landmarks @ head.seen  # in the head's axes, pixels
    directions = np.zeros((2, 3))
    for eye, (outer, inner, iris) in enumerate(EYES):
        away = turned[iris] - (turned[outer] + turned[inner]) / 2
        sides = away[:2] * head.scale / PUPIL_RADIUS
        sides = sides / max(1.0, float(np.linalg.norm(sides)))  # no farther than across
        directions[eye] = *sides, -np.sqrt(max(0.0, 1 - sides @ sides))
    return directions @ head.rotation.T


def gaze_and_pose(
    found: Found, window: Window, picture: tuple[int, int], focal: float
) -> tuple[Array, Array]:
    """Gaze (8,) and pose (6,) in the order of ``face_landmarks.GAZE`` and ``POSE``."""
    head = head_before_camera(found.matrix, window, picture, focal)
    directions = eye_directions(found.landmarks, head)
    x, y, z = directions.mean(axis=0)
    angles = np.degrees([np.arctan2(x, -z), np.arctan2(y, -z)])
    gaze = np.concatenate([directions.ravel(), angles])
    return gaze, np.concatenate([head.place, rotation_angles(head.rotation)])
