import numpy as np
import pytest

from affectflow.cache.errors import BadCall, BadInput, NoAudio
from affectflow.extract.audio import spectra
from affectflow.extract.audio.load_librosa import load_librosa
from affectflow.extract.audio.logmel64 import LogMel64
from affectflow.extract.clip import Clip, Waveform

RATE = 16000


def clip_of(samples, rate=RATE):
    clip = Clip("v/1", media="not read")
    clip._audio[rate] = Waveform(np.asarray(samples, np.float32), rate)
    return clip


def speech(seconds=3.0, rate=RATE):
    """Harmonics of a gliding pitch in syllables, with breath between them, (n,) float32."""
    times = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(140 + 40 * np.sin(2 * np.pi * 0.7 * times)) / rate
    voice = sum(np.sin(k * phase) / k for k in range(1, 20))
    syllables = np.clip(3 * np.sin(2 * np.pi * 2.2 * times), 0, 1)
    breath = np.random.default_rng(0).standard_normal(len(times))
    return (0.15 * voice * syllables + 0.004 * breath).astype(np.float32)


def test_five_seconds_are_157_rows_of_64_bands():
    features = LogMel64().extract(clip_of(speech(5.0)))
    assert features.values.shape == (157, 64)
    assert features.values.dtype == np.float32
    assert features.columns == tuple(f"logmel_{i}" for i in range(64))
    np.testing.assert_allclose(features.times.mean(axis=1), np.arange(157) * 0.032, atol=1e-12)
    assert LogMel64().spec["values"].hop == pytest.approx(0.032)


@pytest.mark.parametrize(
    "settings", [{}, {"rate": 22050, "n_hop": 220, "n_fft": 1024, "htk": True}]
)
def test_numbers_are_those_of_librosa_called_directly(settings):
    extractor = LogMel64(**settings)
    sound = speech(3.0, extractor.rate)
    librosa = load_librosa()
    power = librosa.feature.melspectrogram(
        y=sound, sr=extractor.rate, n_mels=64, n_fft=extractor.n_fft,
        hop_length=extractor.n_hop, htk=extractor.htk,
    )  # fmt: skip
    found = extractor.extract(clip_of(sound, extractor.rate)).values
    np.testing.assert_allclose(found, librosa.power_to_db(power).T, rtol=1e-6, atol=1e-5)


def test_a_tone_is_loudest_in_the_band_of_its_frequency():
    times = np.arange(2 * RATE) / RATE
    features = LogMel64().extract(clip_of(0.5 * np.sin(2 * np.pi * 1000 * times)))
    bank = load_librosa().filters.mel(sr=RATE, n_fft=2048, n_mels=64)
    wanted = bank[:, 128].argmax()  # 1000 Hz is bin 128
    assert set(features.values[5:-5].argmax(axis=1)) == {wanted}


def test_silence_is_minus_100_db():
    np.testing.assert_allclose(LogMel64().extract(clip_of(np.zeros(RATE))).values, -100, rtol=1e-6)


def test_levels_follow_loudness_in_db():
    quiet, loud = (LogMel64().extract(clip_of(a * speech())).values for a in (0.1, 1.0))
    np.testing.assert_allclose(loud - quiet, 20, atol=1e-3)


def test_no_level_is_further_below_the_loudest_than_the_floor():
    sound = speech()
    sound[:RATE] = 0
    values = LogMel64(floor=40.0).extract(clip_of(sound)).values
    assert values.min() == values.max() - np.float32(40)


def test_sound_moved_by_whole_hops_moves_rows():
    sound, rest = speech(2.0), np.zeros(10 * 512)
    plain = LogMel64().extract(clip_of(np.concatenate([sound, rest])))
    moved = LogMel64().extract(clip_of(np.concatenate([rest, sound])))
    np.testing.assert_allclose(moved.values[14:60], plain.values[4:50], atol=1e-3)


def test_long_sound_in_blocks_is_the_same_as_whole(monkeypatch):
    sound = speech(9.0)
    whole = LogMel64().extract(clip_of(sound)).values
    monkeypatch.setattr(spectra, "BLOCK", 2)
    pieces = LogMel64().extract(clip_of(sound)).values
    np.testing.assert_allclose(pieces, whole, rtol=0, atol=1e-5 * np.ptp(whole))


def test_sound_shorter_than_a_window_is_refused():
    with pytest.raises(BadInput, match="'logmel-64' needs at least 128 ms of sound"):
        LogMel64().extract(clip_of(np.zeros(2047)))


def test_a_clip_without_sound_is_refused():
    with pytest.raises(NoAudio, match="'v/1' has no media file"):
        LogMel64().extract(Clip("v/1"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rate": 999}, "rate must be at least 1000 Hz, not 999"),
        ({"n_fft": 255}, "n_fft must be even and at least 256 samples, not 255"),
        ({"n_hop": 4096}, r"n_hop must be from 1 to n_fft \(2048\) samples, not 4096"),
        ({"floor": -1}, "floor must be above 0 dB, not -1"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(BadCall, match=message):
        LogMel64(**settings)


def test_version_1_gives_these_numbers():
    """Row 47 of the voice above (librosa 0.11). Other numbers: raise the version."""
    assert LogMel64.version == 1
    row = LogMel64().extract(clip_of(speech())).values[47]
    np.testing.assert_allclose(
        row[::9],
        [-28.0557, 12.3182, 1.77872, 0.187534, -5.39778, -28.4679, -26.9131, -29.2352],
        rtol=1e-4,
    )
