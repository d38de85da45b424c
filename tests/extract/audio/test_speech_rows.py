import numpy as np
import pytest

from affectflow.extract.audio.speech_rows import rows_of, windows

BASE = {
    "model_type": "hubert",
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "conv_stride": [5, 2, 2, 2, 2, 2, 2],
}


def test_hop_and_receptive_field_follow_from_strides_and_kernels():
    rows = rows_of(BASE, {"sampling_rate": 16000})
    assert (rows.hop, rows.width, rows.shortest, rows.first) == (320, 400, 400, 0)
    assert [rows.count(n) for n in (0, 399, 400, 719, 720, 16000)] == [0, 0, 1, 1, 2, 49]


def test_rows_of_whisper_are_centred_and_end_with_the_sound():
    rows = rows_of(
        {"model_type": "whisper", "max_source_positions": 1500}, {"sampling_rate": 16000}
    )
    assert (rows.hop, rows.width, rows.first, rows.longest) == (320, 1040, -520, 480000)
    assert [rows.count(n) for n in (1, 320, 321, 480000)] == [1, 1, 2, 1500]


@pytest.mark.parametrize("n", [1, 20, 21, 36, 37, 100, 3000])
@pytest.mark.parametrize("overlap", [0, 3, 10])
def test_every_row_is_taken_once_from_a_window_that_shows_it(n, overlap):
    found = windows(n, 20, overlap)
    taken = np.concatenate([np.arange(w.keep_start, w.keep_end) for w in found])
    np.testing.assert_array_equal(taken, np.arange(n))
    assert all(w.start <= w.keep_start <= w.keep_end <= w.end for w in found)
    assert found[0].start == 0
    assert found[-1].end == n
    assert len({w.end - w.start for w in found}) == 1
    assert found[0].end - found[0].start <= 20


@pytest.mark.parametrize("n", [21, 36, 100, 999])
def test_windows_overlap_and_rows_are_far_from_their_ends(n):
    found = windows(n, 20, 6)
    for one, other in zip(found, found[1:], strict=False):
        assert one.end - other.start >= 6
        assert one.end - one.keep_end >= 3
        assert other.keep_start - other.start >= 3


def test_windows_are_as_few_as_possible():
    assert [len(windows(n, 20, 4)) for n in (20, 21, 36, 37, 52)] == [1, 2, 2, 3, 3]
