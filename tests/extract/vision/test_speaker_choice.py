import numpy as np

from affectflow.extract.vision.chosen import NO_TRACK
from affectflow.extract.vision.speaker_choice import at_rows, taken_tracks

BOX = (10, 10, 60, 60)


def test_after_the_best_track_only_those_that_share_no_picture_with_it_are_taken(make_tracks):
    tracks = make_tracks(10, {1: (0, 4, BOX), 2: (3, 8, BOX), 3: (5, 9, BOX)})
    np.testing.assert_array_equal(taken_tracks(tracks, [1, 2, 3]), [1] * 4 + [-1] + [3] * 4 + [-1])
    np.testing.assert_array_equal(taken_tracks(tracks, [2, 1, 3]), [-1] * 3 + [2] * 5 + [-1] * 2)


def test_nobody_is_taken_who_is_not_in_the_order(make_tracks):
    tracks = make_tracks(4, {1: (0, 4, BOX)})
    np.testing.assert_array_equal(taken_tracks(tracks, []), [NO_TRACK] * 4)


def test_rows_at_any_rate_have_the_score_of_their_step(make_tracks):
    scores = {1: (0, np.arange(25.0)), 7: (10, 100 + np.arange(15.0))}
    fast = make_tracks(25, {1: (0, 25, BOX), 7: (10, 25, BOX)})
    found = at_rows(fast, scores, 25)
    np.testing.assert_array_equal(found[:12], [*range(11), 100])
    slow = make_tracks(10, {1: (0, 10, BOX)}, rate=10.0)
    np.testing.assert_array_equal(at_rows(slow, scores, 25), [0, 2, 5, 7, 10, 12, 15, 17, 20, 22])


def test_a_row_without_a_face_has_no_score(make_tracks):
    assert not at_rows(make_tracks(3, {}), {1: (0, np.ones(3))}, 25).any()
