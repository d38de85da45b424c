from pathlib import Path

import numpy as np
import pytest

from affectflow.cache.errors import BadCall, NoFace, NoVideo
from affectflow.extract.registry import extractor
from affectflow.extract.vision import mtcnn_face
from affectflow.extract.vision.mtcnn_face import COLUMNS, FACE_COLUMNS

SHARED = Path(__file__).parents[4] / "shared"


def cuda():
    import torch

    return torch.cuda.is_available()


@pytest.fixture(scope="module")
def faces(portrait, make_clip):
    """Features of the portrait, a picture without a face, the portrait moved by (30, 10)."""
    moved = np.roll(portrait, (10, 30), axis=(0, 1))
    blank = np.full_like(portrait, 90)
    return extractor("mtcnn-face").extract(make_clip([portrait, blank, moved]))


def column(features, name):
    return features.values[:, COLUMNS.index(name)]


def test_finds_the_eyes_above_the_nose_above_the_mouth_inside_the_box(faces):
    row = dict(zip(COLUMNS, faces.values[0], strict=True))
    assert row["x1"] < row["eye_left_x"] < row["nose_x"] < row["eye_right_x"] < row["x2"]
    assert row["y1"] < row["eye_left_y"] < row["nose_y"] < row["mouth_left_y"] < row["y2"]
    assert row["probability"] > 0.99


def test_golden_values_of_version_1(faces):
    assert extractor("mtcnn-face").version == 1
    expected = [
        *(86.053, 62.177, 170.997, 174.846, 0.99968),
        *(108.159, 101.395, 152.141, 103.677, 129.550),
        *(128.843, 105.489, 139.617, 151.162, 141.809),
    ]
    np.testing.assert_allclose(faces.values[0, :15], expected, atol=0.01)


def test_a_picture_without_a_face_is_a_masked_row_that_keeps_its_size_and_time(faces):
    np.testing.assert_array_equal(faces.mask, [True, False, True])
    assert not faces.values[1, : len(FACE_COLUMNS)].any()
    np.testing.assert_array_equal(column(faces, "frame_width"), 256)
    np.testing.assert_allclose(column(faces, "shown"), [0, 0.1, 0.2])
    np.testing.assert_allclose(faces.times, [[0, 0.1], [0.1, 0.2], [0.2, 0.3]])


def test_a_face_that_moves_moves_its_box_by_as_much_and_stays_on_its_track(faces):
    shift = faces.values[2, :15] - faces.values[0, :15]
    np.testing.assert_allclose(shift[[0, 2, 5, 7, 9]], 30, atol=4)
    np.testing.assert_allclose(shift[[1, 3, 6, 8, 10]], 10, atol=4)
    np.testing.assert_array_equal(column(faces, "track"), [1, 0, 1])


def test_all_faces_carry_the_row_they_belong_to(portrait, make_clip):
    small = portrait[::2, ::2]
    both = np.zeros((256, 384, 3), np.uint8)
    both[:, :256] = portrait
    both[:128, 256:] = small
    found = extractor("mtcnn-face").extract(make_clip([np.zeros_like(both), both]))
    every = found.more["faces"]
    np.testing.assert_array_equal(every.values[:, 0], [1, 1])  # row
    np.testing.assert_array_equal(every.values[0, 1:], found.values[1, :15])
    assert every.values[1, 1] > 256  # the small face comes second
    np.testing.assert_allclose(every.times, [[0.1, 0.2]] * 2)


def test_each_row_has_the_size_of_its_own_picture(portrait, make_clip):
    wide = np.zeros((300, 400, 3), np.uint8)
    found = extractor("mtcnn-face").extract(make_clip([portrait, wide]))
    sizes = found.values[:, [found.columns.index(f"frame_{side}") for side in ("width", "height")]]
    np.testing.assert_array_equal(sizes, [portrait.shape[1::-1], (400, 300)])


def test_the_same_picture_twice_is_looked_at_once(portrait, make_clip, monkeypatch):
    from affectflow.extract.vision import mtcnn_cascade

    cascade = mtcnn_cascade.load_cascade()
    seen = []
    detect = cascade.detect
    monkeypatch.setattr(cascade, "detect", lambda *a: seen.append(1) or detect(*a))
    found = extractor("mtcnn-face").extract(make_clip([portrait] * 4, indices=[0, 0, 1, 1]))
    assert len(seen) == 2
    assert found.mask.all()
    np.testing.assert_array_equal(found.values[0, :15], found.values[1, :15])


def test_a_picture_gives_the_same_bits_whatever_stands_beside_it(portrait, make_clip, faces):
    alone = extractor("mtcnn-face").extract(make_clip([portrait]))
    np.testing.assert_array_equal(alone.values[0, :15], faces.values[0, :15])


def test_says_what_it_looked_for_when_no_picture_has_a_face(make_clip):
    blank = make_clip([np.zeros((120, 160, 3), np.uint8)] * 3)
    message = (
        r"no face in any of 3 pictures of 'talk' \(160x120\), looking from 40 pixels up with "
        r"threshold 0.7; lower min_size or threshold"
    )
    with pytest.raises(NoFace, match=message):
        extractor("mtcnn-face").extract(blank)


def test_a_picture_smaller_than_the_smallest_face_has_none(make_clip):
    with pytest.raises(NoFace, match="20x20"):
        extractor("mtcnn-face").extract(make_clip([np.zeros((20, 20, 3), np.uint8)]))


def test_a_segment_without_pictures_is_said(make_clip):
    with pytest.raises(NoVideo, match="'talk' has no picture at 10 Hz"):
        extractor("mtcnn-face").extract(make_clip([]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rate": 0}, r"rate must be in \(0, 240\] Hz, not 0"),
        ({"min_size": 5}, "min_size must be at least 12 pixels, not 5"),
        ({"threshold": 1}, r"threshold must be in \(0, 1\), not 1"),
    ],
)
def test_refuses_settings_out_of_range(settings, message):
    with pytest.raises(BadCall, match=message):
        extractor("mtcnn-face", **settings)


def test_names_its_weights_without_importing_torch(run_python):
    out = run_python(
        "import sys; from affectflow.extract.registry import extractor;"
        "print(*(p.is_file() for p in extractor('mtcnn-face').weights().values()),"
        " 'torch' in sys.modules)"
    )
    assert out.split() == ["True", "True", "True", "False"]


def test_promises_what_it_gives(faces):
    assert faces.cast(extractor("mtcnn-face").spec).values.dtype == np.float32


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "clips").exists(), reason="needs the shared clips")
def test_finds_the_speaker_of_a_real_clip_in_every_picture():
    clip = next((SHARED / "clips/Raw/grid").glob("*.mpg"))
    found = extractor("mtcnn-face", rate=5)(clip)
    assert found.mask.all()
    assert set(column(found, "track")) == {1.0}


def test_computes_on_the_device_that_it_is_handed(portrait, make_clip, faces, monkeypatch):
    asked = []
    load = mtcnn_face.load_cascade
    monkeypatch.setattr(mtcnn_face, "load_cascade", lambda device: asked.append(device) or load())
    [found] = extractor("mtcnn-face").many([make_clip([portrait])], "cuda:1")
    assert asked == ["cuda:1"]
    np.testing.assert_array_equal(found.values[0, :15], faces.values[0, :15])


def test_gives_each_clip_its_own_error_and_goes_on(portrait, make_clip):
    blank = np.full_like(portrait, 90)
    found = list(extractor("mtcnn-face").many([make_clip([blank]), make_clip([portrait])]))
    assert isinstance(found[0], NoFace)
    assert found[1].mask.all()


@pytest.mark.skipif(not cuda(), reason="needs a GPU that torch can use")
def test_a_gpu_finds_what_the_cpu_finds(portrait, make_clip, faces):
    moved = np.roll(portrait, (10, 30), axis=(0, 1))
    clip = make_clip([portrait, np.full_like(portrait, 90), moved])
    [found] = extractor("mtcnn-face").many([clip], "cuda")
    np.testing.assert_array_equal(found.mask, faces.mask)
    np.testing.assert_allclose(found.values, faces.values, rtol=1e-4, atol=1e-2)
