"""Sound that COVAREP was not made for: finite numbers or masked rows, and a word of warning."""

import wave
from pathlib import Path

import av
import numpy as np
import pytest

from affectflow.cache.errors import BadInput
from affectflow.extract.audio.covarep.pipeline import covarep_rows
from affectflow.extract.clip import Clip
from affectflow.extract.registry import extractor

GOLDEN = Path(__file__).parent / "golden" / "tricky_sil_noise.npz"
RATE = 16000
NOISE = np.random.default_rng(0).normal(size=RATE)
TIMES = np.arange(RATE) / RATE
both_modes = pytest.mark.parametrize("compat", [False, True])


def speech(seconds=1.0):
    with np.load(GOLDEN) as arrays:
        samples = arrays["samples"] / 32768
    return samples[18000 : 18000 + round(seconds * RATE)]


def with_zeros():
    sound = speech(1.5)
    sound[8000:14000] = 0
    return sound


def chords():
    notes = (261.6, 329.6, 392.0, 523.3, 1046.5)
    swell = 1 + np.sin(2 * np.pi * 2 * TIMES)
    return 0.05 * swell * sum(np.sin(2 * np.pi * f * TIMES + f) for f in notes)


#: Sound, and what the user is told by default and in ``compat`` (empty: nothing is undefined).
SOUNDS = {
    "silence": (np.zeros(RATE), "zero throughout", "no features at all"),
    "digital zeros inside speech": (with_zeros(), "digital silence", "digital silence"),
    "one sample": (np.full(1, 0.1), "shorter than a row", "shorter than a row"),
    "clipped": (np.clip(40 * speech(), -1, 1), "clipped", "clipped"),
    "DC offset": (0.2 + 0.1 * speech(), "DC offset", "DC offset"),
    "nothing but DC": (np.full(RATE, 0.2), "DC offset", "DC offset"),
    "a click": (np.eye(1, RATE, 8000)[0], "digital silence", "no features at all"),
    "unvoiced": (0.05 * NOISE * np.sin(3 * TIMES) ** 2, "rows are voiced", "rows are voiced"),
    "white noise": (0.1 * NOISE, "rows are voiced", "rows are voiced"),
    "a sine": (0.5 * np.sin(2 * np.pi * 440 * TIMES), "", ""),
    "a sine under the range of F0": (
        0.5 * np.sin(2 * np.pi * 20 * TIMES),
        "NAQ to MDQ not defined: nothing is voiced",
        "no features at all",
    ),
    "music": (chords(), "", ""),
}


def write(path, sound, rate=RATE):
    sound = np.asarray(sound)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if sound.ndim == 1 else sound.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.clip(np.round(sound * 32768), -32768, 32767).astype("<i2").tobytes())
    return path


def features_of(path, name="covarep", **settings):
    """Features as they are stored, and the warnings."""
    made = extractor(name, **settings)
    clip = Clip("c", str(path))
    found = made.extract(clip).cast(made.spec)
    assert np.isfinite(found.values).all()
    assert found.values.dtype == np.float32
    return found, "\n".join(clip.warnings)


@both_modes
@pytest.mark.parametrize("case", SOUNDS)
def test_is_finite_or_masked_and_says_what_is_not_defined(tmp_path, case, compat):
    sound, told, told_in_compat = SOUNDS[case]
    found, warnings = features_of(write(tmp_path / "a.wav", sound), compat=compat)
    assert found.values.shape == (max(1, (len(sound) - 80) // 160 + 1), 74)
    assert (told_in_compat if compat else told) in warnings
    if not told:
        assert found.mask is None or found.mask.all()
    np.testing.assert_array_equal(found.values[~found.mask], 0)


@both_modes
@pytest.mark.parametrize(
    "n", [2, 19, 30, 31, 79, 80, 159, 160, 400, 402, 639, 640, 1598, 1599, 1760, 3200, 8000]
)
def test_sound_shorter_than_each_window(tmp_path, n, compat):
    found, warnings = features_of(write(tmp_path / "a.wav", speech()[:n]), compat=compat)
    assert len(found.values) == max(1, (n - 80) // 160 + 1)
    if n < 1599:
        assert "F0 to VUV" in warnings
        assert "100 ms" in warnings
    if n < 640:
        assert "peakSlope not defined: it needs 40 ms" in warnings
        assert not found.mask.any()
    if compat:
        assert "no features at all" in warnings
        assert not found.mask.any()


def test_a_short_sound_has_what_can_be_measured(tmp_path):
    found, _ = features_of(write(tmp_path / "a.wav", speech(0.5)))
    assert found.mask.all()
    column = dict(zip(found.columns, found.values.T, strict=True))
    for name in ("F0", "Rd", "MCEP_1", "HMPDD_1", "peakSlope"):
        assert column[name].any()


@pytest.mark.parametrize("rate", [8000, 32000, 44100])
def test_other_rates_are_brought_to_16_khz(tmp_path, rate):
    from scipy.signal import resample_poly

    sound = speech()
    other = resample_poly(sound, rate // 100, RATE // 100)
    plain, _ = features_of(write(tmp_path / "a.wav", sound), "srh-pitch")
    found, _ = features_of(write(tmp_path / "b.wav", other, rate), "srh-pitch")
    assert len(found.values) == len(plain.values)
    voiced = (plain.values[:, 1] == 1) & (found.values[:, 1] == 1)
    assert voiced.sum() > 20
    assert np.median(np.abs(found.values - plain.values)[voiced, 0]) <= 1


@pytest.mark.parametrize("rate", [8000, 32000, 44100])
def test_compat_measures_at_the_rate_of_the_file(tmp_path, rate):
    from scipy.signal import resample_poly

    other = resample_poly(speech(), rate // 100, RATE // 100)
    found, _ = features_of(write(tmp_path / "b.wav", other, rate), compat=True)
    hop = round(0.01 * rate + 1e-9)
    assert abs(len(found.values) - len(other) / hop) <= 1
    assert found.mask.all()


@both_modes
def test_stereo_is_averaged(tmp_path, compat):
    sound = speech()
    sides = np.stack([sound, sound], axis=1)
    mono, _ = features_of(write(tmp_path / "a.wav", sound), "covarep-mcep", compat=compat)
    stereo, _ = features_of(write(tmp_path / "b.wav", sides), "covarep-mcep", compat=compat)
    np.testing.assert_allclose(stereo.values, mono.values, atol=1e-3)


@both_modes
def test_a_file_with_samples_that_are_no_numbers_is_refused(tmp_path, compat):
    sound = speech().astype(np.float32)
    sound[8000:8003] = np.nan
    with av.open(str(tmp_path / "a.wav"), "w") as out:
        stream = out.add_stream("pcm_f32le", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(sound[None], "flt", "mono")
        frame.sample_rate = RATE
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with pytest.raises(BadInput, match="no numbers"):
        features_of(tmp_path / "a.wav", compat=compat)


def test_the_place_of_samples_that_are_no_numbers_is_named():
    sound = speech()
    sound[8000:8003] = np.nan
    with pytest.raises(BadInput, match=r"3 of 16000 samples, the first at 0\.500 s"):
        covarep_rows(sound, RATE)
