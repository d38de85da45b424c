import numpy as np
import pytest

from affectflow.cache.errors import BadCall, NoAudio
from affectflow.extract.corpora import read_corpus
from affectflow.extract.corpora.voice import loudness, spans_of_speech

RATE = 8000


def speech(seconds, rng, level=0.2):
    """Noise that comes and goes four times a second, as syllables do."""
    times = np.arange(round(seconds * RATE)) / RATE
    return level * rng.normal(size=len(times)) * (0.55 + 0.45 * np.sin(2 * np.pi * 4 * times))


def recording(make_clip, path, *parts, floor=1e-3):
    """A wav of (seconds, whether somebody speaks)."""
    rng = np.random.default_rng(0)
    sound = [speech(s, rng) if on else np.zeros(round(s * RATE)) for s, on in parts]
    sound = np.concatenate(sound)
    sound += floor * rng.normal(size=len(sound))
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = np.clip(sound, -1, 1).astype(np.float32)
    return make_clip(path, sound=sound, audio_rate=RATE, audio_codec="pcm_s16le")


def test_loudness_is_in_db_re_full_scale(make_clip, tmp_path):
    times = np.arange(RATE) / RATE
    sine = (0.5 * np.sin(2 * np.pi * 400 * times)).astype(np.float32)
    sound = np.concatenate([sine, np.zeros(RATE // 2, np.float32)])
    path = make_clip(tmp_path / "x.wav", sound=sound, audio_rate=RATE, audio_codec="pcm_s16le")
    level = loudness(path)
    assert len(level) == 150
    np.testing.assert_allclose(level[:100], 20 * np.log10(0.5 / np.sqrt(2)), atol=0.01)
    np.testing.assert_array_equal(level[100:], -90)


def test_speech_is_found_where_it_is_and_short_pauses_do_not_part_it(make_clip, tmp_path):
    parts = [(2, False), (3, True), (0.3, False), (2, True), (4, False), (5, True), (1, False)]
    found = spans_of_speech(recording(make_clip, tmp_path / "x.wav", *parts), longest=20)
    np.testing.assert_allclose(found, [(1.85, 7.45), (11.15, 16.45)], atol=0.15)


def test_a_cough_is_no_utterance(make_clip, tmp_path):
    parts = [(2, False), (0.4, True), (3, False), (4, True), (2, False)]
    ((begin, end),) = spans_of_speech(recording(make_clip, tmp_path / "x.wav", *parts), 20)
    assert (begin, end) == pytest.approx((5.25, 9.55), abs=0.15)


def test_what_is_longer_than_allowed_is_cut_in_a_pause(make_clip, tmp_path):
    parts = [(1, False), (7, True), (0.2, False), (6, True), (0.2, False), (4, True), (1, False)]
    found = spans_of_speech(recording(make_clip, tmp_path / "x.wav", *parts), longest=10)
    assert [end for _, end in found[:-1]] == [begin for begin, _ in found[1:]]
    assert all(end - begin <= 10 for begin, end in found)
    assert found[0][1] == pytest.approx(8.1, abs=0.15)
    assert found[0][0] == pytest.approx(0.85, abs=0.1)
    assert found[-1][1] == pytest.approx(18.55, abs=0.15)


@pytest.mark.parametrize("seconds", [10.1, 12.4, 12.6, 20.0, 31.7])
def test_no_piece_is_longer_than_allowed_and_none_a_mere_rest(make_clip, tmp_path, seconds):
    path = recording(make_clip, tmp_path / "x.wav", (seconds, True), floor=0)
    found = spans_of_speech(path, longest=10)
    assert sum(end - begin for begin, end in found) == pytest.approx(seconds, abs=0.1)
    assert all(2.4 <= end - begin <= 10 for begin, end in found)


def test_a_recording_without_pauses_is_taken_whole_and_one_of_noise_too(make_clip, tmp_path):
    path = recording(make_clip, tmp_path / "x.wav", (6, False), floor=0.05)
    assert spans_of_speech(path, longest=20) == [(0.0, 6.0)]


def test_pictures_alone_have_no_voice(make_clip, tmp_path):
    path = make_clip(tmp_path / "x.mp4", pictures=[np.zeros((16, 16, 3), np.uint8)] * 5)
    with pytest.raises(NoAudio, match="has no audio stream"):
        spans_of_speech(path, 10)


# A folder of long videos


def test_long_files_become_utterances_that_keep_speaker_and_split(make_clip, tmp_path):
    parts = [(2, False), (3, True), (4, False), (5, True), (1, False)]
    for who in ("id1", "id2", "id3"):
        recording(make_clip, tmp_path / f"{who}/v/talk.wav", *parts)
    seen = []
    found = read_corpus("media", tmp_path, longest=20, valid=0.4)
    assert found.ids[:3] == ("id1/v/talk/0000", "id1/v/talk/0001", "id2/v/talk/0000")
    one = found["id2/v/talk/0001"]
    assert (one.start, one.end) == pytest.approx((8.85, 14.15), abs=0.15)
    assert (one.speaker, one.media) == ("id2", str(tmp_path / "id2/v/talk.wav"))
    assert {s.id[:3]: s.split for s in found}.keys() == {"id1", "id2", "id3"}
    assert len({(s.id[:3], s.split) for s in found}) == 3
    assert found.check().errors == ()
    from affectflow.extract.corpora import read_with

    read_with("media", tmp_path, {"longest": 20}, lambda done, n: seen.append((done, n)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_files_that_cannot_be_heard_are_taken_whole_and_silent_ones_left_out(make_clip, tmp_path):
    recording(make_clip, tmp_path / "a.wav", (1, False), (3, True), (1, False))
    make_clip(tmp_path / "b.mp4", pictures=[np.zeros((16, 16, 3), np.uint8)] * 5)
    (tmp_path / "c.mp4").write_bytes(b"nothing of the kind")
    recording(make_clip, tmp_path / "d.wav", (3, False), (0.3, True), (3, False))
    (tmp_path / "e.mp4").symlink_to("e.mp4")  # leads nowhere
    (tmp_path / "._a.wav").write_bytes(b"\0\5\x16\7")
    found = read_corpus("media", tmp_path, longest=10)
    assert found.ids == ("a/0000", "b", "c", "e")
    assert found["b"].start is None
    hidden, deaf, silent = found.notes
    assert hidden == "1 hidden file left out: '._a.wav'"
    assert deaf.startswith("3 files whose sound cannot be heard, taken whole: 'b' (")
    assert silent == "1 file without speech left out: 'd'"


def test_stretches_shorter_than_two_seconds_cannot_be_asked_for(tmp_path):
    for wrong in (1.9, -1, float("nan")):
        with pytest.raises(BadCall, match="longest must be at least 2 s, or 0"):
            read_corpus("media", tmp_path, longest=wrong)
