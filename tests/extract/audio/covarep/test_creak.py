"""The features of creak against the toolbox's, and the network that reads them."""

import re
from pathlib import Path

import numpy as np
import pytest

from affectflow.cache.errors import BadCall
from affectflow.extract.audio.covarep.creak import (
    STATIC,
    creak_features,
    creak_pitch,
    creak_rows,
    energy_and_crossings,
    power_deviation,
)
from affectflow.extract.audio.covarep.creak_network import SHAPES, read_creak_network
from affectflow.extract.audio.covarep.creak_residual import median_of, peak_prominence
from affectflow.extract.audio.covarep.ishi import (
    ishi_features,
    periodicity,
    power_contour,
    power_peaks,
    pulse_similarity,
)
from affectflow.extract.audio.covarep.pipeline import covarep_rows
from affectflow.extract.audio.covarep_features import Covarep

GOLDEN = Path(__file__).parent / "golden" / "en_m_creak.npz"
RATE = 16000
#: The band-pass of the toolbox is fragile: what is made from it agrees to a few per cent.
FRAGILE = {
    "intra_frame_periodicity": 0.01,
    "inter_pulse_similarity": 0.001,
    "power_fall": 1.0,
    "power_rise": 1.0,
}


@pytest.fixture(scope="module")
def both():
    """Ours (n, 36) and COVAREP's static features (n, 12) of 4.7 s of synthetic speech."""
    with np.load(GOLDEN) as arrays:
        samples, features = arrays["samples"] / 32768, arrays["features"]
    return creak_features(samples, RATE, creak_pitch(samples, RATE)), features


@pytest.fixture
def arrays():
    """Weights of a network by chance."""
    rng = np.random.default_rng(0)
    made = {name: rng.standard_normal(shape) for name, shape in SHAPES.items()}
    return made | {"input_min": np.full(36, -2.0), "input_max": np.full(36, 3.0)}


@pytest.mark.parametrize("name", [name for name in STATIC if name not in FRAGILE])
def test_feature_is_that_of_covarep(both, name):
    ours, theirs = (found[:, STATIC.index(name)] for found in both)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", FRAGILE)
def test_feature_of_the_fragile_filter_is_near_that_of_covarep(both, name):
    ours, theirs = (found[:, STATIC.index(name)] for found in both)
    assert np.corrcoef(ours, theirs)[0, 1] > 0.999
    assert np.mean(np.abs(ours - theirs) < FRAGILE[name]) > 0.93


def test_differences_and_their_differences_follow(both):
    features = both[0]
    assert features.shape == (467, 36)
    np.testing.assert_array_equal(features[1:, 12:24], np.diff(features[:, :12], axis=0))
    np.testing.assert_array_equal(features[1:, 24:], np.diff(features[:, 12:24], axis=0))
    assert not features[0, 12:].any()


def test_silence_has_finite_features(voice):
    samples = np.concatenate([np.zeros(8000), voice(90, 0.8, [1, 0.5, 0.3] * 5), np.zeros(8000)])
    features = creak_features(samples, RATE, creak_pitch(samples, RATE))
    assert np.isfinite(features).all()
    assert len(features) == len(creak_rows(len(samples), RATE)) == 180


def test_creak_f0_and_median_are_those_of_a_voice(voice):
    samples = voice(80, 1.0, np.ones(99), -0.8 * np.pi * np.arange(1, 100))  # pulses after 5 ms
    features = creak_features(samples, RATE, creak_pitch(samples, RATE))
    assert features[:, STATIC.index("F0_median")] == pytest.approx(81, abs=1)  # 1 Hz high
    assert np.median(features[:, STATIC.index("creak_F0")]) == pytest.approx(80, abs=1)
    assert np.median(features[:, STATIC.index("intra_frame_periodicity")]) > 0.9
    assert np.median(features[:, STATIC.index("inter_pulse_similarity")]) > 0.9


def test_zero_crossings_and_energy_of_a_sine(voice):
    energy, crossings = energy_and_crossings(voice(1000, 0.5, [1.0], 0.3), RATE)
    assert crossings == pytest.approx(2, abs=0.05)  # a ms
    assert energy.max() == 0
    assert np.ptp(energy) < 1e-3


def test_prominence_is_one_less_the_next_peak_over_the_highest():
    ringing = np.zeros(8000)
    ringing[200::400], ringing[320::400] = -2.0, -0.5
    _, prominence = peak_prominence(ringing, np.zeros(90), RATE, 60.0)
    assert prominence[4:-4] == pytest.approx(0.75)


def test_quiet_sound_has_no_prominence():
    ringing = np.zeros(16000)
    ringing[::400] = 1.0
    energy = np.where(np.arange(200) < 100, 0.0, -5.0)
    middles, prominence = peak_prominence(ringing, energy, RATE, 60.0)
    near = (middles > 8200) & (middles < 14000)
    assert not prominence[near].any()


def test_power_contour_is_twice_the_level_and_finite():
    samples = np.zeros(1600)
    samples[800:] = 0.1
    power = power_contour(samples, RATE)
    assert power[-1] == pytest.approx(-40)
    assert np.isfinite(power).all()
    assert not power_contour(np.zeros(1600), RATE).any()


def test_power_peaks_stand_out_by_2_db():
    power = np.zeros(60)
    power[10], power[30], power[50] = 3, 1.5, 40
    assert list(power_peaks(power)) == [50]
    power[50] = 20
    assert list(power_peaks(power)) == [10, 50]


def test_deviation_of_the_power_is_0_where_it_is_constant_and_at_the_ends():
    power = np.where(np.arange(200) < 100, 0.0, 10.0)
    deviation = power_deviation(power)
    assert deviation[100] == pytest.approx(np.std(power[84:117], ddof=1), rel=0.05)
    assert not deviation[:10].any()
    assert deviation[30:80] == pytest.approx(0)


def test_noise_is_not_periodic_a_pulse_train_is(voice):
    noise = np.random.default_rng(1).standard_normal(16000)
    assert periodicity(noise, RATE)[1].mean() < 0.1
    centres, found = periodicity(voice(200, 1.0, np.ones(10)), RATE)
    assert list(centres[:2]) == [256, 416]
    assert found == pytest.approx(1, abs=0.05)


def test_pulses_are_alike_where_they_are_the_same_and_near():
    pulse = np.random.default_rng(2).standard_normal(241)
    signal = np.zeros(8000)
    where = np.array([1000, 1800, 4000, 5000])
    for at in (1000, 1810, 4000):  # moved by 10 samples
        signal[at - 120 : at + 121] = pulse
    signal[4880:5121] = np.random.default_rng(3).standard_normal(241)
    alike = pulse_similarity(signal, where, 120, 240, 1600)
    assert alike[0] == 0
    assert alike[1] > 0.9
    assert alike[2] == 0  # 137 ms away
    assert alike[3] < 0.5


def test_a_pulse_stands_for_the_35_ms_before_it():
    signal = np.random.default_rng(4).standard_normal(16000) * 1e-3
    signal[8000:8016] += np.hanning(16)
    found = ishi_features(signal, RATE, 100)
    rows = np.flatnonzero(found.rise > 20)
    seconds = rows / 99
    assert 0.465 < seconds.min() < 0.476
    assert seconds.max() < 0.503


def test_median_has_zeros_around_the_ends():
    assert list(median_of(3, np.array([5.0, 4.0, 3.0]))) == [4, 4, 3]
    assert list(median_of(7, np.ones(2))) == [0, 0]


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_network_is_that_of_its_file(tmp_path, arrays, suffix):
    path = tmp_path / f"creak{suffix}"
    if suffix == ".npz":
        np.savez(path, **arrays)
    else:
        from safetensors.numpy import save_file

        save_file(arrays, path)
    features = np.random.default_rng(5).standard_normal((7, 36))
    scaled = -1 + 2 * (features + 2) / 5
    for row, found in zip(scaled, read_creak_network(path).probability(features), strict=True):
        hidden = [
            np.tanh(sum(w * v for w, v in zip(weights, row, strict=True)) + bias)
            for weights, bias in zip(arrays["hidden_weight"], arrays["hidden_bias"], strict=True)
        ]
        out = np.dot(arrays["output_weight"][0], hidden) + arrays["output_bias"][0]
        assert found == pytest.approx(1 / (1 + np.exp(-out)))


def test_feature_that_never_varied_in_training_is_the_lowest(tmp_path, arrays):
    arrays["input_min"][:], arrays["input_max"][:] = 0.0, 0.0
    arrays["hidden_weight"][:] = 1.0
    np.savez(tmp_path / "creak.npz", **arrays)
    assert np.isfinite(
        read_creak_network(tmp_path / "creak.npz").probability(np.zeros((2, 36)))
    ).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_weight": np.zeros((36, 32))}, r"hidden_weight must be of shape \(32, 36\), not"),
        ({"output_bias": None}, r"lack output_bias; the file must hold input_min \(36,\)"),
        ({"input_min": np.full(36, np.nan)}, "input_min must be finite floats"),
        ({"hidden_bias": np.zeros(32, int)}, "hidden_bias must be finite floats"),
        ({"input_max": np.full(36, -3.0)}, "input_max lies under input_min"),
    ],
)
def test_refuses_a_file_of_another_network(tmp_path, arrays, change, message):
    arrays |= change
    path = tmp_path / "creak.npz"
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(BadCall, match=f"creak weights in '{re.escape(str(path))}'.*{message}"):
        read_creak_network(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("creak.mat", b"MATLAB", r"must be a \.npz or a \.safetensors file, not 'creak\.mat'"),
        ("creak.npz", b"no archive", r"cannot be read as \.npz"),
        ("creak.npz", b"PK\x03\x04 broken", r"cannot be read as \.npz"),
        ("creak.safetensors", b"nothing", "cannot be read as safetensors"),
        ("creak.npz", None, "there is no file of creak weights"),
    ],
)
def test_refuses_a_file_of_another_kind(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BadCall, match=message):
        read_creak_network(tmp_path / name)


@pytest.fixture
def weights(tmp_path, arrays):
    """A file of weights of a network by chance, as the setting of an extractor."""
    for name in ("hidden_weight", "output_weight"):
        arrays[name] *= 0.1
    np.savez(tmp_path / "creak.npz", **arrays)
    return str(tmp_path / "creak.npz")


@pytest.mark.parametrize("compat", [False, True])
def test_with_weights_only_the_column_of_creak_is_another(weights, voice, compat):
    samples = voice(90, 1.0, np.ones(80)) * 0.01
    network = read_creak_network(Path(weights))
    without = covarep_rows(samples, RATE, compat=compat)
    found = covarep_rows(samples, RATE, compat=compat, creak=network)
    column = found.columns.index("creak")
    creak = found.values[:, column]
    others = np.arange(len(found.columns)) != column
    np.testing.assert_array_equal(found.values[:, others], without.values[:, others])
    np.testing.assert_array_equal(found.mask, without.mask)
    assert not without.values[:, column].any()
    features = creak_features(samples, RATE, creak_pitch(samples, RATE))
    made = network.probability(features)  # on samples 159, 319 ..., the rows on 79, 239 ...
    np.testing.assert_allclose(creak[1:], (made[1:] + made[:-1]) / 2)
    assert creak[0] == (0 if compat else made[0])


def test_without_voice_there_is_no_creak(weights):
    noise = np.random.default_rng(6).standard_normal(16000) * 0.1
    found = covarep_rows(noise, RATE, ["creak"], creak=read_creak_network(Path(weights)))
    assert not found.values.any()
    assert found.notes == ("creak not defined: nothing is voiced",)


def test_rate_must_hold_the_filter(weights, voice):
    sound = voice(90, 1.0, np.ones(20), rate=6000)
    network = read_creak_network(Path(weights))
    found = covarep_rows(sound, 6000, ["creak"], creak=network)
    assert found.notes == ("creak not defined: it needs more than 6000 samples a second, not 6000",)
    toolbox = covarep_rows(sound, 6000, ["creak"], compat=True, creak=network)
    assert not toolbox.values.any()
    assert toolbox.mask.all()


def test_extractor_uses_weights_that_are_given(weights):
    found = Covarep(creak_weights=weights)
    assert list(found.weights()) == ["creak"]
    assert found.weights()["creak"] == Path(weights)
    assert found.spec == Covarep().spec
    assert Covarep().weights() == {}


def test_wrong_file_of_weights_is_found_before_a_run(tmp_path):
    with pytest.raises(BadCall, match="there is no file of creak weights at"):
        _ = Covarep(creak_weights=str(tmp_path / "creak.npz")).spec
