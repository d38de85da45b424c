import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from affectflow.cache.errors import Damaged, UnknownName
from affectflow.cache.store import FeatureStore
from affectflow.workflows import progress_file
from affectflow.workflows.json_log import JsonLog
from affectflow.workflows.progress_file import (
    ProgressFile,
    Standing,
    read_standing,
    standing_files,
)
from affectflow.workflows.result import Reporter
from affectflow.workflows.run import run
from affectflow.workflows.status import standings, state_of

TEXTS = ["what a lovely day", "I hate rain", "a table", "bad"] * 3


class Notes(Reporter):
    def __init__(self):
        self.heard = []

    def note(self, text):
        self.heard.append(text)


@pytest.fixture
def root(tmp_path):
    return FeatureStore(tmp_path / "store").root


def test_a_run_that_went_on_is_shown_as_it_stands(root):
    with ProgressFile(root, "toy-1", "toy", Notes()) as progress:
        progress.start("text", 10)
        progress.advance("text", 4, 1)
        progress.start("m", 1)
        progress.working("m", "epoch 3")
        progress.event("pool", {"workers": 2, "dashboard": "http://127.0.0.1:1/status"})
        progress._write()
        [one] = standings(root)
        assert one.is_alive
        assert state_of(one, time.time()) == "running"
        assert asdict(one)["stages"] == {
            "text": {"total": 10, "done": 4, "failed": 1, "words": ""},
            "m": {"total": 1, "done": 0, "failed": 0, "words": "epoch 3"},
        }
        assert one.pool["workers"] == 2
    [one] = standings(root)
    assert (one.state, one.is_alive) == ("done", False)


@pytest.mark.parametrize(
    ("error", "state", "words"),
    [
        (KeyboardInterrupt(), "stopped", "stopped; run it again"),
        (ValueError("no room"), "error", "ended by an error: no room"),
    ],
)
def test_a_run_that_broke_off_says_how(root, error, state, words):
    progress = ProgressFile(root, "toy-1", "toy", Notes())
    progress.__enter__()
    progress.start("text", 10)
    progress.__exit__(type(error), error, None)
    [one] = standings(root)
    assert one.state == state
    assert words in state_of(one, time.time())


def test_a_run_whose_driver_was_killed_is_not_shown_as_running(root):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    folder = root / "runs" / "toy-1"
    folder.mkdir(parents=True)
    one = Standing("toy-1", "toy", pid=process.pid, beat=time.time() - 30)
    (folder / "0001.progress").write_text(json.dumps(asdict(one)))
    [found] = standings(root)
    assert not found.is_alive
    assert "killed, or its machine is gone: silent for 30 s" in state_of(found, one.beat + 30)


def test_a_driver_elsewhere_is_gone_when_it_was_silent_for_a_minute():
    elsewhere = Standing("toy-1", "toy", host="elsewhere", beat=time.time() - 20)
    assert elsewhere.is_alive
    elsewhere.beat -= 60
    assert not elsewhere.is_alive


def test_a_run_leaves_one_file_however_often_it_is_begun(root):
    for _ in range(3):
        with ProgressFile(root, "toy-1", "toy", Notes()) as progress:
            progress.start("text", 1)
    assert len(standing_files(root / "runs" / "toy-1")) == 1


def test_a_file_that_another_driver_removes_meanwhile_is_passed_over(root, monkeypatch):
    for _ in range(2):
        with ProgressFile(root, "toy-1", "toy", Notes()) as progress:
            progress.start("text", 1)
    real, gone = progress_file.standing_files, root / "runs" / "toy-1" / f"{0:020d}.progress"
    monkeypatch.setattr(progress_file, "standing_files", lambda folder: [gone, *real(folder)])
    assert len(standings(root)) == 1
    notes = Notes()
    with ProgressFile(root, "toy-1", "toy", notes) as progress:
        progress.start("text", 1)
    assert notes.heard == []
    assert len(real(root / "runs" / "toy-1")) == 1


def test_a_folder_that_cannot_be_written_is_said_once_and_ends_nothing(root, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("affectflow.workflows.progress_file.publish", full)
    notes = Notes()
    with ProgressFile(root, "toy-1", "toy", notes) as progress:
        progress.start("text", 1)
        progress._write()
        progress._write()
    assert len(notes.heard) == 1
    assert "'affectflow status' will not show" in notes.heard[0]


def test_a_run_with_nothing_to_do_leaves_no_file(root):
    with ProgressFile(root, "toy-1", "toy", Notes()):
        pass
    assert standings(root) == []


def test_a_damaged_file_and_an_unknown_run_are_named(root):
    folder = root / "runs" / "toy-1"
    folder.mkdir(parents=True)
    (folder / "0001.progress").write_text("[1")
    with pytest.raises(Damaged, match="delete it"):
        read_standing(folder / "0001.progress")
    with pytest.raises(UnknownName, match="unknown run 'tow'. Did you mean 'toy-1'"):
        standings(root, "tow")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no file here that is always full")
def test_a_log_that_cannot_be_written_any_more_is_told_once_and_ends_no_run(toys, tmp_path):
    class Heard(Reporter):
        def __init__(self):
            self.notes = []

        def note(self, text):
            self.notes.append(text)

    heard = Heard()
    log = JsonLog(Path("/dev/full"), heard)
    done = run(toys.recipe(tmp_path, TEXTS), tmp_path / "c", scheduler="sync", reporter=log)
    log.close()
    assert done.n_features_made == 6
    [told] = heard.notes
    assert told.startswith("'/dev/full' ends here: ")
    assert "No space left" in told or "no room" in told or "full" in told.split(": ", 1)[1]


def test_a_run_tells_time_bytes_slowest_utterances_and_memory(toys, tmp_path):
    log = JsonLog(tmp_path / "logs" / "run.jsonl", Reporter())
    made = toys.recipe(tmp_path, TEXTS)
    done = run(made, tmp_path / "cache", scheduler="sync", reporter=log)
    log.close()
    shards = list((tmp_path / "cache" / "shards").rglob("*.h5"))
    assert sum(done.spent.bytes.values()) == sum(path.stat().st_size for path in shards)
    assert set(done.spent.bytes) == {"letters", "doubled"}
    slow = done.spent.slowest
    assert 0 < len(slow) <= 10
    assert [one.seconds for one in slow] == sorted((one.seconds for one in slow), reverse=True)
    assert {one.utterance for one in slow} <= set(done.corpus.ids)
    assert 10e6 < done.spent.workers <= done.spent.driver < 100e9  # in one process here
    [standing] = standings(tmp_path / "cache")
    assert standing.state == "failures"
    assert standing.spent["bytes"] == done.spent.bytes
    assert standing.pid == os.getpid()
    log_lines = (tmp_path / "logs" / "run.jsonl").read_text().splitlines()
    lines = [json.loads(line) for line in log_lines]
    lines = [line for line in lines if line["event"] != "note"]
    assert lines[0]["event"] == "run"
    by_event = {line["event"] for line in lines}
    assert by_event == {"run", "start", "pool", "shard", "advance", "failure", "end"}
    failed = [line for line in lines if line["event"] == "failure"]
    assert {line["message"] for line in failed if line["node"] == "letters"} == {"a bad word"}
    assert sum(line["bytes"] for line in lines if line["event"] == "shard") == sum(
        done.spent.bytes.values()
    )
    assert lines[-1]["state"] == "failures"
    assert all(line["time"].endswith("+00:00") for line in lines)
