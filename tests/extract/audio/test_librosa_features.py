import numpy as np
import pytest

from affectflow.cache.errors import BadCall, BadInput, NoAudio, UnknownName
from affectflow.extract.audio import spectra
from affectflow.extract.audio.librosa_features import KNOWN, Librosa
from affectflow.extract.audio.load_librosa import load_librosa
from affectflow.extract.audio.spectra import NOTES, quiet
from affectflow.extract.clip import Clip, Waveform

librosa = load_librosa()

RATE = 22050
#: What librosa gives when called directly, by our name; (columns, T).
DIRECT = {
    "zcr": lambda y: librosa.feature.zero_crossing_rate(y),
    "rms": lambda y: librosa.feature.rms(y=y),
    "logmel": lambda y: librosa.power_to_db(librosa.feature.melspectrogram(y=y, sr=RATE)),
    "mfcc": lambda y: librosa.feature.mfcc(y=y, sr=RATE),
    "mfcc_delta": lambda y: librosa.feature.delta(librosa.feature.mfcc(y=y, sr=RATE)),
    "mfcc_delta2": lambda y: librosa.feature.delta(librosa.feature.mfcc(y=y, sr=RATE), order=2),
    "chroma_stft": lambda y: librosa.feature.chroma_stft(y=y, sr=RATE),
    "chroma_cqt": lambda y: librosa.feature.chroma_cqt(y=y, sr=RATE),
    "spectral_centroid": lambda y: librosa.feature.spectral_centroid(y=y, sr=RATE),
    "spectral_bandwidth": lambda y: librosa.feature.spectral_bandwidth(y=y, sr=RATE),
    "spectral_rolloff": lambda y: librosa.feature.spectral_rolloff(y=y, sr=RATE),
    "spectral_flatness": lambda y: librosa.feature.spectral_flatness(y=y),
    "spectral_contrast": lambda y: librosa.feature.spectral_contrast(y=y, sr=RATE),
    "tempogram": lambda y: librosa.feature.tempogram(y=y, sr=RATE),
    "f0_pyin": lambda y: np.stack(
        librosa.pyin(y, fmin=60, fmax=600, sr=RATE, fill_na=0.0, frame_length=2048)
    ),
}


def clip_of(samples, rate=RATE):
    clip = Clip("v/1", media="not read")
    clip._audio[rate] = Waveform(np.asarray(samples, np.float32), rate)
    return clip


def sine(frequency, seconds=3.0, rate=RATE):
    times = np.arange(round(seconds * rate)) / rate
    return 0.5 * np.sin(2 * np.pi * frequency * times)


def speech(seconds=4.0, rate=RATE):
    """Harmonics of a gliding pitch in syllables, with breath between them, (n,) float32."""
    times = np.arange(round(seconds * rate)) / rate
    pitch = 140 + 40 * np.sin(2 * np.pi * 0.7 * times)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    voice = sum(np.sin(k * phase) / k for k in range(1, 20))
    syllables = np.clip(3 * np.sin(2 * np.pi * 2.2 * times), 0, 1)
    breath = np.random.default_rng(0).standard_normal(len(times))
    return (0.15 * voice * syllables + 0.004 * breath).astype(np.float32)


def measured(samples, *features, **settings):
    return Librosa(features=features, **settings).extract(clip_of(samples))


def test_every_feature_is_compared_with_librosa():
    assert set(DIRECT) == set(KNOWN)


@pytest.mark.parametrize("feature", KNOWN)
def test_numbers_are_those_of_librosa_called_directly(feature):
    sound = speech()
    found = measured(sound, feature)
    with quiet():
        wanted = DIRECT[feature](sound).T
    assert found.values.shape == wanted.shape
    np.testing.assert_allclose(
        found.values, wanted, rtol=1e-6, atol=1e-6 * max(1.0, np.abs(wanted).max())
    )


@pytest.mark.parametrize("rate", [16000, 44100])
def test_numbers_are_librosas_at_other_settings_too(rate):
    sound = speech(2.0, rate)
    features = ("mfcc", "spectral_contrast", "f0_pyin")
    extractor = Librosa(
        features=features, rate=rate, n_hop=256, n_fft=4096, n_mfcc=13, n_mels=80, htk=True,
        f0_min=80, f0_max=400,
    )  # fmt: skip
    values = extractor.extract(clip_of(sound, rate)).values
    size = {"n_fft": 4096, "hop_length": 256, "sr": rate}
    mfcc = librosa.feature.mfcc(y=sound, n_mfcc=13, n_mels=80, htk=True, **size)
    contrast = librosa.feature.spectral_contrast(y=sound, **size)
    pitch = librosa.pyin(
        sound, sr=rate, fmin=80, fmax=400, frame_length=4096, hop_length=256, fill_na=0.0
    )
    wanted = np.concatenate([mfcc, contrast, np.stack(pitch)]).T
    np.testing.assert_allclose(values, wanted, rtol=1e-5, atol=1e-3)


def test_columns_have_names_in_the_order_asked_for():
    extractor = Librosa(features=["f0_pyin", "mfcc_delta", "chroma_stft", "rms"], n_mfcc=2)
    assert extractor.spec["values"].columns == (
        *("f0", "voiced", "voiced_probability"),
        *("mfcc_delta_0", "mfcc_delta_1"),
        *(f"chroma_stft_{note}" for note in NOTES),
        "rms",
    )
    features = extractor.extract(clip_of(speech(1.0)))
    assert features.columns == extractor.spec["values"].columns
    assert features.values.dtype == np.float32


@pytest.mark.parametrize("pitch", [82.0, 147.0, 440.0])
def test_f0_of_a_known_pitch(pitch):
    times = np.arange(2 * RATE) / RATE
    sound = 0.1 * sum(np.sin(2 * np.pi * k * pitch * times) / k for k in range(1, 10))
    f0, voiced, likely = measured(sound, "f0_pyin").values[5:-5].T
    np.testing.assert_allclose(f0, pitch, rtol=2 ** (0.06 / 12) - 1)  # bins of a tenth semitone
    assert (voiced == 1).all()
    assert likely.min() > 0.5


def test_unvoiced_rows_are_real_and_say_so():
    sound = speech()
    sound[: RATE // 2] = 0
    features = measured(sound, "f0_pyin")
    f0, voiced, likely = features.values.T
    assert features.mask.all()
    assert np.isfinite(features.values).all()
    assert set(voiced) == {0.0, 1.0}
    np.testing.assert_array_equal(f0 > 0, voiced == 1)
    np.testing.assert_array_equal(voiced[:15], 0)
    assert ((likely >= 0) & (likely <= 1)).all()


def test_sound_without_a_voiced_row_is_said():
    clip = clip_of(np.zeros(RATE))
    Librosa(features=("f0_pyin",)).extract(clip)
    assert clip.warnings == [
        "the sound is zero throughout (1.00 s)",
        "'librosa' found no voiced row, so f0 is 0 throughout",
    ]
    clip = clip_of(speech(1.0))
    Librosa(features=("f0_pyin",)).extract(clip)
    assert clip.warnings == []


@pytest.mark.parametrize("kind", ["chroma_stft", "chroma_cqt"])
@pytest.mark.parametrize(("frequency", "note"), [(440.0, "A"), (261.63, "C"), (369.99, "F#")])
def test_a_pure_tone_has_the_chroma_of_its_note(kind, frequency, note):
    chroma = measured(sine(frequency), kind).values[20:-20]
    assert {NOTES[i] for i in chroma.argmax(axis=1)} == {note}
    np.testing.assert_array_equal(chroma.max(axis=1), 1)


def test_spectrum_of_a_pure_tone_lies_at_its_frequency():
    values = measured(
        sine(1000.0), "spectral_centroid", "spectral_bandwidth", "spectral_rolloff", "rms"
    ).values[5:-5]
    centre, width, edge, level = values.mean(axis=0)
    assert centre == pytest.approx(1000, abs=5)
    assert width < 60
    assert edge == pytest.approx(1000, abs=1.5 * RATE / 2048)  # bins
    assert level == pytest.approx(0.5 / np.sqrt(2), rel=0.01)


def test_silence_is_well_defined():
    extractor = Librosa(features=KNOWN)
    features = extractor.extract(clip_of(np.zeros(RATE)))
    assert np.isfinite(features.values).all()
    found = dict(zip(features.columns, features.values.T, strict=True))
    np.testing.assert_allclose(found["mfcc_0"], -100 * np.sqrt(128), rtol=1e-6)
    np.testing.assert_allclose(found["mfcc_5"], 0, atol=1e-3)
    np.testing.assert_allclose(found["logmel_0"], -100, rtol=1e-6)
    for name in ("zcr", "rms", "chroma_cqt_A", "spectral_centroid", "spectral_contrast_3", "f0"):
        np.testing.assert_array_equal(found[name], 0)


def test_sound_moved_by_whole_hops_moves_rows():
    features = ("rms", "mfcc", "spectral_centroid", "spectral_contrast", "chroma_stft")
    sound, rest = speech(2.0), 1e-3 * np.random.default_rng(1).standard_normal(20 * 512)
    plain = measured(np.concatenate([sound, rest]), *features)
    moved = measured(np.concatenate([rest, sound]), *features)
    np.testing.assert_allclose(moved.values[24:100], plain.values[4:80], rtol=1e-3, atol=2e-2)


@pytest.mark.parametrize("n_samples", [2048, 2559, 2560, 22050])
@pytest.mark.parametrize("n_hop", [512, 320, 64])
def test_rows_follow_from_the_duration(n_samples, n_hop):
    extractor = Librosa(features=("zcr", "logmel", "chroma_stft", "tempogram"), n_hop=n_hop)
    features = extractor.extract(clip_of(speech()[:n_samples]))
    assert len(features) == 1 + n_samples // n_hop
    assert extractor.spec["values"].hop == pytest.approx(n_hop / RATE)
    np.testing.assert_allclose(features.times.mean(axis=1), np.arange(len(features)) * n_hop / RATE)


@pytest.mark.parametrize("feature", KNOWN)
def test_long_sound_in_blocks_is_the_same_as_whole(feature, monkeypatch):
    sound = speech(7.0)
    whole = measured(sound, feature).values
    for module in ("spectra", "pitch"):
        monkeypatch.setattr(f"affectflow.extract.audio.{module}.BLOCK", 3)
    pieces = measured(sound, feature).values
    spread = np.ptp(whole, axis=0).max()
    np.testing.assert_allclose(pieces, whole, rtol=0, atol=1e-5 * spread)
    if feature in ("zcr", "rms", "f0_pyin", "spectral_centroid"):
        np.testing.assert_array_equal(pieces, whole)


def test_pieces_are_bounded_whatever_the_length(monkeypatch):
    sizes = []
    real = librosa.stft
    monkeypatch.setattr(librosa, "stft", lambda y, **k: (sizes.append(len(y)), real(y, **k))[1])
    monkeypatch.setattr(spectra, "BLOCK", 2)
    measured(speech(9.0), "mfcc")
    assert len(sizes) == 5
    assert max(sizes) <= 2 * RATE + 2048


def test_the_same_sound_gives_the_same_bits():
    first, again = (measured(speech(2.0), *KNOWN).values for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_sound_shorter_than_a_window_is_refused():
    for n_samples in (0, 1, 2047):
        with pytest.raises(BadInput, match="'librosa' needs at least 93 ms of sound, 'v/1' has"):
            measured(np.zeros(n_samples), "zcr")


def test_too_few_rows_for_a_derivative_are_refused():
    with pytest.raises(BadInput, match="derivatives need 9 rows, 'v/1' has 8; lower n_delta"):
        measured(speech()[: 7 * 512 + 100], "mfcc_delta")


def test_a_clip_without_sound_is_refused():
    with pytest.raises(NoAudio, match="'v/1' has no media file"):
        Librosa().extract(Clip("v/1"))


def test_an_unknown_feature_is_named_with_the_nearest_known():
    with pytest.raises(UnknownName, match="feature 'mfc' of 'librosa'. Did you mean 'mfcc'?"):
        Librosa(features=("mfc",))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"features": ()}, "must name each wanted one once"),
        ({"features": ("zcr", "zcr")}, "must name each wanted one once"),
        ({"features": ("zcr",), "rate": 100}, "rate must be at least 1000 Hz, not 100"),
        ({"features": ("chroma_cqt",), "rate": 8000}, "rate must be at least 9000 Hz, not 8000"),
        ({"features": ("spectral_contrast",), "rate": 8000}, "at least 12801 Hz, not 8000"),
        ({"n_fft": 2047}, "n_fft must be even and at least 16, not 2047"),
        ({"n_hop": 0}, r"n_hop must be from 1 to n_fft \(2048\) samples, not 0"),
        ({"n_hop": 500}, "'chroma_cqt' needs an n_hop that is a multiple of 64, not 500"),
        ({"n_mfcc": 129}, r"n_mfcc must be from 1 to n_mels \(128\), not 129"),
        ({"floor": 0}, "floor must be above 0 dB"),
        ({"n_delta": 8}, "n_delta must be odd and at least 3, not 8"),
        ({"n_tempogram": 1}, "n_tempogram must be at least 2, not 1"),
        ({"features": ("f0_pyin",), "f0_min": 700}, "in this order between 0 and 11025 Hz"),
        ({"features": ("f0_pyin",), "f0_min": 0}, "in this order between 0 and 11025 Hz"),
        ({"features": ("f0_pyin",), "f0_min": 20}, "must be at least 2206, not 2048"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(BadCall, match=message):
        Librosa(**settings)


def test_the_least_settings_that_pass_are_usable():
    for settings in (
        {"features": ("chroma_cqt",), "rate": 9000},
        {"features": ("spectral_contrast",), "rate": 12801},
        {"features": ("f0_pyin",), "f0_min": 20.0, "n_fft": 2206},
    ):
        extractor = Librosa(**settings)
        clip = clip_of(speech(1.0, extractor.rate), extractor.rate)
        assert np.isfinite(extractor.extract(clip).values).all()


def test_more_mel_bands_than_the_window_tells_apart_are_refused():
    with pytest.raises(BadCall, match="128 mel bands are more than 256 samples at 22050 Hz"):
        measured(speech(1.0), "logmel", n_fft=256, n_hop=256)


def test_version_1_gives_these_numbers():
    """Row 40 of the voice above (librosa 0.11). Other numbers: raise the version."""
    assert Librosa.version == 1
    row = Librosa(features=KNOWN, n_mfcc=2, n_mels=64).extract(clip_of(speech())).values[40]
    columns = Librosa(features=KNOWN, n_mfcc=2, n_mels=64).spec["values"].columns
    found = dict(zip(columns, row, strict=True))
    golden = {
        "zcr": 0.164062,
        "rms": 0.0995488,
        "logmel_0": 5.87797,
        "logmel_20": -1.51013,
        "mfcc_0": -113.529,
        "mfcc_1": 117.493,
        "mfcc_delta_1": 18.1094,
        "mfcc_delta2_1": -6.14386,
        "chroma_stft_C#": 0.132083,
        "chroma_cqt_C#": 0.088845,
        "chroma_cqt_D": 0.0451714,
        "spectral_centroid": 1354.33,
        "spectral_bandwidth": 2203.95,
        "spectral_rolloff": 1916.46,
        "spectral_flatness": 0.00243173,
        "spectral_contrast_0": 33.5528,
        "spectral_contrast_6": 11.2037,
        "tempogram_20": 0.799925,
        "f0": 105.68,
        "voiced": 1,
        "voiced_probability": 0.206507,
    }
    np.testing.assert_allclose(
        [found[name] for name in golden], list(golden.values()), rtol=1e-3, atol=1e-4
    )
