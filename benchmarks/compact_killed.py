"""Kill compaction at random moments: no feature may be lost or changed.

In each round a cache grows by small shards, ``compact`` begins in a process of its own and is
killed (SIGKILL), and every feature that was ever stored is read and compared to the last bit. At
the end an undisturbed compaction and ``gc`` must leave one shard and no temporary file.

    python benchmarks/compact_killed.py [--rounds 50] [--seed 0]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from affectflow.cache.compact import compact, small_shards
from affectflow.cache.errors import CacheError
from affectflow.cache.garbage import collect
from affectflow.cache.layout import all_shards
from affectflow.cache.names import PART
from affectflow.cache.records import ArraySpec, Features, frame_times
from affectflow.cache.store import FeatureStore

NODE = "ab" * 32
SPEC = {"values": ArraySpec((3,), "float32", ("a", "b", "c"), 0.04)}
SHARDS, UTTERANCES, ROWS = 12, 4, 9
#: Seconds after which compaction is killed at most: often it is done by then.
LONG = 0.6
CODE = (
    "import sys; from pathlib import Path; "
    "from affectflow.cache.compact import compact, small_shards; "
    "root = Path(sys.argv[1]); print(flush=True); "
    "compact(root, small_shards(root), grace=0.0)"
)


def grow(store: FeatureStore, rng: np.random.Generator) -> dict[bytes, bytes]:
    """Publish small shards; returns the bytes of each utterance's values by key."""
    stored = {}
    for _ in range(SHARDS):
        items = {
            rng.bytes(16): Features(
                rng.normal(size=(ROWS, 3)).astype(np.float32),
                frame_times(ROWS, 0.04, 0.06),
                ("a", "b", "c"),
            )
            for _ in range(UTTERANCES)
        }
        store.write(NODE, items, spec=SPEC, origin={"libraries": {}})
        stored |= {key: features.values.tobytes() for key, features in items.items()}
    return stored


def lost(root: Path, stored: dict[bytes, bytes]) -> int:
    """How many features are not there any more, or not as they were."""
    store = FeatureStore(root)
    store.adopt()
    found = 0
    for key, values in stored.items():
        try:
            found += store.read(NODE, key).values.tobytes() != values
        except CacheError:
            found += 1
    store.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    stored: dict[bytes, bytes] = {}
    killed = missing = 0
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder  # the index, too, is of this run alone
        root = Path(folder) / "cache"
        for _ in range(arguments.rounds):
            stored |= grow(FeatureStore(root), rng)
            command = [sys.executable, "-c", CODE, str(root)]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
                assert process.stdout is not None  # it was asked for
                process.stdout.readline()
                time.sleep(rng.uniform(0, LONG))
                process.kill()
            killed += process.returncode != 0
            missing += lost(root, stored)
        compact(root, small_shards(root), grace=0.0)
        collect(root, grace=0.0)
        left, parts = len(all_shards(root)), len(list(root.rglob(f"*{PART}")))
        missing += lost(root, stored)
    print(f"figure compact_killed = {killed} of {arguments.rounds} rounds")
    print(f"figure compact_lost = {missing} of {len(stored)} features")
    print(f"figure compact_left = {left} shards, {parts} temporary files")
    if missing or left != 1 or parts:
        raise SystemExit(os.EX_SOFTWARE)


if __name__ == "__main__":
    main()
