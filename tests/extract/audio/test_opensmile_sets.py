import numpy as np
import opensmile
import pytest

from affectflow.cache.errors import BadCall, BadInput, NoAudio, UnknownName
from affectflow.extract.audio import opensmile_run
from affectflow.extract.audio.egemaps import COLUMNS, Egemaps
from affectflow.extract.audio.opensmile_sets import LEVELS, RATE, SETS, OpenSmile
from affectflow.extract.clip import Clip, Waveform

#: Columns of each set: descriptors, derivatives (None: it has none), functionals.
SIZES = {
    "eGeMAPSv02": (25, None, 88),
    "GeMAPSv01b": (18, None, 62),
    "ComParE_2016": (65, 65, 6373),
    "emobase": (26, 26, 988),
    "IS09": (16, 16, 384),
    "IS10": (38, 38, 1582),
}
#: Every eighth of the columns: of row 20, or of the functionals.
# fmt: off
GOLDEN = {
    ("eGeMAPSv02", "lld"):
        [1.1568, 0.036401, 30.316, 10.158, 0.22604, 16.074, -73.823, -78.935],
    ("eGeMAPSv02", "functionals"):
        [28.798, 0.65313, 14.791, 1.8097, -97.926, 0.13696, 0.21364, 1.3497],
    ("GeMAPSv01b", "lld"):
        [1.1568, 21.38, -0.015523, 0.0038747, 6.8605, 16.074, 1442.5, 1637.6],
    ("GeMAPSv01b", "functionals"):
        [28.798, 8.2698, 1.4081, 0.44636, 23.376, -0.91262, -103.92, 0.60475],
    ("ComParE_2016", "lld"):
        [172.28, 0.091569, 0.82986, 1.2644, 1.1486, 375, -0.21035, 7.1959],
    ("ComParE_2016", "delta"):
        [0, -0.02825, -0.11125, -0.15526, 0.010601, 633.33, 0.10013, -1.8848],
    ("ComParE_2016", "functionals"):
        [1.2778, 0.050761, 24.404, 0.70051, 0.040609, 6.5008e-05, 0.999, 19.44],
    ("emobase", "lld"):
        [1.0619e-05, -14.731, -18.012, -15.78, -12.511, 0.61269, 1.4641, 2.7694],
    ("emobase", "delta"):
        [-1.7597e-06, 3.6267, 4.1594, 3.6374, 0.74255, 0.041671, 0.12234, -0.0085266],
    ("emobase", "functionals"):
        [4.3929e-05, 108.51, 11.121, 0.085539, 15.122, 0.19029, 0.70796, -3.1525e-05],
    ("IS09", "lld"):
        [0.012257, -7.6799, 0.28166, -1.7118, -9.8396, -6.1757, -1.4381, 0.54171],
    ("IS09", "delta"):
        [-0.00391, 1.7976, -0.48856, -0.17108, 2.2899, 1.2389, 0.29782, -0.11443],
    ("IS09", "functionals"):
        [0.02005, 9.1982, 6.8856, 5.7633, 0.00402, 2.592, 2.5925, 1.7538],
    ("IS10", "lld"):
        [1.5058, -0.68032, -0.81663, -9.0401, -0.20299, 0.80145, 0.32974, 1.5226],
    ("IS10", "delta"):
        [-0.14419, -0.93252, -0.40733, -0.11575, -1.6413, -1.1905, 0.037075, 0.058618],
    ("IS10", "functionals"):
        [110, 0.53841, -6.082, 0.00025498, -0.058127, 0.020833, 0.042883, 0.0068626],
}
# fmt: on
ALONE = ("lld", "delta", "functionals")
CHOICES = [
    (name, level)
    for name, sizes in SIZES.items()
    for level, size in zip(ALONE, sizes, strict=True)
    if size
]


def clip_of(samples):
    clip = Clip("v/1", media="not read")
    clip._audio[RATE] = Waveform(np.asarray(samples, np.float32), RATE)
    return clip


def speech(seconds=2.0):
    """Harmonics of a gliding pitch in syllables, with breath between them, (n,) float32."""
    times = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(140 + 40 * np.sin(2 * np.pi * 0.7 * times)) / RATE
    voice = sum(np.sin(k * phase) / k for k in range(1, 20))
    syllables = np.clip(3 * np.sin(2 * np.pi * 2.2 * times), 0, 1)
    breath = np.random.default_rng(0).standard_normal(len(times))
    return (0.15 * voice * syllables + 0.004 * breath).astype(np.float32)


def table(feature_set, level, samples):
    """What the package opensmile gives when called directly."""
    smile = opensmile.Smile(
        opensmile.FeatureSet[feature_set], opensmile.FeatureLevel[LEVELS[level][0]]
    )
    return smile.process_signal(samples, RATE)


def test_every_set_is_tested():
    assert set(SIZES) == set(SETS)


@pytest.mark.parametrize(("feature_set", "level"), CHOICES)
def test_numbers_names_and_times_are_opensmiles_own(feature_set, level):
    features = OpenSmile(feature_set, level)(clip_of(speech()))
    direct = table(feature_set, level, speech())
    assert features.columns == tuple(direct.columns)
    assert features.values.dtype == np.float32
    np.testing.assert_array_equal(features.values, direct.to_numpy())
    starts, ends = (
        direct.index.get_level_values(name).total_seconds() for name in ("start", "end")
    )
    # openSMILE's times are not to be had at the end of the sound: it repeats some, and the package
    # sets the last row's end to that of the sound
    n = max(1, len(features) - 5)
    np.testing.assert_allclose(features.times[:n, 0], starts[:n], atol=1e-6)
    np.testing.assert_allclose(features.times[:n, 1], ends[:n], atol=1e-6)


@pytest.mark.parametrize(("feature_set", "level"), CHOICES)
def test_sizes_are_those_of_the_docstring(feature_set, level):
    size = SIZES[feature_set][ALONE.index(level)]
    spec = OpenSmile(feature_set, level).spec["values"]
    assert spec.shape == (size,)
    assert len(set(spec.columns)) == size
    line = next(x for x in OpenSmile.__doc__.split("\n") if f"``{feature_set}``" in x)
    assert line.split()[1 + ALONE.index(level)] == str(size)


def test_derivatives_stand_beside_the_descriptors_of_their_row():
    features = OpenSmile("emobase", "lld+delta").extract(clip_of(speech()))
    values, slopes = features.values[:, :26], features.values[:, 26:]
    assert features.values.shape == (2 + (2 * RATE - 640) // 160, 52)
    assert features.columns[26] == features.columns[0] + "_de"
    padded = np.pad(values, ((2, 2), (0, 0)), mode="edge")
    n = len(values)
    line = sum(k * (padded[2 + k : n + 2 + k] - padded[2 - k : n + 2 - k]) for k in (1, 2)) / 10
    np.testing.assert_allclose(slopes[3:-3], line[3:-3], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("feature_set", SETS)
def test_rows_follow_from_the_duration(feature_set):
    least = SETS[feature_set].least
    for n_samples in (least, least + 159, least + 160, 8000):
        features = OpenSmile(feature_set, "lld").extract(clip_of(speech()[:n_samples]))
        assert len(features) == 2 + (n_samples - least) // 160
        np.testing.assert_allclose(np.diff(features.times[:, 0]), 0.010, atol=1e-9)
        assert np.isfinite(features.values).all()


def test_functionals_are_one_row_for_the_utterance():
    features = OpenSmile().extract(clip_of(speech(1.5)))
    assert features.values.shape == (1, 88)
    np.testing.assert_array_equal(features.times, [[0.0, 1.5]])
    assert OpenSmile().spec["values"].hop is None
    assert OpenSmile(level="lld").spec["values"].hop == 0.010


@pytest.mark.parametrize(("pitch", "semitones"), [(110.0, 24), (220.0, 36)])
def test_mean_pitch_is_in_semitones_from_27_5_hz(pitch, semitones):
    times = np.arange(RATE) / RATE
    sound = 0.1 * sum(np.sin(2 * np.pi * k * pitch * times) / k for k in range(1, 10))
    features = OpenSmile().extract(clip_of(sound))
    mean = features.values[0, features.columns.index("F0semitoneFrom27.5Hz_sma3nz_amean")]
    assert mean == pytest.approx(semitones, abs=0.1)


def test_the_descriptors_of_egemaps_are_those_of_the_extractor_of_that_name():
    mine = OpenSmile("eGeMAPSv02", "lld").extract(clip_of(speech()))
    other = Egemaps().extract(clip_of(speech()))
    assert mine.columns == COLUMNS
    np.testing.assert_array_equal(mine.values, other.values)
    np.testing.assert_allclose(mine.times, other.times, atol=1e-9)


@pytest.mark.parametrize("feature_set", SETS)
@pytest.mark.parametrize("level", ["lld", "functionals"])
def test_silence_is_well_defined(feature_set, level):
    clip = clip_of(np.zeros(RATE))
    features = OpenSmile(feature_set, level).extract(clip)
    assert np.isfinite(features.values).all()
    assert clip.warnings == ["the sound is zero throughout (1.00 s)"]


def test_sound_in_pieces_is_the_same_as_whole(monkeypatch):
    whole = OpenSmile("ComParE_2016", "lld").extract(clip_of(speech())).values
    monkeypatch.setattr(opensmile_run, "_PIECE", 1000)
    pieces = OpenSmile("ComParE_2016", "lld").extract(clip_of(speech())).values
    np.testing.assert_array_equal(pieces, whole)


def test_sound_beyond_full_scale_saturates_instead_of_wrapping():
    square = np.where(np.arange(RATE) // 40 % 2, 1.0, -1.0)  # 200 Hz
    at_full, beyond = (OpenSmile().extract(clip_of(a * square)).values for a in (1, 1.4))
    np.testing.assert_array_equal(at_full, beyond)


@pytest.mark.parametrize("feature_set", SETS)
def test_sound_without_a_row_is_refused(feature_set):
    for n_samples in (0, 1, SETS[feature_set].least - 1):
        with pytest.raises(BadInput, match="'opensmile' needs at least .* ms of sound, 'v/1' has"):
            OpenSmile(feature_set).extract(clip_of(speech()[:n_samples]))


def test_sound_for_which_opensmile_needs_too_much_memory_is_refused():
    with pytest.raises(
        BadInput, match="takes 12 minutes of sound for emobase .* 'v/1' has 13.0; cut"
    ):
        OpenSmile("emobase").extract(clip_of(np.ones(13 * 60 * RATE)))


def test_a_clip_without_sound_is_refused():
    with pytest.raises(NoAudio, match="'v/1' has no media file"):
        OpenSmile().extract(Clip("v/1"))


def test_an_unknown_set_or_level_is_named_with_the_nearest_known():
    with pytest.raises(
        UnknownName, match="feature_set 'compare_2016' of 'opensmile'. Did you mean"
    ):
        OpenSmile("compare_2016")
    with pytest.raises(
        UnknownName, match="level 'func' of 'opensmile'. Did you mean 'functionals'"
    ):
        OpenSmile(level="func")
    for level in ("delta", "lld+delta"):
        with pytest.raises(
            BadCall, match="GeMAPSv01b has no derivatives; its levels are 'lld' and"
        ):
            OpenSmile("GeMAPSv01b", level)


def test_the_licence_is_said():
    assert "not commercial" in OpenSmile.licence
    assert OpenSmile.licence == Egemaps.licence


def test_version_1_gives_these_numbers():
    """Values of the voice above (opensmile 2.6). Other numbers: raise the version."""
    assert OpenSmile.version == 1
    for (feature_set, level), wanted in GOLDEN.items():
        row = OpenSmile(feature_set, level).extract(clip_of(speech())).values
        row = row[20 if len(row) > 1 else 0]
        np.testing.assert_allclose(
            row[:: len(row) // 8][:8], wanted, rtol=2e-3, err_msg=feature_set
        )
