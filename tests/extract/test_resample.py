import numpy as np
import pytest
from scipy import signal

from affectflow.extract.resample import length, resample, window


def chirp(rate, seconds=3.0, low=50.0, high=7000.0):
    """A sweep faded in and out, so that what lies beyond its ends does not matter."""
    times = np.arange(round(seconds * rate)) / rate
    sweep = signal.chirp(times, low, seconds, high)
    return sweep * signal.windows.tukey(len(times), 0.2)


def reference(sound, rate, native):
    """scipy's polyphase resampler in float64 with a filter of our own, 140 dB down."""
    common = np.gcd(rate, native)
    up, down = rate // common, native // common
    nyquist = min(rate, native) / 2
    n_taps, beta = signal.kaiserord(150.0, 0.08 * nyquist / (native * up / 2))
    taps = signal.firwin(n_taps | 1, 0.95 * nyquist, window=("kaiser", beta), fs=native * up)
    return signal.resample_poly(sound, up, down, window=taps)


def decibels(signal_, noise):
    return 10 * np.log10(np.sum(signal_**2) / np.sum(noise**2))


def whole(sound, rate, native):
    n = length(len(sound), rate, native)
    return resample(sound.astype(np.float32), 0, 0, n, rate, native)


@pytest.mark.parametrize(
    ("native", "rate", "high", "least"),
    [
        (44100, 22050, 7000, 135),
        (48000, 16000, 7000, 135),
        (48000, 22050, 7000, 135),
        (44100, 16000, 7000, 80),  # libsoxr's gain falls by 0.007 dB towards its edge here:
        (44100, 16000, 3000, 135),  # the 80 dB are that, not noise
        (8000, 16000, 3000, 135),
        (16000, 22050, 6000, 110),
    ],
)
def test_a_chirp_is_as_near_to_a_reference_resampler_as_stated(native, rate, high, least):
    sound = chirp(native, high=high)
    wanted = reference(sound, rate, native)
    made = whole(sound, rate, native)
    assert len(made) == len(wanted)
    assert decibels(wanted, made - wanted) > least


@pytest.mark.parametrize("frequency", [100, 1000, 4000, 7000, 7200])
def test_the_gain_is_one_within_a_hundredth_of_a_decibel(frequency):
    tone = np.sin(2 * np.pi * frequency * np.arange(88200) / 44100) * signal.windows.hann(88200)
    made = whole(tone, 16000, 44100)
    assert abs(10 * np.log10(np.sum(made**2) / np.sum(tone**2) * 44100 / 16000)) < 0.01


def test_what_lies_above_the_new_nyquist_frequency_is_gone():
    rate, native = 16000, 44100
    tone = np.sin(2 * np.pi * 9000 * np.arange(2 * native) / native)
    made = whole(tone * signal.windows.tukey(len(tone), 0.2), rate, native)
    assert decibels(tone[::3], made) > 120


@pytest.mark.parametrize(
    ("native", "rate"), [(44100, 16000), (48000, 22050), (8000, 16000), (16000, 125), (7919, 8017)]
)
def test_a_piece_is_the_same_bit_for_bit_as_a_slice_of_the_whole(native, rate):
    rng = np.random.default_rng(3)
    sound = rng.standard_normal(round(9.3 * native)).astype(np.float32)
    n = length(len(sound), rate, native)
    complete = resample(sound, 0, 0, n, rate, native)
    for _ in range(8):
        first, last = sorted(rng.integers(0, n, 2))
        left, right = window(first, last + 1, rate, native)
        piece = resample(sound[max(left, 0) : right], max(left, 0), first, last + 1, rate, native)
        np.testing.assert_array_equal(piece, complete[first : last + 1])


def test_the_same_rate_changes_nothing():
    sound = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    np.testing.assert_array_equal(resample(sound, 0, 100, 900, 16000, 16000), sound[100:900])


def test_silence_is_taken_to_be_around_the_sound():
    piece = resample(np.ones(10, np.float32), 5, 0, 20, 16000, 16000)
    np.testing.assert_array_equal(piece, [0] * 5 + [1] * 10 + [0] * 5)


@pytest.mark.parametrize(("n", "rate", "native", "wanted"), [
    (44100, 16000, 44100, 16000), (1, 16000, 44100, 1), (3, 16000, 44100, 2), (0, 16000, 8000, 0),
])  # fmt: skip
def test_length_counts_samples_that_begin_within_the_sound(n, rate, native, wanted):
    assert length(n, rate, native) == wanted
