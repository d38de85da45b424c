"""Two runs of one recipe at the same time on one store share the work and lose nothing."""

import os
import subprocess
import sys
from collections import Counter

import pytest

from affectflow.cache.layout import node_names, shard_paths
from affectflow.cache.names import PART
from affectflow.cache.shard_file import ShardFile

RECIPE = """
name: words
corpus: {root: corpus}
nodes:
  text: {extract: vader}
  sound: {extract: librosa-33}
"""


@pytest.mark.slow
def test_two_extractions_at_once_make_each_feature_once(tmp_path, toys, clip_path):
    texts = [f"a lovely day number {i}" for i in range(60)] + ["..."]
    toys.corpus(texts, media=str(clip_path)).write(tmp_path / "corpus" / "corpus.parquet")
    (tmp_path / "words.yaml").write_text(RECIPE)
    command = [sys.executable, "-m", "affectflow", "extract", "words.yaml", "--scheduler", "sync"]
    both = [
        subprocess.Popen(
            command,
            cwd=tmp_path,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    said = [run.communicate(timeout=120)[0] for run in both]
    assert [run.returncode for run in both] == [1, 1], said  # one transcript has no word
    assert all("60 of 61" in text and "v/060" in text for text in said), said
    assert not any("Traceback" in text for text in said), said
    keys = Counter(
        (node, key)
        for node in node_names(tmp_path / "features")
        for path in shard_paths(tmp_path / "features", node)
        for key in ShardFile(path).keys
    )
    assert len(keys) == 61  # 60 transcripts, and one sound that all share
    assert set(keys.values()) == {1}
    made = [int(line.split()[0]) for text in said for line in text.splitlines() if "made, " in line]
    assert sum(made) == 61
    assert list((tmp_path / "features").rglob(f"*{PART}")) == []
    left = [path for path in (tmp_path / "features" / "leases").rglob("*") if path.is_file()]
    assert left == []
