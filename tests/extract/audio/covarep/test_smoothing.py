import numpy as np
import pytest
from scipy.signal import filtfilt, medfilt

from affectflow.extract.audio.covarep.smoothing import both_ways, median_of_9

COLUMNS = np.random.default_rng(0).normal(size=(120, 2, 5))


@pytest.mark.parametrize("n_taps", [9, 25])
def test_is_filtfilt_of_scipy(n_taps):
    taps = np.hanning(n_taps + 2)[1:-1]
    expected = filtfilt(taps, [1.0], COLUMNS, axis=0, padlen=3 * (n_taps - 1))
    np.testing.assert_allclose(both_ways(COLUMNS, taps, True, True), expected, atol=1e-12)


def test_is_medfilt_of_scipy():
    expected = np.apply_along_axis(medfilt, 0, COLUMNS, 9)
    np.testing.assert_array_equal(median_of_9(COLUMNS, True, True), expected)


def test_pieces_with_their_neighbours_are_the_whole():
    taps = np.ones(9) / 9
    for smooth, reach in (
        (lambda x, first, last: both_ways(x, taps, first, last), 8),
        (lambda x, first, last: both_ways(x, taps, first, last, mirrored=True), 8),
        (median_of_9, 4),
    ):
        whole = smooth(COLUMNS, True, True)
        parts = [
            smooth(COLUMNS[: 50 + reach], True, False),
            smooth(COLUMNS[50 - reach : 90 + reach], False, False),
            smooth(COLUMNS[90 - reach :], False, True),
        ]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("n_rows", [1, 2, 7])
def test_few_rows_have_as_many_results(n_rows):
    assert both_ways(COLUMNS[:n_rows], np.ones(25) / 25, True, True).shape == (n_rows, 2, 5)
    assert median_of_9(COLUMNS[:n_rows], True, True).shape == (n_rows, 2, 5)


def test_ones_stay_ones_or_more():
    """A constant that came back as 1 - 1e-16 would be a deviation of 1e-8 instead of none."""
    assert both_ways(np.ones((60, 3)), np.ones(9) / 9, True, True).min() >= 1


def test_a_gap_stays_near():
    columns = COLUMNS.copy()
    columns[60] = np.nan
    lost = np.isnan(both_ways(columns, np.ones(9) / 9, True, True)).any(axis=(1, 2))
    np.testing.assert_array_equal(np.flatnonzero(lost), np.arange(52, 69))


def test_a_mirrored_signal_is_filtered_to_its_ends():
    noise = np.random.default_rng(1).normal(size=(400, 50))
    for mirrored, ends in ((True, 0.6), (False, 0.9)):
        smooth = both_ways(noise, np.ones(9) / 9, True, True, mirrored)
        assert bool(smooth[0].std() < ends * noise[0].std()) is mirrored
    assert (median_of_9(np.ones((20, 3)), True, True, mirrored=True) == 1).all()
