from pathlib import Path

import numpy as np
import pytest

from affectflow.cache.errors import BadCall, BadMedia, InputWarning, NoVideo
from affectflow.extract.clip import Clip
from affectflow.extract.registry import extractor, provider
from affectflow.extract.vision import faces as faces_file
from affectflow.extract.vision.chosen import (
    NO_TRACK,
    TRACK_COLUMNS,
    column,
    one_track,
    track_numbers,
)
from affectflow.extract.vision.mtcnn_cascade import load_cascade
from affectflow.extract.vision.mtcnn_face import FACE_COLUMNS

SHARED = Path(__file__).parents[4] / "shared"


@pytest.fixture
def calls(monkeypatch):
    """How often whole pictures are searched and known faces followed."""
    cascade = load_cascade()
    made = []
    for name in ("detect", "follow"):
        work = getattr(cascade, name)
        monkeypatch.setattr(
            cascade, name, lambda *a, work=work, name=name: made.append(name) or work(*a)
        )
    return made


def moving(portrait, n, step=2):
    """The portrait, moved to the right a little more in each picture."""
    return [np.roll(portrait, step * k, axis=1) for k in range(n)]


def test_golden_values_of_version_2(portrait, make_clip):
    node = extractor("faces", rate=10)
    assert node.version == 2
    found = node.extract(make_clip([portrait])).cast(node.spec)
    expected = [86.053, 62.177, 170.997, 174.846, 0.99968, 108.159, 101.395]
    np.testing.assert_allclose(found.values[0, :7], expected, atol=0.01)
    np.testing.assert_array_equal(found.values[0, 15:], [1, 256, 256, 0, 1, 0])


def test_every_picture_has_a_row_whether_it_holds_a_face_or_not(portrait, make_clip):
    blank = np.full_like(portrait, 90)
    found = extractor("faces", rate=10).extract(make_clip([blank, portrait, portrait, blank]))
    np.testing.assert_array_equal(found.mask, [False, True, True, False])
    np.testing.assert_allclose(found.times[:, 0], [0, 0.1, 0.2, 0.3])
    np.testing.assert_array_equal(column(found, "track"), [NO_TRACK, 1, 1, NO_TRACK])
    assert not found.values[~found.mask, : len(FACE_COLUMNS)].any()
    np.testing.assert_array_equal(column(found, "frame_width"), 256)


def test_several_faces_are_rows_of_one_time_the_largest_first(portrait, make_clip):
    both = np.zeros((256, 384, 3), np.uint8)
    both[:128, :128] = portrait[::2, ::2]
    both[:, 128:] = portrait
    found = extractor("faces", rate=10).extract(make_clip([both, both]))
    assert len(found) == 4
    np.testing.assert_allclose(found.times[:, 0], [0, 0, 0.1, 0.1])
    np.testing.assert_array_equal(column(found, "track"), [1, 2, 1, 2])
    assert column(found, "x1")[0] > 128


def test_between_looks_a_face_is_followed_and_found_where_a_look_finds_it(
    portrait, make_clip, calls
):
    pictures = moving(portrait, 12)
    every = extractor("faces", rate=25, looks=25).extract(make_clip(pictures, rate=25))
    assert calls == ["detect"] * 12
    calls.clear()
    some = extractor("faces", rate=25, looks=5).extract(make_clip(pictures, rate=25))
    assert calls.count("detect") == 4  # 0, 0.2, 0.4 s and the last one
    assert calls.count("follow") == 8
    np.testing.assert_array_equal(column(some, "track"), 1)
    np.testing.assert_array_equal(column(some, "detected"), 1)
    every = one_track(every, 1)
    np.testing.assert_allclose(some.values[:, :15], every.values[:, :15], atol=6)


def test_a_cut_ends_all_tracks_and_both_its_sides_are_searched(portrait, make_clip, calls):
    other = 255 - portrait[:, ::-1]
    clip = make_clip([portrait] * 4 + [other] * 4 + [portrait] * 4, rate=25)
    found = extractor("faces", looks=1).extract(clip)
    np.testing.assert_array_equal(column(found, "shot")[found.mask], [0] * 4 + [2] * 4)
    np.testing.assert_array_equal(column(found, "track")[found.mask], [1] * 4 + [2] * 4)
    assert calls.count("detect") == 6


def test_a_short_gap_is_filled_and_says_so(portrait, make_clip):
    pictures = moving(portrait, 5)
    pictures[2][70:160, 95:165] = 120  # a hand before the face
    found = one_track(extractor("faces", rate=10, looks=10).extract(make_clip(pictures)), 1)
    np.testing.assert_array_equal(column(found, "detected"), [1, 1, 0, 1, 1])
    assert column(found, "probability")[2] == 0
    assert found.mask.all()
    x = column(found, "x1")
    assert x[2] == pytest.approx((x[1] + x[3]) / 2)


def test_a_picture_shown_twice_is_looked_at_once(portrait, make_clip, calls):
    clip = make_clip([portrait] * 6, indices=[0, 0, 0, 1, 1, 1])
    found = extractor("faces", rate=10, looks=10).extract(clip)
    assert calls == ["detect"] * 2
    assert len(found) == 6
    assert found.mask.all()


def test_large_pictures_do_not_wait_in_numbers(portrait, make_clip, calls, monkeypatch):
    monkeypatch.setattr(faces_file, "WAITING", 2 * portrait.nbytes)
    extractor("faces", looks=1).extract(make_clip([portrait] * 10, rate=25))
    assert calls.count("detect") == 4


def test_a_clip_without_a_face_is_masked_and_warned_of(make_clip):
    clip = make_clip([np.zeros((120, 160, 3), np.uint8)] * 3)
    message = "'talk': no face in any of 3 pictures, looking from 40 pixels up with threshold 0.7"
    with pytest.warns(InputWarning, match=message):
        found = extractor("faces", rate=10)(clip)
    assert not found.mask.any()
    assert len(track_numbers(found)) == 0


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (20, 20)])
def test_pictures_too_small_for_a_face_have_none(make_clip, size):
    clip = make_clip([np.full((*size, 3), 200, np.uint8)])
    found = extractor("faces", rate=10).extract(clip)
    np.testing.assert_array_equal(found.mask, [False])


def test_a_face_at_the_edge_is_found_with_a_box_that_may_pass_it(portrait, make_clip):
    cut = np.ascontiguousarray(portrait[:, 112:])
    found = extractor("faces", rate=10).extract(make_clip([cut]))
    assert found.mask.all()
    assert column(found, "x1")[0] < 12


def test_faces_that_cross_keep_one_track_each_where_they_are_apart(portrait, make_clip):
    face = portrait[40:200, 50:210]
    pictures = []
    for k in range(40):
        picture = np.full((200, 640, 3), 90, np.uint8)
        left, right = 6 * k, 300 - 6 * k
        picture[20:180, right : right + 160] = face[:, ::-1]
        picture[20:180, left : left + 160] = face  # in front
        pictures.append(picture)
    found = extractor("faces").extract(make_clip(pictures, rate=25))
    picture = np.round(found.times[:, 0] * 25).astype(int)
    tracks, x = column(found, "track"), column(found, "x1")
    front = tracks[picture == 0][np.argmin(x[picture == 0])]
    assert np.abs(np.diff(x[tracks == front]) - 6).max() < 6  # no jump onto the other one
    assert (tracks == front).sum() == 40
    assert np.bincount(picture)[[0, 39]].tolist() == [2, 2]
    assert np.bincount(picture).max() == 2


def test_a_turned_file_is_looked_at_upright(portrait, tmp_path, write_file):
    path = write_file(tmp_path / "turned.mp4", pictures=[np.rot90(portrait)] * 5, rotation=90)
    found = extractor("faces", rate=5)(path)
    assert found.mask.all()
    assert column(found, "eye_left_y")[0] < column(found, "mouth_left_y")[0]


def test_uneven_times_keep_their_own(portrait, tmp_path, write_file):
    times = [0, 0.05, 0.3, 0.35, 0.9]
    path = write_file(tmp_path / "uneven.mp4", pictures=moving(portrait, 5), times=times)
    found = extractor("faces", rate=20)(path)
    found = one_track(found, 1)
    np.testing.assert_allclose(np.unique(column(found, "shown")), times, atol=1e-3)
    assert len(found) == len(np.unique(found.times[:, 0]))


def test_a_video_of_one_picture(portrait, tmp_path, write_file):
    found = extractor("faces")(write_file(tmp_path / "one.mp4", pictures=[portrait]))
    assert len(found) == 1
    assert found.mask.all()


def test_what_has_no_pictures_says_so(tone_wav, make_clip, tmp_path):
    with pytest.raises(NoVideo, match="no video stream"):
        extractor("faces")(tone_wav)
    with pytest.raises(NoVideo, match="'talk' has no picture at 25 Hz: the segment is empty"):
        extractor("faces").extract(make_clip([], rate=25))
    with pytest.raises(BadMedia):
        extractor("faces")(tmp_path / "none.mp4")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rate": 0}, r"faces: rate must be in \(0, 240\] Hz, not 0"),
        ({"looks": 0.5}, "faces: looks must be at least 1 Hz, not 0.5"),
        ({"min_size": 5}, "faces: min_size must be at least 12 pixels, not 5"),
        ({"threshold": 1}, r"faces: threshold must be in \(0, 1\), not 1"),
        ({"gap": -1}, r"faces: gap must be in \[0, 10\] s, not -1"),
    ],
)
def test_refuses_settings_out_of_range(settings, message):
    with pytest.raises(BadCall, match=message):
        extractor("faces", **settings)


def test_fills_the_role_of_tracks_and_not_that_of_faces():
    assert provider("tracks").name == "faces"
    assert extractor("faces").fills("tracks")
    assert not extractor("faces").fills("faces")


def test_gives_each_clip_its_own_error_and_goes_on(portrait, make_clip):
    clips = [Clip("nothing"), make_clip([portrait], rate=25)]
    found = list(extractor("faces").many(clips))
    assert isinstance(found[0], NoVideo)
    assert found[1].mask.all()


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "clips").exists(), reason="needs the shared clips")
def test_a_lost_face_is_masked_from_then_on():
    found = extractor("faces", looks=2, rate=10)(SHARED / "clips/odd/face_then_none.mov")
    last = found.times[found.mask, 0].max()
    assert 2.2 < last < 2.5
    assert not found.mask[found.times[:, 0] > last].any()
    assert found.times[-1, 1] > 6


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "clips").exists(), reason="needs the shared clips")
@pytest.mark.filterwarnings("ignore::affectflow.cache.errors.InputWarning")
def test_there_is_no_face_where_there_is_none():
    found = extractor("faces", looks=2, rate=10)(SHARED / "clips/odd/no_face.mp4")
    assert not found.mask.any()
    assert found.columns == TRACK_COLUMNS
