from pathlib import Path

import numpy as np
import pytest

from affectflow.extract.vision import asd_sound
from affectflow.extract.vision.asd_sound import as_integers, mel_filters, mfcc

GOLDEN = np.load(Path(__file__).parent / "golden" / "asd.npz")


@pytest.mark.parametrize("n", [400, 401, 640, 8000])
def test_cepstra_are_those_that_the_networks_were_trained_on(n):
    np.testing.assert_allclose(mfcc(GOLDEN["sound"][:n]), GOLDEN[f"mfcc_{n}"], atol=1e-4)


def test_silence_has_cepstra_too():
    np.testing.assert_allclose(mfcc(np.zeros(1600)), GOLDEN["mfcc_zeros_1600"], atol=1e-4)


@pytest.mark.parametrize(("n", "frames"), [(0, 1), (1, 1), (400, 1), (401, 2), (560, 2), (561, 3)])
def test_frames_come_every_10_ms_and_the_last_is_filled_up(n, frames):
    assert mfcc(np.ones(n)).shape == (frames, 13)


def test_the_first_cepstrum_grows_by_6_db_where_the_sound_doubles():
    sound = GOLDEN["sound"].astype(float)
    change = mfcc(2 * sound) - mfcc(sound)
    np.testing.assert_allclose(change[:, 0], np.log(4), atol=1e-6)
    np.testing.assert_allclose(change[:, 1:], 0, atol=1e-6)


def test_long_sound_is_the_same_in_blocks(monkeypatch):
    whole = mfcc(GOLDEN["sound"])
    monkeypatch.setattr(asd_sound, "BLOCK", 7)
    np.testing.assert_allclose(mfcc(GOLDEN["sound"]), whole, rtol=1e-9, atol=1e-9)


def test_filters_are_triangles_from_0_to_8_khz():
    filters = mel_filters()
    assert filters.shape == (26, 257)
    assert filters.max() == 1
    assert not filters[:, 0].any()
    assert filters[-1, 255] > 0


def test_samples_become_the_integers_of_a_sound_file():
    np.testing.assert_array_equal(as_integers(np.array([-2, -1, 0, 0.5, 1])),
                                  [-32768, -32768, 0, 16384, 32767])  # fmt: skip
