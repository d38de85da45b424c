import csv
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from affectflow.cache import publish
from affectflow.cache.corpus import Corpus
from affectflow.cache.errors import BadCall
from affectflow.workflows.demo import corpus as demo
from affectflow.workflows.demo import make_demo
from affectflow.workflows.demo.takes import on_grid, plan_takes

LABELS = ("M", "T", "A", "V", "TA", "TV", "AV")
COLUMNS = [
    *("video_id", "clip_id", "text", "label", "label_T", "label_A", "label_V"),
    *("label_TA", "label_TV", "label_AV", "annotation", "mode", "speaker"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A demo of 6 utterances: folder, corpus, and what progress was told."""
    folder = tmp_path_factory.mktemp("made") / "demo"
    told = []
    corpus = make_demo(folder, n=6, progress=lambda done, of: told.append((done, of)))
    return folder, corpus, told


@pytest.fixture
def quick(monkeypatch):
    """Clips are a few bytes; the list holds the index of each that was rendered."""
    from affectflow.workflows.demo import render

    rendered = []

    def fake(take, seed):
        rendered.append(take.index)
        return f"{seed} {take.media}".encode()

    monkeypatch.setattr(render, "render", fake)
    return rendered


def snapshot(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.slow
def test_has_the_layout_of_ch_sims(made):
    folder, corpus, told = made
    with open(folder / "label.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == COLUMNS
    assert len(rows) == len(corpus) == 6
    for row, utterance in zip(rows, corpus, strict=True):
        media = folder / "Raw" / row["video_id"] / f"{row['clip_id']}.mp4"
        assert media.is_file()
        assert utterance.media == str(media)
        assert utterance.text == row["text"]
        assert utterance.labels["M"] == float(row["label"])
        assert (
            row["annotation"]
            == ("Negative", "Neutral", "Positive")[int(np.sign(float(row["label"]))) + 1]
        )
    assert told == [(k + 1, 6) for k in range(6)]


@pytest.mark.slow
def test_is_read_by_the_reader_of_ch_sims_as_the_same_labels(made):
    from affectflow.extract.corpora import read_corpus

    folder, corpus, _ = made
    read = read_corpus("ch-sims", folder)
    assert read.ids == corpus.ids
    for task in LABELS:
        np.testing.assert_array_equal(read.labels(task), corpus.labels(task))


@pytest.mark.slow
def test_has_no_faults_and_says_that_it_is_synthetic(made):
    folder, corpus, _ = made
    faults = corpus.check()
    assert not faults.errors
    assert not faults.warnings
    assert "synthetic" in corpus.note
    assert "synthetic" in repr(corpus)
    assert "SYNTHETIC" in (folder / "README.txt").read_text()
    assert (corpus.family, corpus.label_range) == ("sims", (-1.0, 1.0))


@pytest.mark.slow
def test_clips_are_h264_and_aac_of_2_to_4_seconds_with_sound_and_picture_of_one_length(made):
    import av

    for utterance in made[1]:
        with av.open(utterance.media) as file:
            video, audio = file.streams.video[0], file.streams.audio[0]
            assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
            assert (video.width, video.height, video.average_rate) == (320, 240, 25)
            seconds = float(video.duration * video.time_base)
            assert 2.0 <= seconds <= 4.0
            assert float(audio.duration * audio.time_base) == pytest.approx(seconds, abs=0.001)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(made, tmp_path):
    make_demo(tmp_path / "again", n=6)
    assert snapshot(tmp_path / "again") == snapshot(made[0])


@pytest.mark.slow
def test_mtcnn_finds_the_face_and_its_mouth_widens_with_the_smile():
    from facenet_pytorch import MTCNN

    from affectflow.workflows.demo.faces import Puppet, make_look
    from affectflow.workflows.demo.motion import MOTIONS, PORTRAIT_SMILE, Motion

    net = MTCNN(keep_all=True)
    for seed in range(2):
        puppet = Puppet(make_look(np.random.default_rng(seed)))
        widths = []
        for smile in (-0.8, 0.0, 0.8):
            face = np.zeros((1, len(MOTIONS)))
            face[0, MOTIONS.index("corners_up")] = 5.5 * (smile - PORTRAIT_SMILE)
            face[0, MOTIONS.index("corners_out")] = 2.6 * (smile - PORTRAIT_SMILE)
            (picture,) = puppet.play(Motion(face, np.array([0.2]), np.zeros((1, 4))))
            _, probability, points = net.detect(picture, landmarks=True)
            assert probability[0] > 0.95
            eye_left, eye_right, _, mouth_left, mouth_right = points[0]
            spread = np.linalg.norm(mouth_right - mouth_left)
            widths.append(spread / np.linalg.norm(eye_right - eye_left))
        assert widths[0] < widths[1] < widths[2]


def test_speech_is_voiced_with_the_pitch_asked_for():
    from affectflow.workflows.demo.voice import RATE, Prosody, Voice, speak

    calm = Prosody(0, 0, 0, 0, 0)
    for pitch in (120.0, 200.0):
        voice, rng = Voice(pitch, 1.0, 0.07, 1.0), np.random.default_rng(0)
        speech = speak("I think the movie was very good.", voice, calm, rng)
        assert speech.samples.dtype == np.float32
        assert np.abs(speech.samples).max() <= 0.95
        assert len(speech.samples) / RATE == pytest.approx(len(speech.mouth) / 200, abs=0.01)
        found = periods(speech.samples, RATE)
        assert len(found) > 60, "frames of 10 ms that repeat themselves"
        assert abs(12 * np.log2(np.median(found) / pitch)) < 2.5  # semitones


def periods(samples, rate):
    """Hz of each frame whose autocorrelation has a peak above 0.6 between 65 and 400 Hz."""
    found = []
    size, lags = round(0.04 * rate), np.arange(rate // 400, rate // 65)
    for start in range(0, len(samples) - size - lags[-1], rate // 100):
        frame = samples[start : start + size]
        later = np.lib.stride_tricks.sliding_window_view(
            samples[start : start + size + lags[-1]], size
        )[lags]
        powers = np.sqrt(np.sum(frame**2) * np.sum(later**2, axis=1))
        likeness = later @ frame / powers
        first = np.nonzero(likeness > 0.9 * likeness.max())[0][0]  # not one of its multiples
        if likeness.max() > 0.6:
            found.append(rate / lags[first])
    return found


def test_an_excited_voice_is_louder_higher_and_faster():
    from affectflow.workflows.demo.voice import Prosody, Voice, speak

    text, voice = "We loved the concert because it was great.", Voice(150.0, 1.0, 0.07, 1.0)
    low, high = (
        speak(text, voice, Prosody(a, a, a, a, a), np.random.default_rng(1)).samples
        for a in (-1.0, 1.0)
    )
    assert len(high) < len(low)
    assert np.std(high) > 2 * np.std(low)


def test_no_speaker_is_in_two_splits_and_every_split_has_some():
    for n, speakers in ((3, 3), (6, 3), (60, 12), (200, 40)):
        takes = plan_takes(n, seed=1)
        assert len({take.speaker for take in takes}) == speakers
        assert len({(take.speaker, take.split) for take in takes}) == speakers
        assert {take.split for take in takes} == {"train", "valid", "test"}
        assert len({take.media for take in takes}) == n


def test_a_corpus_of_60_has_twice_as_many_speakers_in_train():
    takes = plan_takes(60, seed=0)
    counts = {
        split: len({take.speaker for take in takes if take.split == split})
        for split in ("train", "valid", "test")
    }
    assert counts == {"train": 6, "valid": 3, "test": 3}


def test_labels_lie_on_the_grid_of_ch_sims():
    grid = {round(0.2 * k, 1) for k in range(-5, 6)}
    for take in plan_takes(60, seed=2):
        assert set(take.labels) == set(LABELS)
        assert set(take.labels.values()) <= grid
    assert str(on_grid(np.array([-0.04]))[0]) == "0.0"


def test_unimodal_labels_agree_in_part_and_the_multimodal_one_with_each():
    takes = plan_takes(200, seed=3)
    columns = np.array([[take.labels[task] for task in ("M", "T", "A", "V")] for take in takes])
    r = np.corrcoef(columns.T)
    between = r[1:, 1:][np.triu_indices(3, 1)]
    assert np.all((between > 0.2) & (between < 0.6))
    assert np.all(r[0, 1:] > 0.6)


def test_sentences_differ_and_their_words_follow_label_t():
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    takes = plan_takes(60, seed=0)
    assert len({take.text for take in takes}) == 60
    assert all(len(take.text.split()) >= 4 for take in takes)
    scores = [SentimentIntensityAnalyzer().polarity_scores(t.text)["compound"] for t in takes]
    r = np.corrcoef(scores, [take.labels["T"] for take in takes])[0, 1]
    assert 0.7 < r < 0.98


def test_another_seed_gives_another_corpus():
    assert [t.labels for t in plan_takes(6, 0)] != [t.labels for t in plan_takes(6, 1)]


def test_the_second_call_makes_nothing_and_imports_nothing_big(tmp_path, quick):
    make_demo(tmp_path, n=6)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    code = (
        "import sys; from pathlib import Path; from affectflow.workflows.demo import make_demo;"
        "print(len(make_demo(Path(sys.argv[1]), n=6)));"
        "print([m for m in ('av', 'cv2', 'skimage', 'scipy', 'torch') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "6\n[]\n"
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_making_that_stopped_goes_on_where_it_was(tmp_path, quick, monkeypatch):
    from affectflow.workflows.demo import render

    whole = tmp_path / "whole"
    make_demo(whole, n=6)
    quick.clear()
    fake = render.render

    def stops(take, seed):
        if take.index == 3:
            raise KeyboardInterrupt
        return fake(take, seed)

    stopped = tmp_path / "stopped"
    monkeypatch.setattr(render, "render", stops)
    with pytest.raises(KeyboardInterrupt):
        make_demo(stopped, n=6)
    monkeypatch.setattr(render, "render", fake)
    assert json.loads((stopped / "demo.json").read_text())["complete"] is False
    assert not (stopped / "corpus.parquet").exists()
    first = set(quick)
    quick.clear()
    killed = publish.temporary(stopped / "Raw" / "x").name.replace(f"-{os.getpid()}-", "-4194305-")
    (stopped / "Raw" / killed).write_bytes(b"half")  # no process has a number that high
    make_demo(stopped, n=6)
    assert set(quick) == set(range(6)) - first
    assert snapshot(stopped) == snapshot(whole)


def test_a_clip_that_was_deleted_is_made_again_and_an_edited_table_is_left_alone(tmp_path, quick):
    corpus = make_demo(tmp_path, n=6)
    utterance = next(iter(corpus))
    os.remove(utterance.media)
    (tmp_path / "label.csv").write_text("edited")
    quick.clear()
    make_demo(tmp_path, n=6)
    assert quick == [0]
    assert (tmp_path / "label.csv").read_text() == "edited"


def test_can_be_moved(tmp_path, quick):
    make_demo(tmp_path / "here", n=6)
    (tmp_path / "here").rename(tmp_path / "there")
    corpus = Corpus.read(tmp_path / "there")
    assert not corpus.check().errors


def test_a_folder_that_holds_something_else_is_refused(tmp_path, quick):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(BadCall, match=r"holds other things: thesis\.tex\. Choose another folder"):
        make_demo(tmp_path, n=6)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_demo_with_other_numbers_is_refused(tmp_path, quick):
    make_demo(tmp_path, n=6)
    message = r"another demo corpus \(version 1, n=6, seed=0\) than was asked for \(.*n=6, seed=1\)"
    with pytest.raises(BadCall, match=message):
        make_demo(tmp_path, n=6, seed=1)


def test_a_stamp_that_is_none_is_refused(tmp_path, quick):
    for text in ("{", "[]", '{"a": 1}'):
        (tmp_path / demo.STAMP).write_text(text)
        with pytest.raises(BadCall, match=r"demo\.json' is no stamp of a demo corpus"):
            make_demo(tmp_path, n=6)


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "demo").write_text("")
    with pytest.raises(BadCall, match="is a file"):
        make_demo(tmp_path / "demo")


def test_impossible_numbers_are_refused(tmp_path):
    with pytest.raises(BadCall, match="3 utterances or more, one a split, not n=2"):
        make_demo(tmp_path / "demo", n=2)
    with pytest.raises(BadCall, match="whole number from 0, not -1"):
        make_demo(tmp_path / "demo", seed=-1)
    assert not (tmp_path / "demo").exists()
