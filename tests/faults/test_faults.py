"""Short versions of what the scripts under benchmarks/ show at length; see docs/reliability.md."""

import os
import runpy
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch, tmp_path):
    """The names of a script, which may read those beside it."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    return lambda name: runpy.run_path(str(BENCHMARKS / f"{name}.py"))


def figures(text):
    """``figure NAME = VALUE UNIT`` by name."""
    lines = [line.split() for line in text.splitlines() if line.startswith("figure ")]
    return {words[1]: float(words[3]) for words in lines}


def told(name, *words):
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / f"{name}.py"), *words],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return figures(done.stdout)


def test_a_disk_that_fails_at_a_random_point_leaves_nothing_torn_and_the_next_run_goes_on(
    script, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("affectflow.workflows.answers.PAUSE", 0.0)
    monkeypatch.setattr("affectflow.cache.leases.DEAD", 60.0)  # the script makes it short
    assert script("faulty_disk")["points"](tmp_path, 10, Random(3)) == 0
    found = figures(capsys.readouterr().out)
    assert found["fault_points"] == 10
    assert found["fault_points_met"] >= 5  # a run that is quicker makes fewer calls
    assert found["fault_points_gone_wrong"] == 0


@pytest.mark.parametrize(
    "way", ["cut in the pictures", "zeroed stsz", "playlist", "places swapped"]
)
def test_a_broken_clip_is_refused_with_a_reason_of_ours(script, tmp_path, way):
    from affectflow.cache.errors import BadMedia
    from affectflow.extract.clip import Clip

    media = script("broken_media")
    path = tmp_path / "clip.mp4"
    path.write_bytes(media["broken"](way, media["clip"](Random(0)), Random(1)))
    clip = Clip("broken", str(path))
    with pytest.raises(BadMedia, match="clip.mp4"):
        list(clip.frames(5.0))


@pytest.mark.slow
def test_of_a_poisoned_corpus_all_good_clips_are_made_and_the_deadly_one_is_found():
    found = told("poisoned", "--clips", "24", "--broken", "20", "--workers", "1")
    assert found["good_clips_made"] == 4
    assert found["broken_clips_with_a_reason"] == 20
    assert found["clips_that_killed_a_worker"] == 1
    assert found["innocent_clips_set_aside"] == found["reasons_that_are_bugs"] == 0


@pytest.mark.slow
def test_two_runs_on_one_cache_at_once_make_what_one_makes():
    found = told("two_drivers", "--rounds", "1", "--utterances", "24")
    assert found["two_drivers_rounds_with_differences"] == 0


@pytest.mark.slow
def test_a_process_that_is_killed_in_a_run_loses_and_doubles_nothing():
    found = told("crash", "--rounds", "1", "--utterances", "12")
    assert found["models"] == 1
    assert found["rounds_with_differences"] == 0


@pytest.mark.slow
def test_a_worker_that_works_on_does_not_grow_nor_leave_files_open():
    found = told("soak", "--minutes", "0.1", "--workers", "1", "--utterances", "12")
    assert found["soak_turns"] > 1
    assert found["soak_worker_open_files_gained"] <= 2  # one a turn would be three or more
    assert found["soak_driver_open_files_gained"] <= 2


def test_a_process_keeps_nothing_of_the_clips_that_it_has_decoded(script, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["decoder_memory.py", "--turns", "5"])
    script("decoder_memory")["main"]()
    found = figures(capsys.readouterr().out)
    assert found["decoder_memory_gained_in_a_thousand_clips"] < 20  # pictures: 88, sound: 122
