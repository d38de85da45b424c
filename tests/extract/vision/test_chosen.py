import numpy as np
import pytest

from affectflow.cache.errors import BadInput
from affectflow.cache.records import Features
from affectflow.extract.vision.chosen import (
    CHOSEN_COLUMNS,
    CHOSEN_SPEC,
    NO_TRACK,
    TRACK_COLUMNS,
    chosen_faces,
    column,
    one_track,
    picture_times,
    track_numbers,
)

HOP = 0.04
#: Picture, track (-1: no face), left edge.
ROWS = [(0, 1, 10), (0, 2, 200), (1, 2, 202), (2, NO_TRACK, 0), (3, 1, 13)]


@pytest.fixture
def tracks():
    values = np.zeros((len(ROWS), len(TRACK_COLUMNS)), np.float32)
    for row, (picture, track, left) in zip(values, ROWS, strict=True):
        if track != NO_TRACK:
            row[:5] = left, 20, left + 50, 80, 0.9
        for name, value in {
            "track": track, "frame_width": 320, "frame_height": 240, "shown": picture * HOP,
            "detected": 1,
        }.items():  # fmt: skip
            row[TRACK_COLUMNS.index(name)] = value
    starts = np.array([row[0] for row in ROWS]) * HOP
    mask = values[:, TRACK_COLUMNS.index("track")] != NO_TRACK
    return Features(values, np.stack([starts, starts + HOP], axis=1), TRACK_COLUMNS, mask)


def test_tells_the_pictures_the_tracks_and_the_rows_of_one(tracks):
    times, picture = picture_times(tracks)
    np.testing.assert_allclose(times, [[k * HOP, (k + 1) * HOP] for k in range(4)])
    np.testing.assert_array_equal(picture, [0, 0, 1, 2, 3])
    np.testing.assert_array_equal(track_numbers(tracks), [1, 2])
    np.testing.assert_array_equal(column(one_track(tracks, 2), "x1"), [200, 202])


def test_one_track_for_the_utterance_is_masked_where_it_is_not(tracks):
    found = chosen_faces(tracks, 1).cast(CHOSEN_SPEC)
    np.testing.assert_array_equal(found.mask, [True, False, False, True])
    np.testing.assert_array_equal(column(found, "x1"), [10, 0, 0, 13])
    np.testing.assert_array_equal(column(found, "track"), [1, -1, -1, 1])
    np.testing.assert_array_equal(column(found, "frame_width"), [320] * 4)
    np.testing.assert_allclose(column(found, "shown"), np.arange(4) * HOP)


def test_a_track_for_each_picture_and_its_score(tracks):
    score = np.array([0.1, 0.2, 0.3, 9.0, 0.5])
    found = chosen_faces(tracks, np.array([2, 2, 1, NO_TRACK]), score)
    np.testing.assert_array_equal(column(found, "x1"), [200, 202, 0, 0])
    np.testing.assert_allclose(column(found, "score"), [0.2, 0.3, 0, 0], rtol=1e-6)
    np.testing.assert_array_equal(found.mask, [True, True, False, False])


def test_none_chosen_is_all_masked(tracks):
    found = chosen_faces(tracks, NO_TRACK)
    assert found.columns == CHOSEN_COLUMNS
    assert not found.mask.any()


def test_says_which_lengths_do_not_fit(tracks):
    with pytest.raises(BadInput, match=r"4 pictures need as many chosen tracks, got \(3,\)"):
        chosen_faces(tracks, np.array([1, 1, 1]))
    with pytest.raises(BadInput, match=r"5 rows need as many scores, got \(4,\)"):
        chosen_faces(tracks, 1, np.zeros(4))
    with pytest.raises(BadInput, match="the faces lack the column 'smile'"):
        column(tracks, "smile")
