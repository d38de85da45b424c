"""affectflow corpus show, check and merge, on clips with every oddity made on purpose."""

import math
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from affectflow.cache.corpus import Corpus
from affectflow.workflows import cli, clip_check
from affectflow.workflows.clip_check import ClipToCheck, look_at
from affectflow.workflows.corpus_check import _looked, check_corpus
from affectflow.workflows.corpus_summary import bar_letters
from affectflow.workflows.pool import Answer, WorkerDied
from affectflow.workflows.report.corpus_page import render_check
from affectflow.workflows.result import Reporter

RATE = 16_000


def tone(seconds, amplitude=0.3):
    times = np.arange(round(seconds * RATE)) / RATE
    return (amplitude * np.sin(2 * np.pi * 220 * times)).astype(np.float32)


def blank(seconds):
    return [np.full((48, 64, 3), 90, np.uint8)] * round(seconds * 25)


@pytest.fixture(scope="module")
def clips(tmp_path_factory, make_clip):
    """One clip of each kind, by its name."""
    folder = tmp_path_factory.mktemp("clips")
    given = {
        "good": (blank(1), tone(1)),
        "quiet": (blank(1), tone(1, 3e-4)),
        "loud": (blank(1), np.clip(tone(1, 9.0), -1, 1)),
        "mute": (blank(1), None),
        "apart": (blank(1), tone(2)),
        "brief": (blank(0.2), tone(0.2)),
        "long": (blank(1) * 14, tone(14)),
    }
    made = {
        name: make_clip(folder / f"{name}.mkv", pictures=pictures, sound=sound, audio_rate=RATE,
                        audio_codec="pcm_s16le")
        for name, (pictures, sound) in given.items()
    }  # fmt: skip
    made["sound"] = make_clip(
        folder / "sound.wav", sound=tone(1), audio_codec="pcm_s16le", audio_rate=RATE
    )
    made["list"] = folder / "list.mp4"
    made["list"].write_text("#EXTM3U\nhttp://127.0.0.1/a.mp4\n")
    made["copy"] = folder / "copy.mkv"
    shutil.copy(made["good"], made["copy"])
    return made


def corpus(clips, *names, **columns):
    n = len(names)
    given = {
        "id": [f"{name}/1" for name in names],
        "media": [str(clips.get(name, f"/nowhere/{name}.mp4")) for name in names],
        "text": ["words"] * n,
        "split": ["train", "valid", "test"] * n,
        "M": [-1.0, 0.0, 0.4, 1.0] * n,
    }
    given = {name: values[:n] for name, values in {**given, **columns}.items()}
    return Corpus.from_columns(given, name="odd", family="sims", label_range=(-1, 1))


def found(clips, name, **segment):
    looked = look_at(ClipToCheck(name, str(clips[name]), **{"start": None, "end": None} | segment),
                     faces=False)  # fmt: skip
    return looked, dict(looked.findings)


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("quiet", "silent", "its sound has -73 dB of full scale"),
        ("loud", "sound", "the sound is clipped"),
        ("mute", "no sound", "has no audio stream"),
        ("sound", "no pictures", "has no video stream"),
        ("apart", "length", "its sound lasts 2.00 s, its pictures 1.00 s"),
        ("brief", "length", "it lasts 0.20 s"),
        ("list", "unreadable", "playlist or script"),
    ],
)
def test_what_is_odd_about_a_clip_is_named(clips, name, kind, message):
    _, findings = found(clips, name)
    assert list(findings) == [kind]
    assert message in findings[kind]


def test_nothing_is_odd_about_a_good_clip(clips):
    looked, findings = found(clips, "good")
    assert findings == {}
    assert looked.seconds == pytest.approx(1.0, abs=0.05)


def test_a_segment_is_measured_by_itself(clips):
    looked, findings = found(clips, "apart", start=0.0, end=1.0)
    assert (looked.seconds, findings) == (pytest.approx(1.0), {})
    _, findings = found(clips, "good", start=0.2, end=3.2)
    assert findings["length"].startswith("its segment is 3.00 s long, and the file has 0.8")


def test_pictures_without_a_face_are_named(clips):
    pytest.importorskip("facenet_pytorch")
    looked = look_at(ClipToCheck("a", str(clips["good"]), None, None), faces=True)
    assert dict(looked.findings) == {"no face": "none of 1 pictures, one a second, shows a face"}
    assert looked.faces == (0, 1)


def test_few_faces_are_named(clips, monkeypatch):
    monkeypatch.setattr(clip_check, "_faces", lambda clip: (2, 5))
    looked = look_at(ClipToCheck("a", str(clips["good"]), None, None), faces=True)
    assert looked.findings == (("few faces", "2 of 5 pictures show a face"),)


def test_check_finds_odd_clips_missing_ones_and_what_splits_share(clips):
    made = corpus(clips, "good", "copy", "quiet", "long", "gone", "brief")
    done = check_corpus(made, faces=False, scheduler="sync")
    there = ("good", "copy", "quiet", "long", "brief")
    assert [clip.id for clip in done.clips] == [f"{name}/1" for name in there]
    assert {kind: [name for name, _ in own] for kind, own in done.found.items()} == {
        "silent": ["quiet/1"],
        "length": ["long/1", "brief/1"],
    }
    assert done.found["length"][0][1] == "it lasts 14.00 s, where the median is 1.00 s"
    assert not done.ok
    assert done.errors[0].startswith("1 media file not found: '/nowhere/gone.mp4'")
    assert done.warnings[0] == (
        "1 recording in more than one split (other files, but the same bytes): "
        "'good/1' (train), 'copy/1' (valid)"
    )


def test_the_same_is_found_by_worker_processes(clips):
    made = corpus(clips, "good", "quiet", "list")
    here, there = (
        check_corpus(made, faces=False, scheduler=scheduler, workers=1)
        for scheduler in ("sync", "processes")
    )
    assert repr(here.clips) == repr(there.clips)  # NaN is not equal to itself


class Dying:
    """A pool whose worker dies of one clip, and with it whatever else was in flight."""

    workers = 2

    def __init__(self, bad):
        self.bad, self.tasks = bad, []

    @property
    def room(self):
        return len(self.tasks) < 3

    @property
    def busy(self):
        return bool(self.tasks)

    def submit(self, function, task):
        self.tasks.append(task)

    def next(self):
        task = self.tasks.pop(0)
        if any(clip.id == self.bad for one in (task, *self.tasks) for clip in one.clips):
            return Answer(task, error=WorkerDied("gone"))
        return Answer(task, [clip_check.Looked(clip.id, 1.0) for clip in task.clips])


def test_a_clip_that_kills_its_worker_is_found_among_innocent_ones():
    given = [ClipToCheck(f"{i}", "x", None, None) for i in range(30)]
    looked = list(_looked(given, False, Dying("13"), Reporter()))
    assert sorted(int(one.id) for one in looked) == list(range(30))
    assert [one.id for one in looked if one.findings] == ["13"]
    (bad,) = [one for one in looked if one.findings]
    assert bad.findings[0][0] == "crash"
    assert math.isnan(bad.seconds)


def test_the_page_escapes_what_strangers_wrote(clips):
    made = corpus(clips, "quiet", "gone", id=["<script>/1", "b/1"])
    page = render_check(check_corpus(made, faces=False, scheduler="sync"))
    assert "&lt;script&gt;/1" in page
    assert "<script" not in page
    assert "silent: 1 clip" in page
    assert "1 media file not found" in page


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *words: CliRunner().invoke(cli.main, ["corpus", *map(str, words)])


def test_check_prints_a_table_writes_a_page_and_fails_where_something_is_broken(
    call, clips, tmp_path
):
    corpus(clips, "good", "quiet").write(tmp_path / "sound")
    done = call("check", "sound", "--no-faces", "--scheduler", "sync", "--out", "page.html")
    assert done.exit_code == 0, done.output
    assert ["silent", "1", "nothing"] in [line.split()[:3] for line in done.output.splitlines()]
    assert "2 clips looked at, 0.00 hours; something is odd about 1;" in done.output
    assert (tmp_path / "page.html").is_file()
    corpus(clips, "good", "list").write(tmp_path / "broken")
    done = call("check", "broken", "--no-faces", "--scheduler", "sync")
    assert done.exit_code == 1
    assert ["unreadable", "1"] in [line.split()[:2] for line in done.output.splitlines()]


def test_show_counts_by_split(call, clips, tmp_path):
    made = corpus(clips, "good", "quiet", "gone", "apart", emotion=["joy", "joy", "", "joy;anger"])
    made.write(tmp_path / "c")
    done = call("show", "c")
    assert done.exit_code == 0, done.output
    rows = [line.split() for line in done.output.splitlines()]
    assert ["train", "2", "unknown", "0", "0.00", "2", "2"] in rows
    assert ["test", "1", "unknown", "1", "unknown", "1", "0"] in rows
    assert ["all", "4", "unknown", "1", "0.00", "(without", "1)", "4", "3"] in rows
    assert ["joy", "2", "1", "0"] in rows
    assert any(row[:3] == ["M", "4", "of"] and row[-1] == "1" for row in rows)
    assert ["all", "4", "unknown", "1", "unknown", "4", "3"] in [
        line.split() for line in call("show", "c", "--no-hours").output.splitlines()
    ]


def test_show_of_nothing_says_what_was_wanted(call):
    done = call("show", "nowhere")
    assert done.exit_code == 2
    assert "no corpus at 'nowhere': there is no such file or folder" in done.output


def test_merge_writes_one_corpus_that_knows_its_parts(call, clips, tmp_path):
    for name, own in (("a", ("good", "quiet")), ("b", ("good", "loud"))):
        corpus(clips, *own).write(tmp_path / name)
    done = call("merge", "first=a", "second=b", "--out", "both")
    assert done.exit_code == 0, done.output
    whole = Corpus.read(tmp_path / "both")
    assert whole.ids == ("first/good/1", "first/quiet/1", "second/good/1", "second/loud/1")
    assert whole.families == {"first": "sims", "second": "sims"}
    assert "train on it: affectflow run RECIPE --corpus both/corpus.parquet" in done.output


def test_merge_refuses_two_of_one_name_and_what_is_merged_already(call, clips, tmp_path):
    corpus(clips, "good").write(tmp_path / "a")
    done = call("merge", "a", "a", "--out", "both")
    assert done.exit_code == 2
    assert "two corpora are called 'odd': give one of them another name, odd2=a" in done.output
    assert call("merge", "x=a", "y=a", "--out", "both").exit_code == 0
    done = call("merge", "x=both", "y=a", "--out", "all")
    assert done.exit_code == 2
    assert "corpus 'x' cannot be joined: it is joined of several already" in done.output


@pytest.mark.parametrize(
    ("word", "out", "error"),
    [
        ("my corpus=a", "both", "that name would stand before its ids, and may have 1 to 64"),
        ("x=a", "both.csv", "a corpus is written as .parquet, or into a folder, and 'both.csv'"),
    ],
)
def test_merge_says_what_a_name_and_an_ending_may_be(call, clips, tmp_path, word, out, error):
    corpus(clips, "good").write(tmp_path / "a")
    done = call("merge", word, "y=a", "--out", out)
    assert done.exit_code == 2
    assert error in done.output
    assert not (tmp_path / out).exists()


def test_a_histogram_in_letters():
    assert bar_letters(np.array([0, 1, 2, 4, 8])) == " ▁▂▄█"
    assert bar_letters(np.zeros(3, int)) == "   "
