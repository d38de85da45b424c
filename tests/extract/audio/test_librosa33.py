import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from affectflow.cache.errors import BadCall, BadInput, NoAudio
from affectflow.extract.audio.librosa33 import RATE, Librosa33
from affectflow.extract.audio.load_librosa import load_librosa
from affectflow.extract.audio.spectra import NOTES, quiet
from affectflow.extract.clip import Clip, Waveform
from affectflow.extract.registry import extractor


def clip_of(samples):
    clip = Clip("v/1", media="not read")
    clip._audio[RATE] = Waveform(np.asarray(samples, np.float32), RATE)
    return clip


def sine(frequency, seconds=3.0):
    times = np.arange(round(seconds * RATE)) / RATE
    return 0.5 * np.sin(2 * np.pi * frequency * times)


def voice(seconds=1.0, pitch=220.0):
    times = np.arange(round(seconds * RATE)) / RATE
    return 0.2 * sum(np.sin(2 * np.pi * k * pitch * times) / k for k in range(1, 12))


def column(features, name):
    return features.values[:, features.columns.index(name)]


def test_there_are_33_named_columns(tone_wav):
    features = Librosa33()(tone_wav)
    assert features.values.shape == (1 + 44100 // 512, 33)
    assert features.values.dtype == np.float32
    assert features.columns[:2] == ("zcr", "mfcc_0")
    assert features.columns[20:22] == ("mfcc_19", "chroma_cqt_C")
    assert features.columns[-1] == "chroma_cqt_B"


@pytest.mark.parametrize("settings", [{}, {"n_hop": 256, "n_mfcc": 13, "htk": False}])
def test_numbers_are_those_of_librosa_called_directly(settings):
    librosa = load_librosa()
    breath = np.random.default_rng(0).standard_normal(3 * RATE)
    sound = (voice(3.0) * np.repeat([1, 0.1, 0.6], RATE) + 0.003 * breath).astype(np.float32)
    asked = {"n_hop": 512, "n_mfcc": 20, "htk": True, **settings}
    hop = {"hop_length": asked["n_hop"]}
    with quiet():
        wanted = np.concatenate(
            [
                librosa.feature.zero_crossing_rate(sound, **hop),
                librosa.feature.mfcc(
                    y=sound, sr=RATE, n_mfcc=asked["n_mfcc"], htk=asked["htk"], **hop
                ),
                librosa.feature.chroma_cqt(y=sound, sr=RATE, **hop),
            ]
        ).T
    found = Librosa33(**settings).extract(clip_of(sound))
    np.testing.assert_allclose(found.values, wanted, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize(("frequency", "note"), [(440.0, "A"), (261.63, "C"), (369.99, "F#")])
def test_a_sine_has_the_chroma_of_its_note(frequency, note):
    features = Librosa33().extract(clip_of(sine(frequency)))
    chroma = features.values[20:-20, -12:]
    assert {NOTES[i] for i in chroma.argmax(axis=1)} == {note}
    np.testing.assert_array_equal(chroma.max(axis=1), 1)


def test_zero_crossings_are_two_a_period():
    crossings = column(Librosa33().extract(clip_of(sine(1000.0))), "zcr")
    np.testing.assert_allclose(crossings[5:-5], 2 * 1000 / RATE, atol=1.5 / 2048)


def test_the_first_mfcc_is_loudness():
    quiet, loud = (Librosa33().extract(clip_of(a * voice())) for a in (0.1, 1.0))
    step = column(loud, "mfcc_0") - column(quiet, "mfcc_0")
    np.testing.assert_allclose(step, 20 * np.sqrt(128), rtol=1e-3)  # 20 dB in 128 bands, ortho


@pytest.mark.parametrize("n_samples", [2048, 2559, 2560, 5000, 22050, 70000])
@pytest.mark.parametrize("n_hop", [512, 256])
def test_rows_follow_from_the_duration(n_samples, n_hop):
    rng = np.random.default_rng(0)
    features = Librosa33(n_hop=n_hop).extract(clip_of(0.1 * rng.standard_normal(n_samples)))
    assert len(features) == 1 + n_samples // n_hop
    assert np.isfinite(features.values).all()


def test_times_are_a_hop_around_each_rows_instant(tone_wav):
    features = Librosa33()(tone_wav)
    hop = 512 / RATE
    np.testing.assert_allclose(features.times.mean(axis=1), np.arange(87) * hop, atol=1e-12)
    np.testing.assert_allclose(features.times[1:, 0], features.times[:-1, 1])
    assert Librosa33().spec["values"].hop == pytest.approx(hop)


def test_a_click_stands_in_the_row_of_its_time():
    sound = np.zeros(3 * RATE)
    sound[round(1.5 * RATE)] = 0.9
    features = Librosa33().extract(clip_of(sound))
    loud = features.times[column(features, "mfcc_0") > -1000]
    assert loud.mean() == pytest.approx(1.5, abs=0.03)


def test_sound_moved_by_whole_hops_moves_rows():
    sound, rest = voice(), np.zeros(10 * 512)
    plain = Librosa33().extract(clip_of(np.concatenate([sound, rest])))
    moved = Librosa33().extract(clip_of(np.concatenate([rest, sound])))
    np.testing.assert_allclose(
        moved.values[15:45, :21], plain.values[5:35, :21], rtol=1e-4, atol=1e-2
    )


def test_silence_is_well_defined():
    features = Librosa33().extract(clip_of(np.zeros(RATE)))
    assert np.isfinite(features.values).all()
    np.testing.assert_array_equal(column(features, "zcr"), 0)
    np.testing.assert_allclose(column(features, "mfcc_0"), -100 * np.sqrt(128), rtol=1e-6)
    np.testing.assert_array_equal(features.values[:, -12:], 0)


def test_the_same_sound_gives_the_same_bits():
    first, again = (Librosa33().extract(clip_of(voice())).values for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_the_bits_do_not_depend_on_the_number_of_threads():
    noise = 0.1 * np.random.default_rng(0).standard_normal(10 * RATE)
    done = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads, user_api="blas"):
            done.append(Librosa33().extract(clip_of(noise)).values)
    np.testing.assert_array_equal(*done)


@pytest.mark.parametrize("name", ["librosa", "logmel-64"])
def test_nor_do_those_of_its_kin(name, tone_wav):
    done = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads, user_api="blas"):
            done.append(extractor(name)(tone_wav).values)
    np.testing.assert_array_equal(*done)


def test_sound_shorter_than_a_window_is_refused():
    with pytest.raises(
        BadInput, match=r"'librosa-33' needs at least 93 ms of sound, 'v/1' has 45 ms"
    ):
        Librosa33().extract(clip_of(np.zeros(1000)))


def test_a_clip_without_sound_is_refused():
    with pytest.raises(NoAudio, match="'v/1' has no media file"):
        Librosa33().extract(Clip("v/1"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_hop": 0}, "n_hop must be a multiple of 64 samples, not 0"),
        ({"n_hop": 500}, "n_hop must be a multiple of 64 samples, not 500"),
        ({"n_mfcc": 0}, "n_mfcc must be from 1 to 128, not 0"),
        ({"n_mfcc": 129}, "n_mfcc must be from 1 to 128, not 129"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(BadCall, match=message):
        Librosa33(**settings)


def test_settings_change_the_output():
    plain, slaney = (Librosa33(htk=htk).extract(clip_of(voice())) for htk in (True, False))
    assert np.abs(plain.values[:, 1:21] - slaney.values[:, 1:21]).max() > 1
    np.testing.assert_array_equal(plain.values[:, 21:], slaney.values[:, 21:])
    assert len(Librosa33(n_mfcc=13).spec["values"].columns) == 26


def test_version_1_gives_these_numbers():
    """Row 20 of a voice of 220 Hz (librosa 0.11). Other numbers: raise the version."""
    assert Librosa33.version == 1
    row = Librosa33().extract(clip_of(voice())).values[20]
    np.testing.assert_allclose(
        row[[0, 1, 2, 3, 4, 20, 21, 30, 32]],
        [0.02, -413.189, 157.627, -35.0003, -63.8021, 15.185, 0.0091, 1.0, 0.0252],
        rtol=1e-3,
        atol=2e-4,
    )
