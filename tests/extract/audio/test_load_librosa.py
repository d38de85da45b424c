"""Processes that start together must not spoil each other's compiled code."""

import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock
from numba.core import config

from affectflow.extract.audio import load_librosa as module

WAITS = """
import pathlib
print("asks", flush=True)
from affectflow.extract.audio.load_librosa import load_librosa
librosa = load_librosa()
assert pathlib.Path(%r).exists(), "imported while another process held the lock"
import numpy as np
pitches, _ = librosa.piptrack(y=np.sin(2 * np.pi * 440 / 22050 * np.arange(22050)), sr=22050)
print(round(float(np.median(pitches[pitches > 0]))))
"""


@pytest.mark.slow
def test_one_process_at_a_time_imports(tmp_path):
    released = tmp_path / "released"
    command = [sys.executable, "-c", WAITS % str(released)]
    Path(config.CACHE_DIR).mkdir(parents=True, exist_ok=True)
    with FileLock(Path(config.CACHE_DIR) / ".lock"):
        workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        for worker in workers:
            assert worker.stdout.readline() == "asks\n"
        with pytest.raises(subprocess.TimeoutExpired):
            workers[0].wait(timeout=3)
        released.touch()
    for worker in workers:
        out, _ = worker.communicate()
        assert (worker.returncode, out) == (0, "440\n")


@pytest.fixture
def imported(monkeypatch):
    """Modules that are imported, and numba's folder at that time."""
    seen = []

    def note(name):
        seen.append((name, config.CACHE_DIR))

    monkeypatch.setattr(module.importlib, "import_module", note)
    return seen


def test_compiled_code_lies_in_a_folder_of_our_own(tmp_path, monkeypatch, imported):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(config, "CACHE_DIR", "")
    module.load_librosa.__wrapped__()
    assert ("librosa.core.pitch", str(tmp_path / "affectflow" / "numba")) in imported
    assert config.CACHE_DIR == ""


def test_or_where_the_user_says(tmp_path, monkeypatch, imported):
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "mine"))
    module.load_librosa.__wrapped__()
    assert ("librosa.core.pitch", str(tmp_path / "mine")) in imported
