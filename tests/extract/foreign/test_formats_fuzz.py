"""Files of every format with random faults: read or refused, soon, and nothing written."""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pytest
import scipy.io

from affectflow.cache.corpus import Corpus
from affectflow.cache.errors import AffectflowError
from affectflow.cache.records import ArraySpec, Features, frame_times
from affectflow.cache.table import concat
from affectflow.extract.foreign import (
    feature_pickle_out,
    npz_file,
    parquet_file,
    read_foreign,
)
from affectflow.extract.foreign.outgoing import Outgoing

#: Reads every file of a folder, in a process of its own: a library that crashes shows.
READ_ALL = """
import pathlib, sys
from affectflow.cache.errors import AffectflowError
from affectflow.extract.foreign import read_foreign
read = refused = 0
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    own = path.is_dir() or path.suffix in (".npz", ".parquet", ".pkl")  # says what it holds
    try:
        found = read_foreign(path, **({} if own else {"modality": "audio"}))
        for array in found.arrays.values():
            for i in range(len(found.ids)):
                array.rows(i)
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
    with h5py.File(folder / "c.mat", "w", userblock_size=512) as file:
        file["features"] = values.T
    with open(folder / "c.mat", "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM")
    part = Features(values.astype(np.float32), frame_times(6, 0.1))
    corpus = Corpus.from_columns(
        {"id": ["v/1", "v/2"], "M": [0.5, 1], "text": ["so", "x"], "split": ["train", "test"]},
        name="c", family="mosi",
    )  # fmt: skip
    table = concat(corpus.ids, [part, part], ArraySpec((3,)))
    given = Outgoing(corpus, {"audio": table}, {"audio": "audio"})
    npz_file.write(folder / "a.npz", given, {})
    parquet_file.write(folder / "a.parquet", given, {})
    feature_pickle_out.write(folder / "a.pkl", given, {})
    return sorted(folder.iterdir())


def originals_of_folders(folder):
    """A good folder of each format that is one: of sequences, and of datasets."""
    sequences = folder / "csd"
    sequences.mkdir(parents=True)
    spans = np.array([[0, 1], [1, 3.0]])
    for name, values in (
        ("COVAREP", np.ones((2, 3))), ("words", np.array([[b"so"], [b"good"]])),
        ("labels", np.array([[1.0], [-1]])),
    ):  # fmt: skip
        with h5py.File(sequences / f"{name}.csd", "w") as file:
            file[f"{name}/data/v/features"], file[f"{name}/data/v/intervals"] = values, spans
    saved = folder / "hf"
    saved.mkdir()
    rows = pa.array([[[1.0, 2.0]], []], pa.list_(pa.list_(pa.float32(), 2)))
    data = pa.table({"id": ["a", "b"], "audio_values": rows, "M": [0.5, None]})
    with pa.ipc.new_stream(saved / "data.arrow", data.schema) as stream:
        stream.write_table(data)
    (saved / "state.json").write_text('{"_data_files": [{"filename": "data.arrow"}]}')
    return [sequences, saved]


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


def read_by_another(folder, root):
    """How many files or folders a process of its own read and refused; it changed nothing."""
    before = sorted(root.rglob("*"))
    package = Path(sys.modules["affectflow"].__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READ_ALL, str(folder)],
        capture_output=True, text=True, timeout=60, cwd=root,
        env={**os.environ, "PYTHONPATH": f"{package}:{os.environ.get('PYTHONPATH', '')}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert sorted(root.rglob("*")) == before
    read, refused = map(int, done.stdout.split())
    return read, refused


def test_the_originals_are_read(tmp_path):
    for path in originals(tmp_path / "good"):
        own = path.suffix in (".npz", ".parquet", ".pkl")
        found = read_foreign(path, **({} if own else {"modality": "audio"}))
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
    read, refused = read_by_another(bad, tmp_path)
    assert read + refused == 40 * len(goods)
    assert refused > 100


@pytest.mark.slow
def test_folders_with_random_faults_neither_crash_nor_hang_nor_write(tmp_path):
    dice = random.Random(0)
    for good in originals_of_folders(tmp_path / "good"):
        assert next(iter(read_foreign(good).arrays.values())).rows(0) is not None
        for k in range(60):
            bad = tmp_path / "bad" / f"{good.name}{k}"
            shutil.copytree(good, bad)
            file = dice.choice(sorted(bad.iterdir()))
            file.write_bytes(damaged(file.read_bytes(), dice))
    read, refused = read_by_another(tmp_path / "bad", tmp_path)
    assert read + refused == 120
    assert refused > 20


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
