import numpy as np
import pytest

from affectflow.cache.errors import BadInput, NoAudio
from affectflow.extract.audio.egemaps import COLUMNS, RATE, Egemaps
from affectflow.extract.clip import Clip, Waveform


def clip_of(samples):
    clip = Clip("v/1", media="not read")
    clip._audio[RATE] = Waveform(np.asarray(samples, np.float32), RATE)
    return clip


def voice(seconds=1.0, pitch=220.0, level=0.2):
    times = np.arange(round(seconds * RATE)) / RATE
    return level * sum(np.sin(2 * np.pi * k * pitch * times) / k for k in range(1, 12))


def column(features, name):
    return features.values[:, COLUMNS.index(name)]


def test_a_clip_gets_25_named_columns(tone_wav):
    features = Egemaps()(tone_wav)
    assert features.values.shape == (196, 25)
    assert features.values.dtype == np.float32
    assert features.columns == COLUMNS


def test_names_and_times_are_opensmiles_own():
    import opensmile

    smile = opensmile.Smile(
        feature_set=opensmile.FeatureSet.eGeMAPSv02,
        feature_level=opensmile.FeatureLevel.LowLevelDescriptors,
    )
    table = smile.process_signal(voice().astype(np.float32), RATE)
    features = Egemaps().extract(clip_of(voice()))
    assert tuple(table.columns) == COLUMNS
    np.testing.assert_array_equal(features.values, table.to_numpy())
    starts = table.index.get_level_values("start").total_seconds()
    ends = table.index.get_level_values("end").total_seconds()
    np.testing.assert_allclose(features.times[:, 0], starts, atol=1e-6)
    # the wrapper sets the last row's end to that of the file
    np.testing.assert_allclose(features.times[:-1, 1], ends[:-1], atol=1e-6)


@pytest.mark.parametrize(("pitch", "semitones"), [(110.0, 24), (220.0, 36), (440.0, 48)])
def test_pitch_is_in_semitones_from_27_5_hz(pitch, semitones):
    found = column(Egemaps().extract(clip_of(voice(pitch=pitch))), "F0semitoneFrom27.5Hz_sma3nz")
    assert np.median(found) == pytest.approx(semitones, abs=0.1)


@pytest.mark.parametrize("n_samples", [960, 961, 1600, 16000, 16159, 16160, 20000])
def test_rows_follow_from_the_duration(n_samples):
    features = Egemaps().extract(clip_of(voice(2)[:n_samples]))
    assert len(features) == 2 + (n_samples - 960) // 160
    assert np.isfinite(features.values).all()


def test_sound_moved_by_whole_hops_moves_rows():
    sound, rest = voice(), np.zeros(1600)
    plain = Egemaps().extract(clip_of(np.concatenate([sound, rest])))
    moved = Egemaps().extract(clip_of(np.concatenate([rest, sound])))
    columns = [0, 1, 2, 6, 7, 10]  # loudness, slopes, mfcc, pitch
    np.testing.assert_allclose(
        moved.values[20:90, columns], plain.values[10:80, columns], rtol=1e-3, atol=1e-3
    )


def test_silence_is_well_defined():
    features = Egemaps().extract(clip_of(np.zeros(RATE)))
    assert np.isfinite(features.values).all()
    np.testing.assert_array_equal(column(features, "F0semitoneFrom27.5Hz_sma3nz"), 0)
    np.testing.assert_array_equal(column(features, "F1amplitudeLogRelF0_sma3nz"), -201)
    assert column(features, "Loudness_sma3").max() < 0.01


def test_louder_is_louder():
    quiet, loud = (Egemaps().extract(clip_of(voice(level=a))) for a in (0.05, 0.2))
    assert np.all(column(loud, "Loudness_sma3") > column(quiet, "Loudness_sma3"))


def test_sound_beyond_full_scale_saturates_instead_of_wrapping():
    square = np.where(np.arange(RATE) // 40 % 2, 1.0, -1.0)  # 200 Hz
    at_full = Egemaps().extract(clip_of(square)).values
    beyond = Egemaps().extract(clip_of(1.4 * square)).values
    np.testing.assert_array_equal(at_full, beyond)


def test_the_same_sound_gives_the_same_bits():
    first, again = (Egemaps().extract(clip_of(voice())).values for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_sound_shorter_than_the_longest_window_is_refused():
    with pytest.raises(BadInput, match="'egemaps' needs at least 60 ms of sound, 'v/1' has 50 ms"):
        Egemaps().extract(clip_of(np.zeros(800)))


def test_a_clip_without_sound_is_refused():
    with pytest.raises(NoAudio, match="'v/1' has no media file"):
        Egemaps().extract(Clip("v/1"))


def test_version_1_gives_these_numbers():
    """Row 20 of a voice of 220 Hz (opensmile 2.6). Other numbers: raise the version."""
    assert Egemaps.version == 1
    row = Egemaps().extract(clip_of(voice())).values[20]
    np.testing.assert_allclose(
        row[[0, 1, 2, 6, 10, 13, 16, 19, 22]],
        [1.5823, -10.2474, 20.2703, 55.2592, 36.02, 14.0352, 811.451, 1616.58, 2757.52],
        rtol=2e-3,
    )
