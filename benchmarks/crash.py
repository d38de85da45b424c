"""SIGKILL at random moments of an extraction, then run again: same bits, nothing lost or doubled.

Each round starts ``affectflow extract`` on the demo corpus with an empty cache, kills the driver or
one of its workers at a random moment, runs the same command again, and compares every feature with
those of an undisturbed run at the same number of threads. ``cache gc`` must leave no temporary
file, ``cache verify`` must find no damage.

    python benchmarks/crash.py [--rounds 20] [--utterances 24] [--seed 0]
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from affectflow.cache.garbage import collect
from affectflow.cache.layout import node_names, shard_paths
from affectflow.cache.publish import PART
from affectflow.cache.records import Features
from affectflow.cache.shard_file import ShardFile
from affectflow.cache.verify import verify


def command(folder: Path, cache: Path, n: int) -> list[str]:
    """The extraction of the demo recipe."""
    return [
        *(sys.executable, "-m", "affectflow", "extract", "demo", "--workers", "2"),
        *("--cache", str(cache), "--set", f"corpus.root={folder / 'demo'}"),
        *("--set", f"corpus.n={n}"),
    ]


def children(pid: int) -> list[int]:
    """All processes below one, found in /proc."""
    parents: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                text = Path(f"/proc/{entry}/stat").read_text()
            except OSError:
                continue  # gone meanwhile
            parents.setdefault(int(text.rpartition(")")[2].split()[1]), []).append(int(entry))
    found, todo = [], [pid]
    while todo:
        below = parents.get(todo.pop(), [])
        found += below
        todo += below
    return found


def content(cache: Path) -> dict[tuple[str, bytes], list[Features]]:
    """Every feature in a store by node and key; more than one is a double."""
    found: dict[tuple[str, bytes], list[Features]] = {}
    for node in node_names(cache):
        for path in shard_paths(cache, node):
            shard = ShardFile(path)
            for row, key in enumerate(shard.keys):
                found.setdefault((node, key), []).append(shard.features(row))
    return found


def differences(cache: Path, expected: dict[tuple[str, bytes], list[Features]]) -> list[str]:
    """What is wrong with a store after a kill and a second run."""
    wrong = []
    got = content(cache)
    wrong += [f"lost {key.hex()} of {node}" for node, key in expected if (node, key) not in got]
    wrong += [f"extra {key.hex()} of {node}" for node, key in got if (node, key) not in expected]
    wrong += [f"doubled {key.hex()} of {node}" for (node, key), f in got.items() if len(f) > 1]
    for name, (features, *_) in got.items():
        for array, part in features.arrays().items():
            other = expected[name][0].arrays()[array]
            for kind in ("values", "times", "mask"):
                if not np.array_equal(getattr(part, kind), getattr(other, kind), equal_nan=True):
                    wrong.append(f"{kind} of '{array}' differ in {name[0]}")
    collect(cache)
    wrong += [f"left over: {path}" for path in cache.rglob(f"*{PART}")]
    wrong += [f"damaged: {fault.message}" for fault in verify(cache).faults]
    return wrong


def main() -> None:
    """Undisturbed run, then the rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--utterances", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    draw = random.Random(asked.seed)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_CACHE_HOME"] = f"{folder}/xdg"
        subprocess.run(command(folder, folder / "warm", asked.utterances), check=True, **quiet)
        begin = time.perf_counter()
        subprocess.run(command(folder, folder / "calm", asked.utterances), check=True, **quiet)
        seconds = time.perf_counter() - begin
        expected = content(folder / "calm")
        bad, killed = 0, {"driver": 0, "worker": 0, "too late": 0}
        for number in range(asked.rounds):
            cache = folder / f"killed-{number}"
            run = subprocess.Popen(command(folder, cache, asked.utterances), **quiet)
            time.sleep(draw.uniform(0.2, seconds))
            below = children(run.pid)
            victim = "driver" if draw.random() < 0.5 or not below else "worker"
            if run.poll() is None:
                os.kill(run.pid if victim == "driver" else draw.choice(below), signal.SIGKILL)
            else:
                victim = "too late"
            killed[victim] += 1
            run.wait()
            again = subprocess.run(command(folder, cache, asked.utterances), **quiet)
            wrong = differences(cache, expected)
            if again.returncode:
                wrong.append(f"the second run ended with {again.returncode}")
            bad += bool(wrong)
            print(f"round {number}: {victim}", *wrong[:5], sep="; ", flush=True)
    print(f"killed: {killed}")
    print(f"figure features = {len(expected)} 1")
    print(f"figure rounds = {asked.rounds} 1")
    print(f"figure rounds_with_differences = {bad} 1")


if __name__ == "__main__":
    main()
