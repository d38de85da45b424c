import numpy as np

from affectflow.extract.clip import Clip
from affectflow.extract.registry import extractor
from affectflow.extract.vision.chosen import CHOSEN_SPEC, column

SMALL, LARGE = (10, 10, 50, 50), (100, 10, 180, 90)


def chosen(tracks):
    clip = Clip(id="talk", features={"tracks": tracks})
    return extractor("largest-face").extract(clip).cast(CHOSEN_SPEC), clip.warnings


def test_takes_the_face_with_the_largest_area_over_time(make_tracks):
    found, _ = chosen(make_tracks(20, {1: (0, 20, SMALL), 2: (0, 20, LARGE)}))
    np.testing.assert_array_equal(column(found, "track"), 2)
    np.testing.assert_allclose(column(found, "score"), 80 * 80 / (240 * 320))


def test_a_large_face_that_passes_by_does_not_take_over(make_tracks):
    found, _ = chosen(make_tracks(20, {1: (0, 20, SMALL), 2: (8, 11, LARGE)}))
    np.testing.assert_array_equal(column(found, "track"), 1)


def test_after_a_cut_the_next_face_is_taken(make_tracks):
    found, _ = chosen(make_tracks(20, {1: (0, 8, LARGE), 2: (10, 20, SMALL)}))
    np.testing.assert_array_equal(column(found, "track"), [1] * 8 + [-1] * 2 + [2] * 10)
    np.testing.assert_array_equal(found.mask, [True] * 8 + [False] * 2 + [True] * 10)


def test_without_a_face_every_row_is_masked(make_tracks):
    found, warnings = chosen(make_tracks(5, {}))
    assert not found.mask.any()
    assert warnings == ["no face was seen, so every row is masked"]


def test_can_stand_where_faces_are_read():
    assert extractor("largest-face").fills("faces")
