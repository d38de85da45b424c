"""hf-speech on files as people have them: rates, channels, formats, faults."""

import numpy as np
import pytest
import scipy.io.wavfile

from affectflow.cache.errors import BadInput
from affectflow.cache.records import Features
from affectflow.extract.clip import Clip
from affectflow.extract.registry import extractor


@pytest.fixture
def encode(speech_folder):
    return extractor("hf-speech", model=str(speech_folder("hubert-large")), dtype="float32")


@pytest.fixture
def wav(tmp_path):
    """Write a file from float samples in [-1, 1], (n,) or (n, channels)."""

    def write(sound, rate=16000, kind=np.int16, name="a"):
        scaled = {
            np.int16: lambda: np.round(sound * 32767),
            np.uint8: lambda: np.round(sound * 127 + 128),
            np.float32: lambda: sound,
        }[kind]()
        scipy.io.wavfile.write(tmp_path / f"{name}.wav", rate, scaled.astype(kind))
        return tmp_path / f"{name}.wav"

    return write


def tones(rate, seconds=1.0, level=0.1):
    """Harmonics below 4 kHz with a slow envelope, so that every rate can hold them."""
    times = np.arange(round(rate * seconds)) / rate
    voice = sum(np.sin(2 * np.pi * 150 * k * times) / k for k in range(1, 8))
    return level * (1 + np.sin(2 * np.pi * 3 * times)) * voice


def near(found, wanted, share):
    """Mean distance of two feature tables by the size of the second."""
    assert found.shape == wanted.shape
    return np.abs(found - wanted).mean() <= share * np.abs(wanted).mean()


@pytest.mark.parametrize("rate", [8000, 48000])
def test_other_rates_of_the_file_give_nearly_the_same_rows(encode, wav, rate):
    plain = encode(wav(tones(16000))).values
    other = encode(wav(tones(rate), rate)).values
    assert near(other[2:-2], plain[2:-2], 0.05)  # the filter rings at the very ends


def test_six_channels_are_averaged(encode, wav):
    sound = tones(16000)
    plain = encode(wav(sound)).values
    assert near(encode(wav(np.repeat(sound[:, None], 6, axis=1))).values, plain, 1e-3)


@pytest.mark.parametrize(("kind", "share"), [(np.float32, 0.01), (np.uint8, 0.5)])
def test_float_and_8_bit_files_are_read(encode, wav, kind, share):
    plain = encode(wav(tones(16000, level=0.3))).values
    assert near(encode(wav(tones(16000, level=0.3), kind=kind)).values, plain, share)


def test_files_too_short_are_refused_by_name_and_the_others_go_on(encode, wav):
    sizes = {"none": 0, "one": 1, "short": 399, "good": 400}
    clips = [Clip(name, media=str(wav(tones(16000)[:n], name=name))) for name, n in sizes.items()]
    found = dict(zip(sizes, encode.many(clips), strict=True))
    for name in ("none", "one", "short"):
        assert isinstance(found[name], BadInput)
        assert name in str(found[name])
    assert isinstance(found["good"], Features)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda sound: 0 * sound, "the sound is zero throughout (1.00 s)"),
        (lambda sound: sound + 0.1, "the sound has a DC offset of +0.100 of full scale"),
        (lambda sound: np.clip(20 * sound, -1, 1), "the sound is clipped: "),
    ],
    ids=["silent", "offset", "clipped"],
)
def test_a_faulty_recording_is_a_warning_not_an_error(encode, wav, fault, message):
    clip = Clip("v/1", media=str(wav(fault(tones(16000)))))
    assert np.isfinite(encode.extract(clip).values).all()
    assert any(warning.startswith(message) for warning in clip.warnings)
