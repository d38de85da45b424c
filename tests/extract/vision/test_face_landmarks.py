"""The extractor's rows, on a network that finds faces where each test puts them.

With MediaPipe itself it runs in ``test_face_landmarker.py``. Google's released networks are tried
by one test here, which is skipped unless their file lies in ``shared/weights``: without it,
nothing shows what they see.
"""

from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest

from affectflow.cache.errors import BadCall, NoFace, NoVideo
from affectflow.extract.listing import about
from affectflow.extract.registry import extractor, extractor_class
from affectflow.extract.vision import face_landmarks
from affectflow.extract.vision.face_landmarker import BLENDSHAPES, Found
from affectflow.extract.vision.face_landmarks import FEATURES, GAZE, LANDMARKS, POSE

SHARED = Path(__file__).parents[3].parent / "shared"
WEIGHTS = SHARED / "weights" / "face_landmarker.task"
SHAPE, BOX = (120, 160), (60, 40, 100, 80)


def found_at(x, y, smile=0.0):
    """A face whose landmarks lie about a place, 20 pixels wide, and look into the camera."""
    points = np.random.default_rng(0).uniform(-10, 10, (478, 3))
    shapes = np.zeros(52)
    shapes[BLENDSHAPES.index("mouthSmileLeft")] = smile
    matrix = np.eye(4)
    matrix[2, 3] = -40
    return Found(points - points.mean(axis=0) + (x, y, 0), shapes, matrix)


class Network:
    """Sees in each window what it is told to; remembers the windows."""

    def __init__(self, *told):
        self.told, self.windows = list(told), []

    def faces(self, picture):
        self.windows.append(picture)
        return self.told[len(self.windows) - 1]


@pytest.fixture
def look(monkeypatch, make_clip, still_faces):
    """The function: rows of a clip of noisy pictures with a face at ``BOX``."""

    def run(*told, mask=None, box=BOX, **settings):
        network = Network(*told)
        monkeypatch.setattr(face_landmarks, "load_face_landmarker", lambda path: network)
        monkeypatch.setattr(face_landmarks, "require_mediapipe", lambda: None)
        n = len(told) if mask is None else len(mask)
        clip = make_clip(list(np.random.default_rng(1).integers(0, 255, (n, *SHAPE, 3), np.uint8)))
        clip.features["faces"] = still_faces(n, box, SHAPE, mask=mask)
        node = extractor("face-landmarks", model="a.task", **settings)
        found = node.extract(clip)
        assert found.cast(node.spec).columns == found.columns
        return found, network, [frame.image for frame in clip.frames(10.0)]

    return run


def columns(found, names):
    return found.values[:, [found.columns.index(name) for name in names]]


def test_columns_are_named_as_openface_and_mediapipe_name_them():
    spec = extractor("face-landmarks", model="a.task").spec["values"]
    assert spec.shape == (1500,)
    assert spec.hop == 0.1
    assert spec.columns == (*GAZE, *POSE, *BLENDSHAPES, *LANDMARKS)
    assert spec.columns[:9] == (
        *("gaze_0_x", "gaze_0_y", "gaze_0_z", "gaze_1_x", "gaze_1_y", "gaze_1_z"),
        *("gaze_angle_x", "gaze_angle_y", "pose_Tx"),
    )
    assert [spec.columns[i] for i in (66, 543, 544, 1499)] == ["x_0", "x_477", "y_0", "z_477"]
    assert len(set(BLENDSHAPES)) == 52


def test_only_what_is_asked_for_is_given_in_that_order(look):
    found, _, _ = look([found_at(40, 40, 0.5)], features=["blendshapes", "pose"])
    assert found.columns == (*BLENDSHAPES, *POSE)
    assert found.values[0, BLENDSHAPES.index("mouthSmileLeft")] == 0.5


def test_the_network_sees_the_window_about_the_face_as_it_is(look):
    _, network, pictures = look([found_at(40, 40)], margin=0.5)
    np.testing.assert_array_equal(network.windows[0], pictures[0][20:100, 40:120])


def test_landmarks_are_in_pixels_of_the_whole_picture(look):
    found, _, _ = look([found_at(40, 40)])
    xs = columns(found, LANDMARKS[:478])
    ys = columns(found, LANDMARKS[478:956])
    np.testing.assert_allclose([xs.mean(), ys.mean()], (80, 60), atol=1e-4)


def test_at_the_edge_the_window_ends_with_the_picture(look):
    found, network, pictures = look([found_at(15, 20)], box=(0, 0, 30, 40))
    np.testing.assert_array_equal(network.windows[0], pictures[0][:60, :55])
    np.testing.assert_allclose(columns(found, LANDMARKS[:478]).mean(), 15, atol=1e-4)


def test_a_head_in_the_pictures_middle_stands_before_its_camera(look):
    found, _, _ = look([found_at(40, 40)], focal=400)
    place = columns(found, POSE)[0]
    # 40 cm less the eyes' depth, seen 80 / (2 tan 31.5 degrees) = 65.27 times; then 400 times.
    np.testing.assert_allclose(place[2], (400 - 34.657) * 400 / 65.273, rtol=1e-4)
    np.testing.assert_allclose(place[1], -26.246, rtol=1e-4)
    np.testing.assert_allclose(place[3:], 0, atol=1e-6)


def test_rows_without_a_face_are_masked_and_their_pictures_not_looked_at(look):
    found, network, pictures = look([found_at(40, 40)], [], mask=[0, 1, 1, 0])
    assert found.mask.tolist() == [False, True, False, False]
    assert not found.values[~found.mask].any()
    assert len(network.windows) == 2
    np.testing.assert_array_equal(network.windows[0], pictures[1][20:100, 40:120])
    np.testing.assert_allclose(found.times[:, 0], [0, 0.1, 0.2, 0.3])


def test_a_neighbour_in_the_window_is_not_taken_for_the_face(look):
    found, _, _ = look([found_at(75, 40, 0.9), found_at(42, 40, 0.1)], [found_at(70, 40, 0.9)])
    assert found.mask.tolist() == [True, False]
    np.testing.assert_allclose(columns(found, ["mouthSmileLeft"])[0], 0.1)


def test_says_whether_there_was_no_face_or_mediapipe_saw_none(look):
    with pytest.raises(NoFace, match="'talk': none of 2 pictures has a face to look at"):
        look(mask=[0, 0])
    with pytest.raises(NoFace, match="'talk': MediaPipe sees no face in the 1 of 2 pictures that"):
        look([], mask=[0, 1])
    with pytest.raises(NoVideo, match="'talk' has no picture at 10 Hz"):
        look()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": ""}, "model must be MediaPipe's face_landmarker.task"),
        ({"features": ["mesh"]}, r"features must be some of gaze, pose, .*not \('mesh',\)"),
        ({"features": []}, r"features must be some of gaze, .*not \(\)"),
        ({"features": ["pose", "pose"]}, "features must .*, each once, not"),
        ({"rate": 0}, r"rate must be in \(0, 240\] Hz, not 0"),
        ({"margin": -0.1}, r"margin must be in \[0, 4\], not -0.1"),
        ({"focal": -1}, "focal must be at least 0 pixels, not -1"),
    ],
)
def test_refuses_settings_out_of_range(settings, message):
    with pytest.raises(BadCall, match=f"face-landmarks: {message}"):
        extractor("face-landmarks", **{"model": "a.task", **settings})


def test_says_which_extra_is_missing_before_anything_is_read(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", missing)
    with pytest.raises(BadCall, match=r"pip install 'affectflow\[landmarks\]'"):
        extractor("face-landmarks", model="a.task").weights()


def test_is_told_of_without_its_package():
    told = dict(about(extractor_class("face-landmarks")))
    assert told["reads"] == "pictures, 10 a second, a node that fills 'faces'"
    assert told["recipe"] == "name: {extract: face-landmarks, model: MODEL, on: {faces: NODE}}"


@pytest.mark.skipif(not WEIGHTS.is_file(), reason="no face_landmarker.task in shared/weights")
def test_googles_networks_agree_with_the_geometry_of_five_landmarks(portrait, make_clip):
    pytest.importorskip("mediapipe")
    clip = make_clip([portrait] * 2)
    clip.features["faces"] = extractor("mtcnn-face").extract(clip)
    found = extractor("face-landmarks", model=str(WEIGHTS)).extract(clip)
    np.testing.assert_array_equal(found.values[0], found.values[1])
    coarse = extractor("face-geometry").extract(clip)
    mine, other = columns(found, POSE)[0], columns(coarse, POSE)[0]
    np.testing.assert_allclose(mine[2], other[2], rtol=0.1)
    np.testing.assert_allclose(mine[:2], other[:2], atol=0.05 * other[2])
    np.testing.assert_allclose(mine[4:], other[4:], atol=5)
    assert 0 < mine[3] < 20  # her nose is a little down; a smile misleads five landmarks
    smile = columns(found, ("mouthSmileLeft", "mouthSmileRight", "eyeBlinkLeft"))[0]
    assert smile[:2].min() > 0.5 > smile[2]  # the astronaut smiles, her eyes open


def test_every_feature_has_columns_of_its_own():
    names = [name for part in FEATURES.values() for name in part]
    assert len(names) == len(set(names)) == 1500
