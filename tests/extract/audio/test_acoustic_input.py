"""The signal extractors on files as people have them: rates, channels, formats, faults."""

import re
import wave

import av
import numpy as np
import pytest

from affectflow.cache.errors import BadInput, InputWarning
from affectflow.extract.clip import Clip
from affectflow.extract.registry import extractor

EXTRACTORS = [
    ("librosa-33", {}),
    ("logmel-64", {}),
    ("librosa", {"features": ("mfcc", "rms", "f0_pyin")}),
    ("egemaps", {}),
    ("opensmile", {}),
    ("opensmile", {"feature_set": "ComParE_2016", "level": "lld+delta"}),
]
IDS = ["librosa-33", "logmel-64", "librosa", "egemaps", "opensmile", "opensmile-compare"]
every_extractor = pytest.mark.parametrize(("name", "settings"), EXTRACTORS, ids=IDS)


def voice(rate, seconds=1.0, level=0.1):
    times = np.arange(round(rate * seconds)) / rate
    return level * sum(np.sin(2 * np.pi * 150 * k * times) / k for k in range(1, 8))


def write_wav(path, sound, rate=16000, width=2):
    """Samples in [-1, 1], (n,) or (n, channels), as whole numbers of ``width`` bytes."""
    sound = np.atleast_2d(sound.T).T
    with wave.open(str(path), "wb") as file:
        file.setnchannels(sound.shape[1])
        file.setsampwidth(width)
        file.setframerate(rate)
        scaled = np.round(sound * (2 ** (8 * width - 1) - 1))
        kind = {1: np.uint8, 2: "<i2"}[width]
        file.writeframes((scaled + 128 * (width == 1)).astype(kind).tobytes())
    return path


def write_float(path, sound, rate=16000):
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_f32le", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(sound.astype(np.float32)[None], "flt", "mono")
        frame.sample_rate = rate
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@every_extractor
@pytest.mark.parametrize("rate", [8000, 48000])
def test_other_rates_of_the_file_give_the_same_rows_and_pitch(tmp_path, name, settings, rate):
    plain = extractor(name, **settings)(write_wav(tmp_path / "a.wav", voice(16000)))
    other = extractor(name, **settings)(write_wav(tmp_path / "b.wav", voice(rate), rate))
    assert other.values.shape == plain.values.shape
    assert np.isfinite(other.values).all()
    for column in ("f0", "F0final_sma", "F0semitoneFrom27.5Hz_sma3nz"):
        if column in plain.columns:
            k = plain.columns.index(column)
            found, wanted = (np.median(f.values[:, k]) for f in (other, plain))
            assert found == pytest.approx(wanted, rel=0.01)


@every_extractor
def test_six_channels_are_averaged(tmp_path, name, settings):
    sound = voice(16000)
    one = write_wav(tmp_path / "one.wav", sound)
    six = write_wav(tmp_path / "six.wav", np.repeat(sound[:, None], 6, axis=1))
    plain, other = (extractor(name, **settings)(path).values for path in (one, six))
    np.testing.assert_allclose(other, plain, rtol=1e-3, atol=1e-3 * np.abs(plain).max())


@every_extractor
def test_float_and_8_bit_files_are_read(tmp_path, name, settings):
    plain = extractor(name, **settings)(write_wav(tmp_path / "a.wav", voice(16000, level=0.3)))
    floats = extractor(name, **settings)(write_float(tmp_path / "f.wav", voice(16000, level=0.3)))
    coarse = extractor(name, **settings)(
        write_wav(tmp_path / "c.wav", voice(16000, level=0.3), width=1)
    )
    assert floats.values.shape == coarse.values.shape == plain.values.shape
    assert np.isfinite(coarse.values).all()
    far = np.abs(floats.values - plain.values).mean() / np.abs(plain.values).mean()
    assert far < 0.05


@every_extractor
def test_empty_and_one_sample_files_are_refused_by_name(tmp_path, name, settings):
    for n_samples in (0, 1):
        path = write_wav(tmp_path / f"short{n_samples}.wav", np.zeros(n_samples))
        with pytest.raises(BadInput, match=f"short{n_samples}"):
            extractor(name, **settings)(path)


@every_extractor
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda sound: 0 * sound, "zero throughout"),
        (lambda sound: sound + 0.1, r"DC offset of \+0.100"),
        (lambda sound: np.clip(20 * sound, -1, 1), "the sound is clipped"),
    ],
    ids=["silent", "offset", "clipped"],
)
def test_a_faulty_recording_is_a_warning_not_an_error(tmp_path, name, settings, fault, message):
    path = write_wav(tmp_path / "fault.wav", fault(voice(16000)))
    clip = Clip("v/1", media=str(path))
    values = extractor(name, **settings).extract(clip).values
    assert np.isfinite(values).all()
    assert any(re.search(message, warning) for warning in clip.warnings)


def test_called_by_itself_an_extractor_warns_in_python(tmp_path):
    path = write_wav(tmp_path / "fault.wav", voice(16000) + 0.1)
    with pytest.warns(InputWarning, match="'fault': the sound has a DC offset"):
        extractor("logmel-64")(path)


def test_a_value_that_is_no_number_names_its_column_and_time(tmp_path, monkeypatch):
    from affectflow.extract.audio import logmel64

    def broken(samples, grid, n_mels, *_):
        values = np.zeros((grid.rows(samples), n_mels), np.float32)
        values[3, 5] = np.nan
        return values

    monkeypatch.setattr(logmel64, "mel_levels", broken)
    path = write_wav(tmp_path / "a.wav", voice(16000))
    with pytest.raises(
        BadInput, match=r"nan in column 'logmel_5' of row 3, which starts at 0.08 s"
    ):
        extractor("logmel-64")(path)
