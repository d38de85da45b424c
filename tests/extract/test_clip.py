import numpy as np
import pytest

from affectflow.cache.errors import BadInput, NoAudio, NoVideo
from affectflow.extract import clip as clip_file
from affectflow.extract import media
from affectflow.extract.clip import Clip, Waveform


@pytest.fixture
def calls(monkeypatch):
    """How often each reader of media is called."""
    made = []
    for name in ("read_audio", "read_frames"):
        read = getattr(media, name)

        def counted(*args, read=read, name=name):
            made.append(name)
            return read(*args)

        monkeypatch.setattr(media, name, counted)
    return made


def test_sound_is_decoded_once_for_each_rate(clip_path, calls):
    clip = Clip("a", str(clip_path))
    assert clip.audio(16000) is clip.audio(16000)
    assert clip.audio(8000).rate == 8000
    assert calls == ["read_audio"] * 2


def test_pictures_are_decoded_once_for_each_rate(clip_path, calls):
    clip = Clip("a", str(clip_path))
    first = [frame.index for frame in clip.frames(25)]
    assert [frame.index for frame in clip.frames(25)] == first == list(range(50))
    assert len(list(clip.frames(5))) == 10
    assert calls == ["read_frames"] * 2


def test_pictures_of_a_long_clip_are_not_kept(clip_path, calls, monkeypatch):
    monkeypatch.setattr(clip_file, "FRAMES_KEPT", 10 * 160 * 120 * 3)
    clip = Clip("a", str(clip_path))
    assert len(list(clip.frames(25))) == len(list(clip.frames(25))) == 50
    assert calls == ["read_frames"] * 2


def test_a_picture_shown_twice_is_counted_once(clip_path, calls, monkeypatch):
    monkeypatch.setattr(clip_file, "FRAMES_KEPT", 50 * 160 * 120 * 3)
    clip = Clip("a", str(clip_path))
    assert len(list(clip.frames(100))) == len(list(clip.frames(100))) == 200
    assert calls == ["read_frames"]


def test_pictures_left_half_way_are_not_taken_for_all(clip_path):
    clip = Clip("a", str(clip_path))
    next(iter(clip.frames(25)))
    assert len(list(clip.frames(25))) == 50


def test_a_segment_is_read_for_sound_and_pictures(clip_path):
    clip = Clip("a", str(clip_path), 0.5, 1.5)
    assert clip.audio(16000).duration == 1.0
    assert [frame.time for frame in clip.frames(5)] == [0, 0.2, 0.4, 0.6, 0.8]


def test_an_utterance_without_media_says_so():
    with pytest.raises(NoAudio, match="utterance 'a/1' has no media file, so no audio"):
        Clip("a/1").audio(16000)
    with pytest.raises(NoVideo, match="utterance 'a/1' has no media file, so no pictures"):
        Clip("a/1").frames(25)


@pytest.mark.parametrize("samples", [np.zeros((2, 10), np.float32), np.zeros(10)])
def test_a_waveform_is_one_dimensional_float32(samples):
    with pytest.raises(BadInput, match="a waveform is one-dimensional float32, got float"):
        Waveform(samples, 16000)
