import numpy as np
import pytest

from affectflow.extract.audio.covarep.true_envelope import TOLERANCE, true_envelope

N_BINS = 1025


def harmonic_spectra(n, step=40.0, seed=0):
    """Log spectra with peaks every ``step`` bins under random smooth envelopes."""
    rng = np.random.default_rng(seed)
    bins = np.arange(N_BINS)
    smooth = rng.normal(size=(n, 6)) @ np.cos(np.pi * np.outer(np.arange(6), bins) / 1024)
    return smooth - 6 * np.abs(np.sin(np.pi * bins / step)), smooth


def plain(spectrum, order, ends=True):
    """The definition, one spectrum at a time, by the discrete Fourier transform."""
    top = len(spectrum) - 1
    order = min(int(1.2 * min(order, top - 1) + 0.5), top - 1)
    spectrum = spectrum.copy()
    if ends:
        half = plain(spectrum, int(order / 2 + 0.5), ends=False)
        width = int(0.5 * top / order + 0.5)
        spectrum[:width], spectrum[top - width + 2 :] = half[:width], half[top - width + 2 :]
    lifter = np.hamming(2 * order + 1)[order:]
    raised, cepstrum = spectrum.copy(), np.zeros(order + 1)
    for _ in range(200):
        c = np.fft.irfft(raised)[:top]
        c[1:] *= 2
        inside, outside = np.linalg.norm(c[: order + 1]), np.linalg.norm(c[order + 1 :])
        cepstrum += (inside + outside) / inside * lifter * (c[: order + 1] - cepstrum)
        circle = np.zeros(2 * top)
        circle[: order + 1] = cepstrum
        envelope = np.fft.rfft(circle).real
        raised = np.maximum(raised, envelope)
        if np.max(spectrum - envelope) <= TOLERANCE:
            break
    return envelope


@pytest.mark.parametrize("order", [5, 12, 26, 300, 5000])
def test_is_its_definition(order):
    spectra, _ = harmonic_spectra(3)
    expected = [plain(spectrum, order) for spectrum in spectra]
    np.testing.assert_allclose(true_envelope(spectra, np.full(3, order)), expected, atol=1e-11)


def test_spectra_do_not_depend_on_their_company():
    spectra, _ = harmonic_spectra(130)
    orders = np.random.default_rng(1).integers(8, 80, len(spectra))
    together = true_envelope(spectra, orders)
    alone = [true_envelope(spectra[i : i + 1], orders[i : i + 1])[0] for i in (0, 64, 129)]
    np.testing.assert_array_equal(together[[0, 64, 129]], alone)


def test_lies_on_the_peaks():
    spectra, smooth = harmonic_spectra(4)
    envelope = true_envelope(spectra, np.full(4, 25))
    inner = slice(40, -40)
    assert np.max((spectra - envelope)[:, inner]) <= TOLERANCE
    assert np.abs(envelope - smooth)[:, inner].max() < 0.6


def test_a_spectrum_that_is_never_covered_ends_all_the_same():
    spectra = np.random.default_rng(0).normal(size=(2, N_BINS))
    spectra[:, 300] = 60.0  # no curve of three terms climbs this needle
    assert np.isfinite(true_envelope(spectra, np.array([2, 3]))).all()
