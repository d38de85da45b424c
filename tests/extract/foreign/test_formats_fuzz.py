"""HDF5, .mat, .npy and CSV with random faults: read or refused, soon, and nothing written."""

import os
import random
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

from affectflow.cache.errors import AffectflowError
from affectflow.extract.foreign import read_foreign

#: Reads every file of a folder, in a process of its own: a library that crashes shows.
READ_ALL = """
import pathlib, sys
from affectflow.cache.errors import AffectflowError
from affectflow.extract.foreign import read_foreign
read = refused = 0
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    try:
        found = read_foreign(path, modality="audio")
        for i in range(len(found.ids)):
            next(iter(found.arrays.values())).rows(i)
        read += 1
    except AffectflowError:
        refused += 1
print(read, refused)
"""


def originals(folder):
    """One good small file of each format."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    values = rng.normal(size=(6, 3))
    with h5py.File(folder / "a.h5", "w") as file:
        file["v/a"] = values
        file.create_dataset("v/b", data=values, chunks=(2, 3), compression="gzip")
    with h5py.File(folder / "a.csd", "w") as file:
        file["audio/data/s/features"] = values
        file["audio/data/s/intervals"] = np.sort(rng.random((6, 2)), axis=1)
    scipy.io.savemat(folder / "a.mat", {"features": values})
    scipy.io.savemat(folder / "b.mat", {"features": values}, do_compression=True)
    np.save(folder / "a.npy", values)
    head = "frame,timestamp,confidence,success,x\n"
    (folder / "a.csv").write_text(head + "".join(f"{i},{i / 25},1,1,{i}\n" for i in range(5)))
    head = "a\tFrameTime\tNoOfFaces\tJoy Evidence\t\n"
    (folder / "a.txt").write_text(head + "".join(f"a\t{i + 1}\t1\t0.5\t\n" for i in range(5)))
    return sorted(folder.iterdir())


def damaged(data, dice):
    """The bytes with a few changed, cut off, doubled or large numbers put in."""
    found = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(found))
        kind = dice.randrange(4)
        if kind == 0:
            found[at] = dice.randrange(256)
        elif kind == 1:
            found[at : at + 8] = b"\xff" * 8
        elif kind == 2:
            found = found[: max(at, 64)]
        else:
            found[at:at] = found[at : at + 16]
    return bytes(found)


def test_the_originals_are_read(tmp_path):
    for path in originals(tmp_path / "good"):
        found = read_foreign(path, modality="audio")
        assert len(next(iter(found.arrays.values())).rows(0)) >= 5


@pytest.mark.slow
def test_random_faults_neither_crash_nor_hang_nor_write(tmp_path):
    dice = random.Random(0)
    bad = tmp_path / "bad"
    bad.mkdir()
    goods = originals(tmp_path / "good")
    for path in goods:
        for k in range(40):
            (bad / f"{path.stem}{k}{path.suffix}").write_bytes(damaged(path.read_bytes(), dice))
    before = sorted(p for p in tmp_path.rglob("*"))
    package = Path(sys.modules["affectflow"].__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READ_ALL, str(bad)],
        capture_output=True, text=True, timeout=60, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{package}:{os.environ.get('PYTHONPATH', '')}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    read, refused = map(int, done.stdout.split())
    assert read + refused == 40 * len(goods)
    assert refused > 100
    assert sorted(p for p in tmp_path.rglob("*")) == before


def test_random_text_as_csv_is_refused(tmp_path):
    hypothesis = pytest.importorskip("hypothesis", reason="pip install 'affectflow[dev]'")
    path = tmp_path / "audio.csv"

    @hypothesis.settings(max_examples=25, deadline=None, derandomize=True, database=None)
    @hypothesis.given(hypothesis.strategies.text(max_size=60))
    def check(rest):
        path.write_text(f"frame,timestamp,confidence,success,x\n{rest}", "utf-8", "replace")
        try:
            found = read_foreign(path)
            found.arrays["vision"].rows(0)
        except AffectflowError:
            return
        assert rest.count(",") >= 4

    check()
