import numpy as np
import pytest

from affectflow.extract.audio.covarep.harmonics import sinusoidal_frames
from affectflow.extract.audio.covarep.mcep import mcep, warped_cepstrum

pytestmark = pytest.mark.usefixtures("one_piece")

RATE = 16000


def of(samples, f0, centres):
    (frames,) = sinusoidal_frames(samples, RATE, f0, centres)
    return mcep(frames.log_magnitude, frames.f0, RATE)


def test_is_that_of_covarep(golden_frames):
    g = golden_frames
    found = of(g.samples, g.f0[g.mcep_of], g.centres[g.mcep_of])
    np.testing.assert_allclose(found, g.mcep, atol=1e-9)


def test_loudness_moves_only_the_first_coefficient(golden_frames):
    g = golden_frames
    f0, centres = g.f0[100:104], g.centres[100:104]
    step = of(0.1 * g.samples, f0, centres) - of(g.samples, f0, centres)
    np.testing.assert_allclose(step[:, 0], np.log(0.1), atol=1e-2)
    np.testing.assert_allclose(step[:, 1:], 0, atol=5e-2)  # the steps depend on the level


def test_a_level_spectrum_has_only_the_first_coefficient():
    found = mcep(np.full((2, 2049), -3.0), np.array([100.0, 200.0]), RATE)
    np.testing.assert_allclose(found[:, 0], -3, atol=0.3)
    np.testing.assert_allclose(found[:, 1:], 0, atol=1e-2)


def test_digital_silence_has_none(voice):
    samples = voice(100.0, 0.3, np.ones(30) / 30)
    samples[2000:3500] = 0
    found = of(samples, np.full(2, 100.0), np.array([1000, 2800]))
    assert np.isfinite(found[0]).all()
    assert np.isnan(found[1]).all()


def test_no_frames_have_no_rows():
    assert mcep(np.empty((0, 2049)), np.empty(0), RATE).shape == (0, 25)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_warped_cepstrum_of_a_cosine_on_the_mel_scale(rate):
    frequency = np.linspace(0, rate / 2, 2049)
    place = np.log1p(frequency / 700) / np.log1p(rate / 2 / 700)  # 0 to 1
    found = warped_cepstrum(np.exp(2 + 0.5 * np.cos(3 * np.pi * place))[None], rate, 6)
    expected = np.zeros((1, 6))
    # The scale maps a frequency to the bin at its mel; there the cosine meets its own place.
    warped = np.interp(frequency, place * rate / 2, np.cos(3 * np.pi * place))
    expected[0, 0] = 2 + 0.5 * np.mean((warped[1:] + warped[:-1]) / 2)
    np.testing.assert_allclose(found[0, 0], expected[0, 0], atol=1e-3)
    np.testing.assert_allclose(found[0, 3], 0.5, atol=1e-3)
