"""Head pose from five landmarks: a rigid mean face placed in front of a camera."""

from __future__ import annotations

import numpy as np

from ...cache.records import Array

#: A mean adult face in millimetres: x to the right in the picture, y down, z away from the camera;
#: origin between the pupils. Order: eye, eye, nose tip, mouth corner, mouth corner, left first.
#:
#: Pupils 63 apart (Dodgson 2004, Optom. Vis. Sci. 81(4): mean 63.4). Mouth 51 wide, nose tip 20
#: before its base (Zhuang and Bradtmiller 2005, J. Occup. Environ. Hyg. 2(11), US workers: about
#: 50 and 20). The nose's base lies about 15 before the corneas, hence 35; the mouth's corners 5.
#: Downwards these surveys and Farkas (1994) put the nose tip at 37-41 and the mouth at 67-71;
#: MTCNN sets its landmarks a little higher and lower, here at 34 and 72: seven speakers who face a
#: studio camera then have a mean pitch of -6 to -1 degrees.
MEAN_FACE = np.array(
    [(-31.5, 0, 0), (31.5, 0, 0), (0, 34, -35), (-25.5, 72, -5), (25.5, 72, -5)], np.float64
)


def camera_matrix(width: float, height: float, focal: float = 0.0) -> Array:
    """Pinhole camera (3, 3) of a picture; its axis goes through the middle.

    Args:
        width: of the picture in pixels.
        height: of the picture in pixels.
        focal: focal length in pixels; 0: not known. OpenFace's guess is taken then: the mean of
            500 pixels at a width of 640 and 500 pixels at a height of 480.
    """
    focal = focal or (500 * width / 640 + 500 * height / 480) / 2
    return np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])


def head_pose(points: Array, camera: Array) -> tuple[Array, Array, float] | None:
    """Where the mean face must stand to show these landmarks.

    Levenberg-Marquardt on the error in pixels, started from the frontal mean face at the place,
    size and roll that fit best. Of OpenCV's direct solvers, DLT needs six points, IPPE a plane,
    EPnP is unstable on so few, and SQPnP refuses faces that are small in a large picture. The
    nose is far out of the plane of the others, so the mirrored solution of plane objects does not
    occur: in 1,000 poses up to 60 degrees with 2 pixels of noise, this start and SQPnP's global
    minimum ended alike.

    Args:
        points: (5, 2) pixels, in the order of ``MEAN_FACE``.
        camera: (3, 3) from ``camera_matrix``.

    Returns:
        Rotation (3, 3), translation (3,) in mm and the root mean square error of the landmarks in
        pixels; None where no pose in front of the camera shows them.
    """
    import cv2

    points = np.ascontiguousarray(points, np.float64)
    start = _frontal_start(points, camera)
    if start is None:
        return None
    turn, shift = cv2.solvePnPRefineLM(MEAN_FACE, points, camera, None, *start)
    if not (np.isfinite(turn).all() and np.isfinite(shift).all() and shift[2, 0] > 0):
        return None
    shown = cv2.projectPoints(MEAN_FACE, turn, shift, camera, None)[0][:, 0]  # (5, 2)
    error = float(np.sqrt(np.mean(np.sum((shown - points) ** 2, axis=1))))
    return np.asarray(cv2.Rodrigues(turn)[0]), np.asarray(shift[:, 0]), error


def _frontal_start(points: Array, camera: Array) -> tuple[Array, Array] | None:
    """Rotation vector and translation, both (3, 1), of a head that looks along the camera's axis.

    None where the landmarks fall together.
    """
    flat = points[:, 0] + 1j * points[:, 1]
    mean = MEAN_FACE.mean(axis=0)
    model = MEAN_FACE[:, 0] - mean[0] + 1j * (MEAN_FACE[:, 1] - mean[1])
    # The factor that turns and scales the mean face's mm into the landmarks' pixels.
    factor = np.vdot(model, flat - flat.mean()) / np.vdot(model, model).real
    if not np.abs(factor) > 0:
        return None
    focal, axis = camera[0, 0], camera[:2, 2]
    depth = focal / np.abs(factor)
    turned = factor / np.abs(factor) * complex(mean[0], mean[1])
    x, y = (points.mean(axis=0) - axis) * depth / focal
    shift = np.array([[x - turned.real], [y - turned.imag], [depth - mean[2]]])
    return np.array([[0.0], [0.0], [np.angle(factor)]]), shift


def rotation_angles(rotation: Array) -> Array:
    """Pitch, yaw and roll in degrees, (3,), of ``rotation = Rx(pitch) Ry(yaw) Rz(roll)``.

    Pitch grows as the nose goes down, yaw as it goes to the picture's left, roll as the head
    tilts clockwise in the picture.
    """
    pitch = np.arctan2(-rotation[1, 2], rotation[2, 2])
    yaw = np.arcsin(np.clip(rotation[0, 2], -1, 1))
    roll = np.arctan2(-rotation[0, 1], rotation[0, 0])
    result: Array = np.degrees(np.array([pitch, yaw, roll]))
    return result


def rotation_matrix(pitch: float, yaw: float, roll: float) -> Array:
    """The rotation (3, 3) that has these angles in degrees; the inverse of ``rotation_angles``."""
    a, b, c = np.radians([pitch, yaw, roll])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return np.asarray(about_x @ about_y @ about_z)
