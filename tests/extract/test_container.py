import contextlib
import os
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from affectflow.cache.errors import BadInput, BadMedia, NoAudio, NoVideo
from affectflow.extract import container, decoding
from affectflow.extract.media import probe, read_audio, read_pictures
from affectflow.extract.pictures import on_grid


def pictures(n, size=(64, 48)):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (size[1], size[0], 3), np.uint8) for _ in range(n)]


def tone(seconds, rate=44100):
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)).astype("f4")


def all_frames(path, start=None, end=None):
    return list(on_grid(read_pictures(path, start, end), 25, start or 0.0, end))


def all_sound(path, *args):
    return read_audio(path, 16000, *args)


READERS = pytest.mark.parametrize("read", [all_frames, all_sound, probe])
DECODERS = pytest.mark.parametrize("read", [all_frames, all_sound])


@pytest.fixture(scope="module")
def streamed(tmp_path_factory, make_clip):
    """An mp4 of 2 s whose index stands before its data."""
    path = tmp_path_factory.mktemp("streamed") / "a.mp4"
    return make_clip(path, pictures=pictures(50), sound=tone(2), options={"movflags": "faststart"})


def cut(source, target, share):
    data = source.read_bytes()
    start = data.index(b"mdat")
    target.write_bytes(data[: start + round(share * (len(data) - start))])
    return target


@READERS
def test_a_missing_file_is_named(tmp_path, read):
    with pytest.raises(BadMedia, match="no media file at '.*gone.mp4'"):
        read(tmp_path / "gone.mp4")
    (tmp_path / "file").touch()
    with pytest.raises(BadMedia, match="no media file at '.*file/a.mp4'"):
        read(tmp_path / "file" / "a.mp4")


@READERS
def test_a_folder_is_no_media(tmp_path, read):
    with pytest.raises(BadMedia, match="is a folder; a media file was wanted"):
        read(tmp_path)


@READERS
def test_a_pipe_is_not_waited_for(tmp_path, read):
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(BadMedia, match="is a pipe or device; media are read from plain files only"):
        read(tmp_path / "a.mp4")


@READERS
def test_zero_bytes_are_named(tmp_path, read):
    (tmp_path / "a.mp4").touch()
    with pytest.raises(BadMedia, match=r"a.mp4' is empty \(0 bytes\); copy or export it again"):
        read(tmp_path / "a.mp4")


@READERS
def test_a_text_named_mp4_is_no_media(tmp_path, read):
    (tmp_path / "a.mp4").write_text("dear diary, today nothing happened\n" * 100)
    with pytest.raises(
        BadMedia, match=r"a.mp4' is not a media file .*begins with b'dear diary, '\); known are mp4"
    ):
        read(tmp_path / "a.mp4")


@READERS
def test_an_mp4_without_its_index_is_truncated(tmp_path, clip_path, read):
    data = clip_path.read_bytes()
    (tmp_path / "a.mp4").write_bytes(data[: data.index(b"moov") // 2])
    with pytest.raises(BadMedia, match=r"is truncated: an mp4 without its index \('moov'\)"):
        read(tmp_path / "a.mp4")


@READERS
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{clip}\n#EXT-X-ENDLIST\n"),
        ("a.mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{clip}\n#EXT-X-ENDLIST\n"),
        ("a.ffconcat", "ffconcat version 1.0\nfile {clip}\n"),
        ("a.sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=audio 5 RTP/AVP 0\n"),
        ("a.mpd", "<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011'></MPD>"),
    ],
)
def test_a_playlist_is_refused(tmp_path, clip_path, read, name, text):
    (tmp_path / name).write_text(text.format(clip=clip_path))
    with pytest.raises(BadMedia, match="playlist or script that names other files; .*plain files"):
        read(tmp_path / name)


def test_a_name_that_looks_like_a_protocol_is_a_name(tmp_path, clip_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("concat:a|b.mp4", "http:x.mp4", "ünï 中 'x'.mp4", "-i.mp4", "%d.mp4"):
        Path(name).write_bytes(clip_path.read_bytes())
        assert probe(name).has_video
    with pytest.raises(BadMedia, match="no media file at 'https:/host.invalid/a.mp4'"):
        probe("https://host.invalid/a.mp4")


def test_video_without_audio_is_named(tmp_path, make_clip):
    path = make_clip(tmp_path / "a.mp4", pictures=pictures(5))
    with pytest.raises(NoAudio, match=r"a.mp4' has no audio stream \(it has: video\)"):
        all_sound(path)


def test_audio_without_video_is_named(tone_wav):
    with pytest.raises(NoVideo, match=r"tone.wav' has no video stream \(it has: audio\)"):
        all_frames(tone_wav)


def test_half_a_clip_says_how_much_could_be_decoded(tmp_path, streamed):
    path = cut(streamed, tmp_path / "a.mp4", 0.5)
    said = r"a.mp4' is truncated or damaged: (0.9|1.0)\d s of 2.00 s of {} could be decoded; copy"
    with pytest.raises(BadMedia, match=said.format("sound")):
        all_sound(path)
    with pytest.raises(BadMedia, match=said.format("pictures")):
        all_frames(path)


@DECODERS
def test_a_segment_of_half_a_clip_counts_only_itself(tmp_path, streamed, read):
    path = cut(streamed, tmp_path / "a.mp4", 0.5)
    assert read(path, 0.1, 0.8)
    with pytest.raises(BadMedia, match=r"0.[45]\d s of 1.00 s of (sound|pictures) could be"):
        read(path, 0.5, 1.5)
    with pytest.raises(BadMedia, match=r"0.00 s of 0.50 s of (sound|pictures) could be decoded"):
        read(path, 1.5, 2.0)


@DECODERS
def test_a_clip_that_is_nearly_complete_is_taken(tmp_path, streamed, read):
    assert read(cut(streamed, tmp_path / "a.mp4", 0.999))


@DECODERS
def test_half_a_matroska_file_is_truncated(tmp_path, make_clip, read):
    path = make_clip(tmp_path / "a.mkv", pictures=pictures(50), sound=tone(2))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BadMedia, match=r"truncated or damaged: [01].\d\d s of 2.0\d s"):
        read(path)


def test_half_a_wav_is_truncated(tmp_path, tone_wav):
    (tmp_path / "a.wav").write_bytes(tone_wav.read_bytes()[:88239])
    with pytest.raises(BadMedia, match="is truncated: 88239 of 17647. bytes are there; copy"):
        all_sound(tmp_path / "a.wav")


def test_half_a_flac_is_truncated(tmp_path, make_clip):
    path = make_clip(tmp_path / "a.flac", sound=tone(2), audio_codec="flac")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BadMedia, match=r"truncated or damaged: 0.\d\d s of 2.00 s of sound"):
        all_sound(path)


@DECODERS
def test_a_clip_of_damaged_data_never_comes_out_whole(tmp_path, streamed, read):
    data = bytearray(streamed.read_bytes())
    start = data.index(b"mdat") + 4
    data[start:] = bytes(len(data) - start)  # the right length, all zeros
    (tmp_path / "a.mp4").write_bytes(data)
    with pytest.raises(BadMedia, match=r"truncated or damaged: \d.\d\d s of 2.00 s of"):
        read(tmp_path / "a.mp4")


def test_sound_that_is_all_damaged_is_named_where_no_index_promises_a_length(tmp_path, make_clip):
    path = make_clip(tmp_path / "a.mpg", sound=tone(2), audio_codec="mp2")
    data = bytearray(path.read_bytes())
    for place in range(0, len(data) - 2048, 2048):
        data[place + 60 : place + 2040] = bytes(1980)
    path.write_bytes(data)
    with pytest.raises(BadMedia, match="a.mpg' (is damaged|is truncated or damaged|has a stream)"):
        all_sound(path)


@pytest.mark.slow
def test_random_damage_ends_in_a_result_or_in_our_error(tmp_path, streamed):
    rng = np.random.default_rng(5)
    good = streamed.read_bytes()
    for _ in range(40):
        data = bytearray(good)
        for place in rng.integers(0, len(data), 20):
            data[place] = rng.integers(256)
        (tmp_path / "a.mp4").write_bytes(data)
        for read in (all_sound, all_frames):
            for span in [(), (1.3, 1.8)]:
                with contextlib.suppress(BadInput):
                    read(tmp_path / "a.mp4", *span)


def test_pictures_in_an_unknown_format_are_named_and_the_sound_is_read(tmp_path, clip_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(clip_path.read_bytes().replace(b"avc1", b"xyz1"))
    with pytest.raises(BadMedia, match=r"pictures of '.*a.mp4' are in a format that cannot be dec"):
        all_frames(path)
    assert len(all_sound(path).samples) == 32000
    assert (probe(path).has_video, probe(path).width) == (True, 0)


def test_a_title_that_is_not_utf8_is_no_fault(tmp_path, tone_wav):
    data = tone_wav.read_bytes()
    title = "\u4e2d\u6587".encode("gbk")
    tags = b"INFOINAM" + len(title).to_bytes(4, "little") + title
    data += b"LIST" + len(tags).to_bytes(4, "little") + tags
    data = data[:4] + (len(data) - 8).to_bytes(4, "little") + data[8:]
    (tmp_path / "a.wav").write_bytes(data)
    assert probe(tmp_path / "a.wav").has_audio
    whole = all_sound(tmp_path / "a.wav").samples
    np.testing.assert_array_equal(whole, all_sound(tone_wav).samples)


@DECODERS
def test_recordings_joined_end_to_end_are_named(tmp_path, make_clip, read):
    kinds = {"video_codec": "mpeg2video", "audio_codec": "mp2"}
    path = make_clip(tmp_path / "a.ts", pictures=pictures(50), sound=tone(2), **kinds)
    path.write_bytes(path.read_bytes() * 2)
    said = r"joined from several recordings: the times of its \w+ go back from 2.\d\d s to 0.\d\d s"
    with pytest.raises(BadMedia, match=said):
        read(path)
    assert all_frames(path, 0.5, 1.5)


@pytest.mark.parametrize(
    ("number", "read", "whole"), [(0, all_frames, all_sound), (1, all_sound, all_frames)]
)
def test_a_track_without_a_unit_of_time_is_told(tmp_path, clip_path, number, read, whole):
    """Its clock would run in seconds, and two seconds of pictures be hours."""
    data = bytearray(clip_path.read_bytes())
    box = [match.start() for match in re.finditer(b"mdhd", data)][number]
    data[box + 16 : box + 20] = bytes(4)  # after version, flags and two dates: ticks a second
    broken = tmp_path / "clip.mp4"
    broken.write_bytes(data)
    with pytest.raises(BadMedia, match="'mdhd' box of their track is damaged"):
        read(broken)
    whole(broken)


def test_pictures_that_are_too_large_are_refused(clip_path, monkeypatch):
    monkeypatch.setattr(container, "MAX_PIXELS", 10_000)
    with pytest.raises(BadMedia, match="has pictures of 160x120 pixels; at most"):
        all_frames(clip_path)


@DECODERS
def test_a_stretch_that_is_too_long_is_refused(clip_path, monkeypatch, read):
    monkeypatch.setattr(decoding, "MAX_SECONDS", 1.0)
    with pytest.raises(BadInput, match="h of (sound|pictures) were asked of '.*give a start and"):
        read(clip_path)
    assert read(clip_path, 1.2, 1.9)


def test_an_error_travels_between_processes(tmp_path):
    with pytest.raises(BadMedia) as caught:
        probe(tmp_path / "gone.mp4")
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again)) == (BadMedia, str(caught.value))
