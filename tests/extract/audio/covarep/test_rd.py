import numpy as np
import pytest

from affectflow.extract.audio.covarep.harmonics import SinusoidalFrames, sinusoidal_frames
from affectflow.extract.audio.covarep.rd import _lf_spectrum, rd

pytestmark = pytest.mark.usefixtures("one_piece")


def lf_pulse(shape, n):
    """One period of the derivative flow, in time, from the definition of the LF model."""
    ra, rk = (-1 + 4.8 * shape) / 100, (22.4 + 11.8 * shape) / 100
    rg = rk / (4 * (0.11 * shape / (0.5 + 1.2 * rk) - ra))
    tp = 1 / (2 * rg)
    te, ta = tp * (1 + rk), ra
    from scipy.optimize import brentq

    decay = brentq(lambda e: 1 - np.exp(-e * (1 - te)) - e * ta, 1e-3 / ta + 1, 1.01 / ta)
    times = (np.arange(n) + 0.5) / n
    opening = times < te

    def pulse(growth):
        peak = -1 / (np.exp(growth * te) * np.sin(np.pi / tp * te))
        rise = peak * np.exp(growth * times) * np.sin(np.pi / tp * times)
        fall = -(np.exp(-decay * (times - te)) - np.exp(-decay * (1 - te))) / (decay * ta)
        return np.where(opening, rise, fall)

    growth = brentq(lambda g: pulse(g).sum(), 0.01, 60)  # no flow is left at the end
    return pulse(growth)


def lf_harmonics(shape, n):
    """Harmonics 1 to n of an LF pulse train, (n,) complex, up to a positive factor."""
    numerator, denominator = np.empty((2, n), np.complex128)
    _lf_spectrum(shape, numerator, denominator)
    return numerator / denominator


@pytest.mark.parametrize("shape", [0.35, 0.8, 1.3, 2.0, 2.5])
def test_lf_spectrum_is_that_of_the_pulse(shape):
    n = 1 << 17
    middle = np.exp(-1j * np.pi * np.arange(1, 21) / n)  # samples stand in the middle of steps
    expected = np.fft.fft(lf_pulse(shape, n))[1:21] / n * middle
    found = lf_harmonics(shape, 20)
    np.testing.assert_allclose(found / found[0] * abs(found[0]), found, rtol=1, atol=1)
    scale = abs(expected[0]) / abs(found[0])
    np.testing.assert_allclose(scale * found, expected, atol=3e-4 * abs(expected[0]))


def made_of(shapes, f0=100.0, n=80):
    """Frames whose harmonics are LF pulses through a vocal tract of minimum phase."""
    shapes = np.atleast_1d(shapes)
    circle = np.exp(2j * np.pi * np.arange(n + 1) / (2 * n))
    tract = 1 / ((1 - 0.9 / circle * np.exp(0.4j)) * (1 - 0.9 / circle * np.exp(-0.4j)))
    spectra = np.zeros((len(shapes), n + 1), complex)
    for row, shape in zip(spectra, shapes, strict=True):
        row[1:] = lf_harmonics(shape, n) * tract[1:]
    spectra[:, 0] = 1e-3
    return SinusoidalFrames(
        index=np.arange(len(shapes)),
        f0=np.full(len(shapes), f0),
        log_magnitude=np.zeros((len(shapes), 2049)),
        spacing=np.full(len(shapes), f0),
        n_harmonics=np.full(len(shapes), n),
        amplitude=np.abs(spectra),
        phase=np.angle(spectra),
    )


def test_the_published_method_finds_the_shape_of_a_known_pulse():
    shapes = np.array([0.6, 0.9, 1.3, 1.7, 2.1])
    found = rd(made_of(shapes), conjugate=False)
    np.testing.assert_allclose(found[:, 0], shapes, atol=0.1)
    assert found[:, 1].min() > 0.9


def test_a_pulse_and_its_mirror_image_are_told_apart_by_the_confidence():
    frames = made_of([1.0])
    forward, conjugate = (rd(frames, conjugate=c)[0] for c in (False, True))
    assert forward[1] > conjugate[1] + 0.1


@pytest.mark.parametrize(("conjugate", "name"), [(True, "rd"), (False, "rd_v141")])
def test_is_that_of_covarep(golden_frames, conjugate, name):
    g = golden_frames
    (frames,) = sinusoidal_frames(g.samples, g.rate, g.f0, g.centres)
    found, expected = rd(frames, conjugate), getattr(g, name)
    error = np.abs(found - expected)
    assert np.mean(error[:, 0] < 1e-6) > 0.99
    assert error.max() < 5e-3


def test_stays_within_its_range(golden_frames):
    g = golden_frames
    (frames,) = sinusoidal_frames(g.samples, g.rate, g.f0, g.centres)
    found = rd(frames)
    assert found.shape == (141, 2)
    assert found[:, 0].min() >= 0.3
    assert found[:, 0].max() <= 2.5
    assert found[:, 1].min() >= 0
    assert found[:, 1].max() <= 1


def test_silence_has_no_shape():
    (frames,) = sinusoidal_frames(np.zeros(3200), 16000, np.full(2, 100.0), np.array([1000, 1600]))
    assert np.isnan(rd(frames)).all()


def test_two_harmonics_are_too_few():
    (frames,) = sinusoidal_frames(
        np.random.default_rng(0).normal(size=3200), 16000, np.array([3000.0]), np.array([1600])
    )
    assert frames.n_harmonics[0] == 2
    assert np.isnan(rd(frames)).all()
