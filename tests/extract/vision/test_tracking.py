import numpy as np
import pytest

from affectflow.extract.vision.tracking import PROBABILITY, Picture, Tracker, linked, overlaps

HOP = 0.04


def face(left, top=50, size=40, probability=0.9):
    row = np.zeros(15, np.float32)
    row[:5] = left, top, left + size, top + size, probability
    row[5:] = np.tile((left, top), 5)
    return row


class World:
    """Faces known for each picture; looking finds all of them, following the one at the box."""

    def __init__(self, faces, missed=(), gap=0.5, lost=()):
        self.faces, self.missed, self.lost = faces, set(missed), set(lost)
        self.looked, self.followed = [], []
        self.tracker = Tracker(self.look, self.follow, gap)

    def rows(self, picture):
        return np.array(self.faces[picture], np.float32).reshape(-1, 15)

    def look(self, image):
        picture = int(image[0, 0, 0])
        self.looked.append(picture)
        return self.rows(-1 if picture in self.missed else picture)

    def follow(self, image, boxes):
        picture = int(image[0, 0, 0])
        self.followed.append(picture)
        rows = self.rows(-1 if picture in self.lost else picture)
        shared = overlaps(boxes, rows[:, :4]) if len(rows) else np.zeros((len(boxes), 1))
        found = shared.max(axis=1) > 0.3
        return found, rows[shared.argmax(axis=1)[found]]

    def run(self, every=1, shots=None):
        pictures = [
            Picture(k, np.full((1, 1, 3), k), k * HOP, shots[k] if shots else 0)
            for k in range(len(self.faces) - 1)
        ]
        start = 0
        for end in range(1, len(pictures) + 1):
            last = end == len(pictures) or pictures[end].shot != pictures[start].shot
            if last or end - 1 == start and start % every == 0 or end - start == every:
                self.tracker.block(pictures[start:end])
                start = end
        return self.tracker.tracks


def world(*faces, **settings):
    return World([*faces, []], **settings)  # the last picture, nobody in it, is never shown


def test_a_face_that_moves_stays_one_track():
    [track] = world(*[[face(10 + 5 * k)] for k in range(9)]).run()
    assert sorted(track.rows) == list(range(9))
    assert track.rows[8][0] == 50
    assert not track.filled


def test_two_faces_are_two_tracks_numbered_as_they_come():
    tracks = world([face(0)], [face(0), face(100)], [face(0), face(100)]).run()
    assert [(t.number, sorted(t.rows)) for t in tracks] == [(1, [0, 1, 2]), (2, [1, 2])]


def test_a_short_gap_is_filled_on_the_straight_way_and_marked():
    [track] = world([face(0)], [], [], [face(12)]).run()
    assert track.filled == {1, 2}
    np.testing.assert_allclose([track.rows[k][0] for k in range(4)], [0, 4, 8, 12])
    np.testing.assert_allclose([track.rows[k][PROBABILITY] for k in range(4)], [0.9, 0, 0, 0.9])


def test_a_long_gap_ends_the_track():
    tracks = world([face(0)], *[[]] * 4, [face(0)], gap=0.1).run()
    assert [sorted(t.rows) for t in tracks] == [[0], [5]]


def test_a_gap_of_more_than_twice_the_pictures_with_the_face_is_not_filled():
    tracks = world([face(0)], *[[]] * 5, [face(0)], [face(0)], [], [face(0)]).run()
    assert [(t.number, sorted(t.rows)) for t in tracks] == [(1, [0]), (2, [6, 7, 8, 9])]
    assert [t.filled for t in tracks] == [set(), {8}]


def test_a_lost_face_is_never_carried_on():
    [track] = world(*[[face(0)]] * 3, *[[]] * 20).run()
    assert sorted(track.rows) == [0, 1, 2]


def test_a_track_never_crosses_a_cut():
    found = world(*[[face(0)]] * 6).run(shots=[0, 0, 0, 1, 1, 1])
    assert [sorted(t.rows) for t in found] == [[0, 1, 2], [3, 4, 5]]


def test_a_gap_across_a_cut_is_not_filled():
    found = world([face(0)], [], [], [face(0)]).run(shots=[0, 0, 1, 1])
    assert [sorted(t.rows) for t in found] == [[0], [3]]


@pytest.mark.parametrize("every", [2, 3, 5])
def test_between_looks_faces_are_followed(every):
    scene = world(*[[face(10 + 3 * k)] for k in range(11)])
    [track] = scene.run(every)
    assert sorted(track.rows) == list(range(11))
    assert track.rows[7][0] == 31
    assert not set(scene.looked) & set(scene.followed)
    assert len(scene.looked) < 11


def test_a_face_that_comes_between_looks_is_followed_backwards_to_where_it_came():
    scene = world([face(0)], [face(0)], *[[face(0), face(100)]] * 4)
    first, second = scene.run(every=5)
    assert sorted(first.rows) == [0, 1, 2, 3, 4, 5]
    assert sorted(second.rows) == [2, 3, 4, 5]


def test_a_face_that_goes_between_looks_ends_there():
    [track] = world(*[[face(0)]] * 3, *[[]] * 8).run(every=5)
    assert sorted(track.rows) == [0, 1, 2]


def test_a_face_lost_while_it_was_followed_and_found_by_the_next_look_is_one_track():
    [track] = world(*[[face(0)]] * 11, lost=[3]).run(every=5)
    assert sorted(track.rows) == list(range(11))
    assert track.filled == {3}


def test_where_two_tracks_meet_one_face_the_one_that_had_it_keeps_it():
    front = [[face(0 + 4 * k), face(100 - 4 * k)] for k in range(10)]
    behind = [[face(40 + 4 * k)] for k in range(5)]  # only the one in front is seen
    apart = [[face(60 + 4 * k), face(40 - 4 * k)] for k in range(10)]
    scene = world(*front, *behind, *apart)
    first = scene.run(every=5)[0]
    np.testing.assert_allclose(np.diff([first.rows[k][0] for k in sorted(first.rows)]), 4)
    for k in range(10, 15):
        assert sum(k in t.rows and k not in t.filled for t in scene.tracker.tracks) == 1


def test_pairs_are_made_surest_first_and_each_once():
    boxes = np.array([[0, 0, 10, 10], [4, 0, 14, 10]], np.float32)
    others = np.array([[5, 0, 15, 10], [200, 0, 210, 10], [0, 0, 10, 9]], np.float32)
    assert sorted(linked(boxes, others)) == [(0, 2), (1, 0)]
    assert linked(boxes, np.empty((0, 4))) == []
