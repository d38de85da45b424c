"""Ctrl-C as a terminal sends it, and a run on a dask cluster that somebody else started."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from affectflow.cache.corpus import Corpus
from affectflow.cache.garbage import collect
from affectflow.cache.names import PART
from affectflow.cache.records import Utterance
from affectflow.workflows.corpora import CorpusSpec
from affectflow.workflows.recipe import Recipe, build
from affectflow.workflows.run import run

RECIPE = """
name: sounds
corpus: {root: corpus}
nodes:
  sound: {extract: librosa-33}
"""


def segments(folder, clip, n):
    """A corpus of n segments of one clip, each a little shorter than the one before."""
    ends = [1.9 - i * 0.004 for i in range(n)]
    Corpus.from_utterances(
        [Utterance(f"v/{i:03d}", media=str(clip), end=end, text="a") for i, end in enumerate(ends)],
        name="segments",
    ).write(folder / "corpus" / "corpus.parquet")


def start(folder):
    """The command in a process group of its own, with the terminal's way of hearing Ctrl-C."""
    words = ("extract", "sounds.yaml", "--workers", "1")
    return subprocess.Popen(
        [sys.executable, "-m", "affectflow", *words],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


@pytest.mark.slow
def test_ctrl_c_pressed_again_and_again_stops_quietly_and_leaves_nothing_broken(
    tmp_path, clip_path
):
    segments(tmp_path, clip_path, 400)
    (tmp_path / "sounds.yaml").write_text(RECIPE)
    stopped = start(tmp_path)
    until = time.monotonic() + 60
    while not list(tmp_path.glob("features/shards/*/*/*.h5")):
        assert stopped.poll() is None, stopped.communicate()[0]
        assert time.monotonic() < until
        time.sleep(0.05)
    for _ in range(4):
        os.killpg(stopped.pid, signal.SIGINT)
        time.sleep(0.1)
    said = stopped.communicate(timeout=60)[0]
    assert stopped.returncode == 130, said
    lines = [line for line in said.splitlines() if "dask's dashboard: http://127" not in line]
    assert lines == ["stopped; what was made is kept: run the same command to go on"]
    store = tmp_path / "features"
    collect(store)
    assert list(store.rglob(f"*{PART}")) == []
    assert [path for path in (store / "leases").rglob("*") if path.is_file()] == []
    assert not any(path.is_dir() for path in (store / "runs").glob(".*"))  # dask's scratch


@pytest.mark.slow
def test_a_whole_run_on_a_cluster_at_an_address(tmp_path, clip_path):
    from distributed import LocalCluster

    segments(tmp_path, clip_path, 12)
    source = {"name": "sounds", "nodes": {"sound": {"extract": "librosa-33"}}}
    recipe = Recipe(
        "sounds", build(source, "sounds").workflow, CorpusSpec(str(tmp_path / "corpus")), source
    )
    with LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tcp://",
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
    ) as cluster:
        assert cluster.scheduler_address.startswith("tcp://127.0.0.1:")
        there = run(recipe, tmp_path / "there", scheduler=cluster.scheduler_address)
        again = run(recipe, tmp_path / "there", scheduler=cluster.scheduler_address)
    assert there.ok
    assert there.made == {"sound": 12}
    assert again.made == {}
    here = run(recipe, tmp_path / "here", scheduler="sync")
    np.testing.assert_array_equal(there.table("sound").values, here.table("sound").values)
