import numpy as np
import pytest

from affectflow.extract.audio import soundness
from affectflow.extract.audio.soundness import check_sound
from affectflow.extract.clip import Clip, Waveform

RATE = 16000


def warnings_of(samples):
    clip = Clip(id="u")
    check_sound(clip, Waveform(np.asarray(samples, np.float32), RATE))
    return clip.warnings


def tone(amplitude=0.5, seconds=1.0):
    return amplitude * np.sin(2 * np.pi * 200 * np.arange(round(seconds * RATE)) / RATE)


def test_nothing_is_said_of_a_sound_that_is_in_order():
    assert warnings_of(tone()) == []


@pytest.mark.parametrize(("offset", "said"), [(0.1, "+0.100"), (-0.02, "-0.020")])
def test_an_offset_is_said_with_its_sign(offset, said):
    assert warnings_of(tone() + offset) == [f"the sound has a DC offset of {said} of full scale"]


def test_clipping_is_said_with_its_share():
    (message,) = warnings_of(np.clip(tone(2.0), -1, 1))
    assert message == "the sound is clipped: 67.5% of its samples are at full scale"


def test_sound_over_full_scale_counts_as_clipped():
    assert "is clipped" in warnings_of(tone(1.5))[0]


def test_a_single_loud_click_is_not_clipping():
    samples = tone()
    samples[100] = 1.0
    assert warnings_of(samples) == []


def test_silence_is_said_and_nothing_else():
    assert warnings_of(np.zeros(8000)) == ["the sound is zero throughout (0.50 s)"]


def test_a_sound_longer_than_a_piece_is_looked_at_as_a_whole(monkeypatch):
    whole = warnings_of(np.clip(tone(2.0), -1, 0.2))
    monkeypatch.setattr(soundness, "PIECE", 1000)
    assert warnings_of(np.clip(tone(2.0), -1, 0.2)) == whole
    assert len(whole) == 2


@pytest.mark.parametrize("samples", [[0.3], [0.0]])
def test_one_sample_is_a_sound(samples):
    assert len(warnings_of(samples)) == 1
