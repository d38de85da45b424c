import threading
import time

import numpy as np
import pytest

from affectflow.cache.errors import BadMedia
from affectflow.extract.ahead import read_ahead
from affectflow.extract.clip import Clip


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "read-ahead"]


def test_gives_the_same_items_in_order_and_leaves_no_thread():
    assert list(read_ahead(iter(range(100)), 4)) == list(range(100))
    assert list(read_ahead(iter(()), 1)) == []
    assert threads() == []


def test_makes_no_more_than_there_is_room_for():
    made = []

    def make():
        for i in range(50):
            made.append(i)
            yield i

    reader = read_ahead(make(), 3)
    assert next(reader) == 0
    until = time.monotonic() + 5
    while len(made) < 4 and time.monotonic() < until:
        time.sleep(0.001)
    time.sleep(0.02)
    assert len(made) == 4  # the one that is read, and three that wait
    reader.close()


def test_an_error_comes_where_the_item_would_have_come():
    def make():
        yield from range(3)
        raise ValueError("the fourth is broken")

    reader = read_ahead(make(), 8)
    assert [next(reader) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="the fourth is broken"):
        next(reader)
    assert threads() == []


def test_a_reader_that_leaves_early_stops_the_thread_and_closes_the_source():
    closed = []

    def make():
        try:
            yield from range(1000)
        finally:
            closed.append(True)

    for _ in read_ahead(make(), 2):
        break
    assert closed == [True]
    assert threads() == []


def test_items_are_made_while_the_reader_works():
    def slow():
        for i in range(5):
            time.sleep(0.02)
            yield i

    begin = time.perf_counter()
    for _ in read_ahead(slow(), 2):
        time.sleep(0.02)
    assert time.perf_counter() - begin < 0.19  # 0.2 one after the other


def test_a_clip_that_is_read_ahead_shows_the_same_pictures_and_keeps_them(clip_path):
    plain, ahead = Clip("a", str(clip_path)), Clip("a", str(clip_path), ahead=3)
    expected, found = list(plain.frames(10)), list(ahead.frames(10))
    assert [(f.time, f.shown, f.index) for f in found] == [
        (f.time, f.shown, f.index) for f in expected
    ]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
    assert len(list(ahead.frames(25))) == 50  # of the kept pictures
    assert threads() == []


def test_a_broken_clip_that_is_read_ahead_raises_its_own_error(tmp_path):
    path = tmp_path / "broken.mp4"
    path.write_bytes(b"no media")
    with pytest.raises(BadMedia, match="broken.mp4"):
        list(Clip("b", str(path), ahead=3).frames(10))
    assert threads() == []
