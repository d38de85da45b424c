import numpy as np
import pytest

from affectflow.extract.audio.covarep import harmonics
from affectflow.extract.audio.covarep.harmonics import sinusoidal_frames, wrap

pytestmark = pytest.mark.usefixtures("one_piece")

RATE = 16000


def frames_of(samples, f0, centres):
    (frames,) = sinusoidal_frames(samples, RATE, np.broadcast_to(f0, len(centres)), centres)
    return frames


def test_finds_amplitude_phase_and_spacing_of_a_sum_of_cosines(voice):
    amplitudes = 1 / np.arange(1, 40)
    phases = np.linspace(-3, 3, 39)
    centres = np.array([4000, 4080, 4333])
    frames = frames_of(voice(200.0, 0.5, amplitudes, phases), 203.0, centres)
    np.testing.assert_array_equal(frames.n_harmonics, 39)
    np.testing.assert_allclose(frames.spacing, 200, atol=0.5)
    np.testing.assert_allclose(frames.amplitude[:, 1:30], [amplitudes[:29] / 2] * 3, rtol=0.02)
    turned = phases + 2 * np.pi * 200 * np.outer(centres / RATE, np.arange(1, 40))
    assert np.abs(wrap(frames.phase[:, 1:30] - turned[:, :29])).max() < 0.05


def test_log_magnitude_of_a_sine_is_half_its_amplitude(voice):
    frames = frames_of(voice(1000.0, 0.3, [0.5]), 100.0, [2400])
    assert frames.log_magnitude.shape == (1, 2049)
    assert frames.log_magnitude.max() == pytest.approx(np.log(0.25), abs=1e-3)


def test_frames_whose_window_leaves_the_sound_are_missing(voice):
    samples = voice(100.0, 0.1, [0.5])  # windows of 481 samples
    frames = frames_of(samples, 100.0, [239, 240, 800, 1359, 1360])
    np.testing.assert_array_equal(frames.index, [1, 2, 3])


def test_no_f0_counts_as_100_hz(voice):
    samples = voice(100.0, 0.1, [0.5])
    np.testing.assert_array_equal(frames_of(samples, 0.0, [800]).f0, 100)


def test_missing_harmonics_are_nan(voice):
    frames = frames_of(voice(100.0, 0.2, [0.5] * 9), np.array([100.0, 400.0]), [1600, 1600])
    np.testing.assert_array_equal(frames.n_harmonics, [80, 20])
    assert frames.amplitude.shape == (2, 81)
    np.testing.assert_array_equal(np.isfinite(frames.phase).sum(axis=1), [81, 21])


def test_silence_has_no_logarithm_but_a_grid():
    frames = frames_of(np.zeros(3200), 100.0, [1600])
    assert np.isneginf(frames.log_magnitude).all()
    np.testing.assert_array_equal(frames.amplitude, 0)
    np.testing.assert_allclose(frames.spacing, 100)


def test_of_a_window_longer_than_the_transform_only_the_beginning_counts():
    noise = np.random.default_rng(0).normal(size=RATE)
    changed = noise.copy()
    changed[8000 - 2400 + 4096 :] = 0
    one, other = (frames_of(x, 10.0, [8000]) for x in (noise, changed))
    np.testing.assert_array_equal(one.log_magnitude, other.log_magnitude)


def test_pieces_change_no_number(monkeypatch, golden_frames):
    g = golden_frames
    arguments = (g.samples, g.rate, g.f0, g.centres)
    monkeypatch.setattr(harmonics, "PIECE", 500)
    whole = list(sinusoidal_frames(*arguments))
    monkeypatch.setattr(harmonics, "PIECE", 50)
    parts = list(sinusoidal_frames(*arguments))
    assert (len(whole), len(parts)) == (1, 3)
    for name in ("index", "spacing", "log_magnitude"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_allclose(joined, getattr(whole[0], name), rtol=1e-9)


def test_harmonics_are_those_of_covarep(golden_frames):
    g = golden_frames
    frames = frames_of(g.samples, g.f0[g.harmonics_of], g.centres[g.harmonics_of])
    n = frames.amplitude.shape[1]
    np.testing.assert_allclose(frames.spacing, g.spacing, rtol=1e-9)
    np.testing.assert_allclose(frames.amplitude, g.amplitude[:, :n], rtol=1e-8)
    assert np.nanmax(np.abs(wrap(frames.phase - g.phase[:, :n]))) < 1e-7


def test_no_frame_at_all():
    assert list(sinusoidal_frames(np.zeros(10), RATE, np.empty(0), np.empty(0))) == []
