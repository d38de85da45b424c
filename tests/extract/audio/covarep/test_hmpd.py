import numpy as np
import pytest

from affectflow.extract.audio.covarep import hmpd as module
from affectflow.extract.audio.covarep.harmonics import sinusoidal_frames, wrap
from affectflow.extract.audio.covarep.hmpd import (
    Hmpd,
    distortion_statistics,
    hmpd_at,
    phase_distortion,
)

pytestmark = pytest.mark.usefixtures("one_piece")

RATE = 16000


def distortion_of(samples, f0, n_frames, seed=0):
    centres = 1600 + 160 * np.arange(n_frames)
    rng = np.random.default_rng(seed)
    pieces = sinusoidal_frames(samples, RATE, np.full(n_frames, f0), centres)
    return np.concatenate([phase_distortion(frames, RATE, rng) for frames in pieces])


def golden_distortion(g, seed=0):
    (frames,) = sinusoidal_frames(g.samples, g.rate, g.f0, g.centres)
    return phase_distortion(frames, g.rate, np.random.default_rng(seed))


def test_is_that_of_covarep(golden_frames):
    g = golden_frames
    found = distortion_statistics(golden_distortion(g), g.rate, compat=True)[g.hmpd_of]
    assert np.abs(wrap(found - g.hmpd))[:, :24].max() < 1e-9
    assert np.abs(found - g.hmpd)[:, 25:].max() < 0.01  # the toolbox draws phases near 8 kHz


def test_cosines_in_phase_are_not_distorted(voice):
    f0 = 125.0
    samples = voice(f0, 1.5, np.ones(63) / 63)  # level envelope: no phase of the tract
    distortion = distortion_of(samples, f0, 100)
    assert np.abs(distortion[:, :256]).max() < 0.02
    np.testing.assert_array_equal(distortion[:, :8], 0)  # up to F0


def test_a_phase_that_bends_between_two_harmonics_is_found_there(voice):
    f0, bend = 250.0, 0.7  # harmonic h lies at bin 16 h
    phases = bend * np.maximum(np.arange(1, 32) - 10, 0)
    distortion = distortion_of(voice(f0, 1.5, np.ones(31) / 31, phases), f0, 90)
    np.testing.assert_allclose(distortion[:, 16 * 12], bend, atol=0.02)
    np.testing.assert_allclose(distortion[:, 16 * 8], 0, atol=0.02)


def test_noise_deviates_more_than_a_voice(voice):
    steady = distortion_of(voice(125.0, 1.5, np.ones(63) / 63), 125.0, 100)
    noise = distortion_of(np.random.default_rng(0).normal(size=24000), 125.0, 100)
    quiet, loud = (distortion_statistics(x, RATE)[:, 25] for x in (steady, noise))
    assert np.median(loud) > np.median(quiet) + 1


@pytest.mark.parametrize("compat", [False, True])
def test_pieces_are_smoothed_like_the_whole(monkeypatch, golden_frames, compat):
    g = golden_frames
    distortion = golden_distortion(g)
    whole = distortion_statistics(distortion, g.rate, compat=compat)
    monkeypatch.setattr(module, "PIECE", 10)
    stream = Hmpd(g.rate, compat)
    for start in range(0, len(distortion), 30):
        stream.push(distortion[start : start + 30])
    np.testing.assert_allclose(stream.close(), whole, atol=1e-12)


@pytest.mark.parametrize("compat", [False, True])
@pytest.mark.parametrize("n_frames", [0, 1, 2, 30, 72])
def test_short_runs_have_a_row_for_each_frame(golden_frames, n_frames, compat):
    g = golden_frames
    stream = Hmpd(g.rate, compat)
    stream.push(golden_distortion(g)[:n_frames])
    found = stream.close()
    assert found.shape == (n_frames, 38)
    assert np.isfinite(found).all()


def test_ends_are_like_the_rest_unless_the_toolbox_is_followed(golden_frames):
    g = golden_frames
    distortion = golden_distortion(g)
    whole = distortion_statistics(distortion, g.rate)
    cut, noisy = (distortion_statistics(distortion[60:], g.rate, compat=c) for c in (False, True))
    assert np.abs(cut[0, 25:27] - whole[60, 25:27]).max() < 1
    assert np.abs(noisy[0, 25:27] - whole[60, 25:27]).max() > 3


def test_the_seed_matters_only_near_half_the_rate(golden_frames):
    one, other = (golden_distortion(golden_frames, seed) for seed in (1, 2))
    changed = np.flatnonzero((one != other).any(axis=0))
    assert changed.size
    assert changed.min() > 490


def test_angles_are_read_off_the_shorter_way_round():
    statistics = np.zeros((3, 38))
    statistics[:, 0] = [3.0, -3.0, -2.8]
    statistics[:, 30] = [0.0, 1.0, 2.0]
    found = hmpd_at(statistics, np.array([0.05, 0.06, 0.07]), np.array([0.04, 0.055, 0.07, 0.08]))
    assert np.isnan(found[[0, 3]]).all()
    assert abs(wrap(found[1, 0] - np.pi)) < 1e-9
    np.testing.assert_allclose(found[[1, 2], 30], [0.5, 2.0])
    np.testing.assert_allclose(found[2, 0], -2.8)
