from pathlib import Path

import numpy as np
import pytest

from affectflow.cache.errors import BadCall, BadInput, NoFace
from affectflow.cache.keys import settings_of
from affectflow.cache.records import Features
from affectflow.extract.clip import Clip
from affectflow.extract.registry import extractor
from affectflow.extract.vision.face_geometry import COLUMNS
from affectflow.extract.vision.head_pose import MEAN_FACE, camera_matrix, rotation_matrix
from affectflow.extract.vision.mtcnn_face import COLUMNS as MAIN_COLUMNS

SHARED = Path(__file__).parents[4] / "shared"
WIDTH, HEIGHT = 640, 480


def landmarks(pitch=0.0, yaw=0.0, roll=0.0, place=(20.0, -10.0, 500.0)):
    """The mean face in this pose as the camera sees it, (5, 2) pixels."""
    head = MEAN_FACE @ rotation_matrix(pitch, yaw, roll).T + np.array(place)
    image = head @ camera_matrix(WIDTH, HEIGHT).T
    return image[:, :2] / image[:, 2:]


def faces(points, times=None, shown=None, mask=None, track=None, size=(WIDTH, HEIGHT)):
    """Features as ``mtcnn-face`` gives them, from landmarks (n, 5, 2)."""
    points = np.asarray(points, float)
    n = len(points)
    times = np.arange(n) / 10 if times is None else np.asarray(times)
    low, high = points.min(axis=1) - 20, points.max(axis=1) + 20
    values = np.concatenate(
        [
            *(low, high, np.ones((n, 1)), points.reshape(n, 10)),
            np.reshape(np.ones(n) if track is None else track, (n, 1)),
            np.tile(size, (n, 1)),
            np.reshape(times if shown is None else shown, (n, 1)),
        ],
        axis=1,
    )
    spans = np.stack([times, times + 0.1], axis=1)
    return Features(values.astype(np.float32), spans, MAIN_COLUMNS, mask)


def geometry(found):
    return extractor("face-geometry").extract(Clip("talk", features={"faces": found}))


def column(features, *names):
    return features.values[:, [COLUMNS.index(name) for name in names]]


def angles(features):
    return column(features, "pose_Rx", "pose_Ry", "pose_Rz")


POSES = [(0, 0, 0), (20, 0, 0), (0, -40, 0), (0, 0, 30), (-15, 35, -20), (25, -30, 10)]


@pytest.mark.parametrize("pose", POSES)
def test_recovers_the_pose_of_a_projected_head(pose):
    found = geometry(faces([landmarks(*pose)]))
    np.testing.assert_allclose(angles(found)[0], pose, atol=0.05)
    place = column(found, "pose_Tx", "pose_Ty", "pose_Tz")[0]
    np.testing.assert_allclose(place, [20, -10, 500], atol=0.5)
    assert column(found, "pose_error")[0, 0] < 1e-3


def test_recovers_the_pose_within_five_degrees_from_landmarks_half_a_pixel_off():
    noise = np.random.default_rng(0).normal(0, 0.5, (200, 5, 2))
    found = geometry(faces(landmarks(10, -20, 5) + noise))
    error = np.abs(angles(found) - [10, -20, 5])
    assert np.median(error, axis=0).max() < 1.5
    assert np.quantile(error, 0.95, axis=0).max() < 5


def test_the_nose_goes_down_with_pitch_and_to_the_left_with_yaw():
    nose = 2
    straight = landmarks()
    assert landmarks(pitch=20)[nose, 1] > straight[nose, 1]
    assert landmarks(yaw=20)[nose, 0] < straight[nose, 0]
    assert landmarks(roll=20)[1, 1] > straight[1, 1]  # the right eye sinks: clockwise


def test_a_mirrored_face_turns_and_tilts_the_other_way():
    points = landmarks(12, 25, -15)
    mirrored = points[[1, 0, 2, 4, 3]] * [-1, 1] + [WIDTH, 0]
    there, back = angles(geometry(faces([points, mirrored])))
    np.testing.assert_allclose(back, there * [1, -1, -1], atol=0.05)


def test_shape_and_distances_do_not_see_place_size_and_roll():
    points = landmarks(5, 10, 0)
    turn = np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
    middle = points.mean(axis=0)
    changed = (points - middle) @ turn.T * 0.6 + middle + [30, 15]
    found = geometry(faces([points, changed]))
    names = [n for n in COLUMNS if n.startswith("shape_")] + ["mouth_width", "mouth_nose"]
    one, other = column(found, *names)
    np.testing.assert_allclose(one, other, atol=1e-4)


def test_the_shape_of_the_frontal_face_is_upright_with_unit_size():
    found = geometry(faces([landmarks(place=(0, 0, 800))]))
    names = [n for n in COLUMNS if n.startswith("shape_")]
    shape = column(found, *names).reshape(5, 2)
    np.testing.assert_allclose(shape.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(np.mean(np.sum(shape**2, axis=1)), 1, rtol=1e-5)
    np.testing.assert_allclose(shape[0] * [-1, 1], shape[1], atol=1e-4)


def test_place_and_size_are_shares_of_the_picture():
    points = landmarks()
    found = geometry(faces([points]))
    low, high = points.min(axis=0) - 20, points.max(axis=0) + 20
    box = column(found, "face_x", "face_y", "face_width", "face_height")[0]
    np.testing.assert_allclose(
        box, [*((low + high) / 2 / (WIDTH, HEIGHT)), *((high - low) / (WIDTH, HEIGHT))], rtol=1e-4
    )
    eyes = points[1, 0] - points[0, 0]
    np.testing.assert_allclose(
        column(found, "interocular", "interocular_px")[0], [eyes / WIDTH, eyes], rtol=1e-4
    )


def test_a_head_that_turns_steadily_has_that_speed():
    found = geometry(faces([landmarks(yaw=3 * k) for k in range(5)]))
    np.testing.assert_allclose(column(found, "d_pose_Ry")[:, 0], 30, atol=0.2)


def test_speed_goes_by_the_true_times_of_the_pictures():
    shown = [0.0, 0.05, 0.2]
    found = geometry(faces([landmarks(yaw=100 * t) for t in shown], shown=shown))
    np.testing.assert_allclose(column(found, "d_pose_Ry")[:, 0], 100, atol=0.5)


def test_a_picture_shown_twice_counts_once():
    shown = [0.0, 0.0, 0.1, 0.1, 0.2]
    found = geometry(faces([landmarks(yaw=100 * t) for t in shown], shown=shown))
    np.testing.assert_allclose(column(found, "d_pose_Ry")[:, 0], 100, atol=0.5)


def test_speed_is_not_measured_across_a_missing_face_or_another_face():
    yaws = [0, 3, 0, 30, 33, -20, -20]
    mask = [True, True, False, True, True, True, True]
    found = geometry(
        faces([landmarks(yaw=y) for y in yaws], mask=mask, track=[1, 1, 0, 1, 1, 2, 3])
    )
    speed = column(found, "d_pose_Ry")[:, 0]
    np.testing.assert_allclose(speed, [30, 30, 0, 30, 30, 0, 0], atol=0.2)


def test_rows_without_a_face_stay_masked():
    found = geometry(faces([landmarks(), landmarks()], mask=[False, True]))
    np.testing.assert_array_equal(found.mask, [False, True])
    assert not found.values[0].any()


def test_landmarks_on_one_point_are_masked():
    found = geometry(faces([landmarks(), np.full((5, 2), 100.0)]))
    np.testing.assert_array_equal(found.mask, [True, False])


def test_a_known_camera_moves_the_head_to_its_true_distance():
    guessed = camera_matrix(WIDTH, HEIGHT)[0, 0]
    clip = Clip("talk", features={"faces": faces([landmarks(place=(0, 0, 500))])})
    known = extractor("face-geometry", focal=2 * guessed).extract(clip)
    np.testing.assert_allclose(column(known, "pose_Tz")[0, 0], 1000, rtol=0.03)
    assert settings_of(extractor("face-geometry")) == {}
    assert settings_of(extractor("face-geometry", focal=700)) == {"focal": 700.0}
    with pytest.raises(BadCall, match="face-geometry: focal must be at least 0 pixels, not -1"):
        extractor("face-geometry", focal=-1)


def test_says_when_no_picture_has_a_face():
    with pytest.raises(NoFace, match="'talk': none of 2 pictures has a face"):
        geometry(faces([landmarks()] * 2, mask=[False, False]))


def test_names_the_columns_that_faces_lack():
    short = Features(np.ones((2, 1), np.float32), np.zeros((2, 2)), ("x1",))
    with pytest.raises(BadInput, match="'talk': the faces lack the columns y1, x2"):
        geometry(short)


def test_faces_must_be_given():
    with pytest.raises(BadInput, match="'face-geometry' needs 'faces' of 'talk'"):
        extractor("face-geometry").extract(Clip("talk"))


def test_golden_values_of_version_1():
    assert extractor("face-geometry").version == 1
    points = [(132.3, 159.5), (180.4, 159.1), (160.8, 189.0), (139.8, 219.8), (178.8, 218.4)]
    found = geometry(faces([points], size=(360, 288)))
    expected = [
        *(-29.035, 20.357, 368.75, -5.0206, -10.472, -1.894),
        *(-0.75274, -0.92235, 0.69562, -0.88002, 0.071824),
        *(-0.002126, -0.59513, 0.90128, 0.58042, 0.90322),
        *(1.1756, 0.90783, 1.8036, 0.43431, 0.65781, 0.24472, 0.34965),
        *(0.13362, 48.102, 0.025875),
    ]
    np.testing.assert_allclose(found.values[0, :26], expected, rtol=1e-3, atol=1e-3)


def test_promises_what_it_gives():
    found = geometry(faces([landmarks()])).cast(extractor("face-geometry").spec)
    assert found.values.shape == (1, 49)


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "clips").exists(), reason="needs the shared clips")
def test_speakers_who_face_the_camera_have_a_plausible_pose():
    clip = next((SHARED / "clips/Raw/grid").glob("*.mpg"))
    found = extractor("face-geometry")(
        clip, features={"faces": extractor("mtcnn-face", rate=3)(clip)}
    )
    assert np.abs(angles(found)[found.mask]).max() < 30
    assert 300 < np.median(column(found, "pose_Tz")) < 3000
