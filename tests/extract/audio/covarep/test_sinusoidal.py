import numpy as np
import pytest

from affectflow.extract.audio.covarep.sinusoidal import sinusoidal_features

RATE = 16000


def test_asks_only_for_what_is_wanted(golden_frames):
    g = golden_frames
    arguments = (g.samples, g.rate, g.f0, g.pitch_centres)
    everything = sinusoidal_features(*arguments)
    for name in ("rd", "mcep", "hmpd"):
        alone = sinusoidal_features(*arguments, wanted=(name,))
        np.testing.assert_array_equal(getattr(alone, name), getattr(everything, name))
        assert [getattr(alone, other).shape[1] for other in ("rd", "mcep", "hmpd")].count(0) == 2


def test_the_same_sound_has_the_same_numbers(golden_frames):
    g = golden_frames
    one, two = (
        sinusoidal_features(g.samples, g.rate, g.f0, g.pitch_centres, ["hmpd"]) for _ in range(2)
    )
    np.testing.assert_array_equal(one.hmpd, two.hmpd)


def test_frames_are_centred_one_sample_after_the_pitch(golden_frames):
    g = golden_frames
    found = sinusoidal_features(g.samples, g.rate, g.f0, g.pitch_centres, ["mcep"])
    np.testing.assert_allclose(found.mcep[g.mcep_of], g.mcep, atol=1e-9)


def test_runs_of_frames_are_smoothed_on_their_own(golden_frames):
    g = golden_frames
    left_out = np.delete(np.arange(141), [60, 61])
    f0 = g.f0.copy()
    f0[[60, 61]] = 1.0  # a window of 3 s leaves the sound
    found = sinusoidal_features(g.samples, g.rate, f0, g.pitch_centres, ["hmpd"])
    np.testing.assert_array_equal(found.index, left_out)
    first = sinusoidal_features(g.samples, g.rate, f0[:60], g.pitch_centres[:60], ["hmpd"])
    np.testing.assert_allclose(found.hmpd[:60], first.hmpd, atol=1e-9)
    joined = sinusoidal_features(g.samples, g.rate, f0, g.pitch_centres, ["hmpd"], compat=True)
    assert np.abs(joined.hmpd[50:60] - found.hmpd[50:60]).max() > 0.01


def test_silent_frames_have_no_number_and_harm_no_other(golden_frames):
    g = golden_frames
    samples = g.samples.copy()
    samples[9000:13000] = 0
    found = sinusoidal_features(samples, g.rate, g.f0, g.pitch_centres)
    silent = np.isnan(found.mcep).any(axis=1)
    assert 5 < silent.sum() < 30
    for name in ("rd", "mcep", "hmpd"):
        np.testing.assert_array_equal(np.isnan(getattr(found, name)).any(axis=1), silent)


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(8000),
        np.full(8000, 0.25),
        np.sign(np.sin(np.arange(8000) / 20)),
        np.random.default_rng(0).normal(size=8000),
        np.sin(2 * np.pi * 440 * np.arange(8000) / RATE),
        np.eye(1, 8000, 4000)[0],
        np.zeros(1),
        np.zeros(0),
    ],
    ids=["silence", "dc", "clipped", "noise", "sine", "click", "one sample", "nothing"],
)
@pytest.mark.parametrize("compat", [False, True])
def test_odd_sounds_give_numbers_or_none(samples, compat):
    centres = np.arange(800, max(len(samples) - 800, 0), 160)
    f0 = np.resize([50.0, 120.0, 500.0], len(centres))
    found = sinusoidal_features(samples, RATE, f0, centres, compat=compat)
    assert found.hmpd.shape == (len(found.index), 38)
    for values in (found.rd, found.mcep, found.hmpd):
        assert not np.isinf(values).any()


@pytest.mark.parametrize("rate", [8000, 32000, 44100])
def test_other_rates(rate):
    samples = np.random.default_rng(0).normal(size=rate) * 0.1
    centres = np.arange(rate // 10, rate - rate // 10, rate // 100)
    found = sinusoidal_features(samples, rate, np.full(len(centres), 130.0), centres)
    assert len(found.index) == len(centres)
    assert np.isfinite(found.hmpd).all()
    assert np.isfinite(found.mcep).all()
