import numpy as np
import pytest

from affectflow.extract.vision.face_landmarker import Found
from affectflow.extract.vision.head_pose import rotation_matrix
from affectflow.extract.vision.iris_gaze import (
    BETWEEN_EYES,
    EYES,
    FIELD_OF_VIEW,
    FLIP,
    PUPIL_RADIUS,
    Window,
    gaze_and_pose,
    head_before_camera,
)

WIDTH, HEIGHT, FOCAL = 1280, 720, 900.0


def pictured(angles, place):
    """A head as a camera of ``FOCAL`` sees it: where it lies in the picture, its size per mm."""
    place = np.array(place, float)
    middle = place[:2] * FOCAL / place[2] + (WIDTH / 2, HEIGHT / 2)
    return rotation_matrix(*angles), middle, FOCAL / place[2]


def as_mediapipe(angles, place, window):
    """The matrix of a head that MediaPipe's own camera would see alike in a window.

    That camera looks along the line of sight, so it sees the head turned back by that line.
    """
    rotation, middle, scale = pictured(angles, place)
    inner = window.height / (2 * np.tan(np.radians(FIELD_OF_VIEW / 2)))
    sight = np.append((window_middle(window) - (WIDTH / 2, HEIGHT / 2)) / FOCAL, 1)
    across = np.array([1.0, 0, 0])
    z = sight / np.linalg.norm(sight)
    # Any camera that looks along the sight; of these, the one least turned from the true one.
    half = np.array([0, 0, 1.0]) + z
    turn = 2 * np.outer(half, half) / (half @ half) - np.eye(3)  # half a turn about `half`
    turn = turn @ np.diag([-1.0, -1, 1])  # and half a turn about the old axis
    assert np.allclose(turn @ (0, 0, 1), z)
    assert (turn @ across)[0] > 0.5
    matrix = np.eye(4)
    matrix[:3, :3] = FLIP @ turn.T @ rotation @ FLIP
    depth = inner / scale
    away = np.append((middle - window_middle(window)) * depth / inner, depth)
    matrix[:3, 3] = FLIP @ away / 10 - matrix[:3, :3] @ BETWEEN_EYES
    return matrix


def window_middle(window):
    return np.array([window.left + window.width / 2, window.top + window.height / 2])


@pytest.mark.parametrize("place", [(0, 0, 900), (300, -150, 900), (-400, 100, 1500)])
@pytest.mark.parametrize("angles", [(0, 0, 0), (10, -25, 5), (-15, 30, -20)])
def test_a_head_stands_where_and_as_it_was_put_wherever_the_window_lies(angles, place):
    middle = pictured(angles, place)[1]
    window = Window(*np.round(middle - (90, 110)).astype(int), 200, 200)
    matrix = as_mediapipe(angles, place, window)
    head = head_before_camera(matrix, window, (WIDTH, HEIGHT), FOCAL)
    np.testing.assert_allclose(head.place, place, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(head.rotation, rotation_matrix(*angles), atol=1e-6)


def face(angles, place, window, look):
    """A face whose eyes look ``look``, a direction in the head's axes, as MediaPipe finds it."""
    matrix = as_mediapipe(angles, place, window)
    seen = FLIP @ matrix[:3, :3] @ FLIP
    scale = pictured(angles, place)[2]
    landmarks = np.zeros((478, 3))
    for side, (outer, inner, iris) in zip((-1, 1), EYES, strict=True):
        middle = np.array([side * 31.5, 0, 0])
        for point, away in ((outer, 13 * side), (inner, -13 * side)):
            landmarks[point] = scale * seen @ (middle + (away, 0, 0))
        landmarks[iris] = scale * seen @ (middle + PUPIL_RADIUS * np.array([*look[:2], 0]))
    return Found(landmarks + (60, 70, 0), np.zeros(52), matrix)


@pytest.mark.parametrize(
    ("angles", "look", "wanted"),
    [
        ((0, 0, 0), (0, 0), (0, 0)),
        ((0, 0, 0), (0.5, 0), (30, 0)),  # to the picture's right
        ((0, 0, 0), (0, -0.5), (0, -30)),  # up
        ((20, 0, 0), (0, 0), (0, 20)),  # the nose goes down, the eyes with it
        ((0, 20, 0), (np.sin(np.radians(20)), 0), (0, 0)),  # eyes on the camera, head turned away
    ],
)
def test_gaze_is_the_heads_turn_and_the_eyes_in_it(angles, look, wanted):
    window = Window(WIDTH // 2 - 100, HEIGHT // 2 - 100, 200, 200)
    found = face(angles, (0, 0, 900), window, look)
    gaze, pose = gaze_and_pose(found, window, (WIDTH, HEIGHT), FOCAL)
    np.testing.assert_allclose(gaze[6:], wanted, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(gaze[:6].reshape(2, 3), axis=1), 1)
    np.testing.assert_allclose(pose, (0, 0, 900, *angles), atol=1e-4)


def test_an_iris_farther_out_than_an_eye_reaches_looks_across_and_stays_finite():
    window = Window(WIDTH // 2 - 100, HEIGHT // 2 - 100, 200, 200)
    gaze, _ = gaze_and_pose(
        face((0, 0, 0), (0, 0, 900), window, (1.7, 0)), window, (WIDTH, HEIGHT), FOCAL
    )
    np.testing.assert_allclose(gaze[6], 90, atol=1e-4)
