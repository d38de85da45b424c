import numpy as np
import pytest

from affectflow.extract.vision.video_windows import video_windows


def pieces(n, length=7):
    """A video whose picture k is filled with k, in pieces."""
    for start in range(0, n, length):
        k = np.arange(start, min(start + length, n))
        pictures = np.zeros((len(k), 1, 1, 3), np.uint8) + k[:, None, None, None].astype(np.uint8)
        yield np.stack([k, k + 1], axis=1) / 10, pictures, k % 3 > 0


def cut(n, size=8, overlap=4, align=4, stride=2, length=7):
    return list(video_windows(pieces(n, length), size, overlap, align, stride))


@pytest.mark.parametrize("length", [1, 7, 100])
@pytest.mark.parametrize("n", [1, 7, 8, 9, 12, 13, 27, 32, 33])
def test_every_picture_is_taken_from_one_window(n, length):
    found = cut(n, length=length)
    assert [w.keep_start for w in found] == [0, *(w.keep_end for w in found[:-1])]
    assert found[-1].keep_end == n
    for w in found:
        assert w.start % 4 == 0
        assert w.keep_start % 2 == 0
        assert w.start <= w.keep_start < w.keep_end <= w.start + len(w.mask)
        k = np.arange(w.start, w.start + len(w.mask))
        np.testing.assert_array_equal(w.pictures[:, 0, 0, 0], k)
        np.testing.assert_array_equal(w.times[:, 0], k / 10)
        np.testing.assert_array_equal(w.mask, k % 3 > 0)


def test_what_fits_one_window_is_one():
    (window,) = cut(8)
    assert (window.start, len(window.mask)) == (0, 8)


@pytest.mark.parametrize("n", range(9, 40))
def test_no_window_is_short_and_the_last_ends_with_the_video(n):
    lengths = [len(w.mask) for w in cut(n)]
    assert set(lengths[:-1]) == {8}
    assert 8 <= lengths[-1] < 12
    assert cut(n)[-1].start + lengths[-1] == n


def test_pictures_are_taken_at_least_half_the_overlap_from_a_seam():
    for a, b in zip(cut(40), cut(40)[1:], strict=False):
        assert a.start + len(a.mask) - a.keep_end >= 2
        assert b.keep_start - b.start >= 2


def test_a_video_without_pictures_has_no_window():
    assert cut(0) == []
