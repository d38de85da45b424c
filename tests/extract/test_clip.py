import gc
import weakref

import numpy as np
import pytest

from affectflow.cache.errors import BadInput, BadMedia, NoAudio, NoVideo
from affectflow.extract import clip as clip_file
from affectflow.extract import media
from affectflow.extract.clip import Clip, Waveform
from affectflow.extract.pictures import on_grid


@pytest.fixture
def calls(monkeypatch):
    """How often each reader of media is called."""
    made = []
    for name in ("read_audio", "read_pictures"):
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


def test_pictures_are_decoded_once_for_all_rates(clip_path, calls):
    clip = Clip("a", str(clip_path))
    first = list(clip.frames(25))
    again = list(clip.frames(25))
    assert [frame.index for frame in again] == [frame.index for frame in first] == list(range(50))
    np.testing.assert_array_equal(first[7].image, again[7].image)
    assert len(list(clip.frames(5))) == 10
    assert len(list(clip.frames(100))) == 200
    assert calls == ["read_pictures"]


@pytest.mark.parametrize("span", [(None, None), (0.5, 1.5), (1.21, 1.23), (None, 9.0)])
@pytest.mark.parametrize("rate", [3, 10, 25, 30])
def test_kept_pictures_are_those_of_the_file(clip_path, span, rate):
    clip = Clip("a", str(clip_path), *span)
    list(clip.frames(7))
    start, end = span
    pictures = media.read_pictures(clip_path, start, end)
    kept, read = list(clip.frames(rate)), list(on_grid(pictures, rate, start or 0.0, end))
    assert [(f.time, f.shown) for f in kept] == [(f.time, f.shown) for f in read]
    for one, other in zip(kept, read, strict=True):
        np.testing.assert_array_equal(one.image, other.image)


def test_of_a_segment_only_its_own_pictures_are_kept(clip_path):
    clip = Clip("a", str(clip_path), 1.5, 1.7)
    list(clip.frames(25))
    assert [float(item.start) for item in clip._decoded] == pytest.approx(
        [1.48, 1.52, 1.56, 1.6, 1.64, 1.68, 1.72]
    )


def test_pictures_of_a_long_clip_are_not_kept(clip_path, calls, monkeypatch):
    monkeypatch.setattr(clip_file, "FRAMES_KEPT", 10 * 160 * 120 * 3)
    clip = Clip("a", str(clip_path))
    assert len(list(clip.frames(25))) == len(list(clip.frames(25))) == 50
    assert calls == ["read_pictures"] * 2


def test_a_long_clip_is_let_go_as_soon_as_it_is_known_to_be_long(clip_path, monkeypatch):
    planes = next(Clip("a", str(clip_path))._pictures()).frame.planes
    one = sum(plane.buffer_size for plane in planes)
    monkeypatch.setattr(clip_file, "FRAMES_KEPT", 40 * one)  # of 50
    for end, least, most in [(None, 0, 3), (1.5, 20, 20)]:  # some are in the decoder's hands
        clip = Clip("a", str(clip_path), None, end)
        reading = clip._pictures()
        held = [weakref.ref(next(reading)) for _ in range(20)]
        gc.collect()
        assert least <= sum(item() is not None for item in held) <= most


def test_a_damaged_clip_says_so_to_every_caller(clip_path, tmp_path, calls):
    data = bytearray(clip_path.read_bytes())
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data[: len(data) * 6 // 10])
    clip = Clip("a", str(path))
    for _ in range(2):
        with pytest.raises(BadMedia):
            list(clip.frames(25))


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
