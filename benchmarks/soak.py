"""Extraction without a pause under new fingerprints: workers' memory stays flat, files are closed.

One cache, one pool of workers, one corpus (the demo); the settings of its extractors change from
turn to turn, so that everything is made anew, until the time is over. Resident memory and open
files of every worker and of this driver are looked at after each turn. The first fifth of the time
is warming up. Of the rest, the last quarter is compared with the first.

    python benchmarks/soak.py [--minutes 60] [--workers 2] [--utterances 24]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import psutil

from affectflow.cache.index import cache_folder
from affectflow.workflows import run as run_module
from affectflow.workflows.cluster_spec import ClusterSpec
from affectflow.workflows.dask_pool import Dask
from affectflow.workflows.pool import Pool
from affectflow.workflows.recipe import build
from affectflow.workflows.run import run

#: Turns after which shards are removed, so that the disk does not fill: nothing reads them.
KEPT = 20


class Kept:
    """A pool that outlives the runs that use it, as in one run that goes on for hours."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def __getattr__(self, name: str) -> object:
        return getattr(self._pool, name)

    def close(self) -> None:
        """Not yet."""


def recipe_of(turn: int, root: str, n: int) -> dict[str, object]:
    """The same nodes with other settings, so other fingerprints."""
    return {
        "name": "soak",
        "corpus": {"kind": "demo", "root": root, "n": n},
        "nodes": {
            "sound": {"extract": "logmel-64", "floor": 80.0 + turn / 1000},
            "text": {"extract": "vader"},
        },
    }


#: Turns after the warm-up that are looked at, however slow the machine is.
LEAST = 4


def look(processes: list[psutil.Process]) -> dict[int, tuple[int, int]]:
    """Process -> resident bytes, open files."""
    return {one.pid: (one.memory_info().rss, one.num_fds()) for one in processes}


def main() -> None:
    """Turn after turn, then the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--utterances", type=int, default=24)
    asked = parser.parse_args()
    seen: dict[int, list[tuple[int, int]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as place:
        # what numba compiles is none of what is tested: it stays where this user has it
        os.environ.setdefault("NUMBA_CACHE_DIR", str(cache_folder() / "numba"))
        os.environ["XDG_CACHE_HOME"] = f"{place}/xdg"
        pool = Dask(ClusterSpec(workers=asked.workers), asked.workers, Path(place))
        run_module.open_pool = lambda *_: Kept(pool)
        below = psutil.Process().children(recursive=True)
        workers = [one for one in below if "spawn_main" in " ".join(one.cmdline())]
        watched = [psutil.Process(), *workers]
        begin, turn = time.monotonic(), 0
        whole = asked.minutes * 60
        while (gone := time.monotonic() - begin) < whole or len(seen[os.getpid()]) < LEAST:
            made = build(recipe_of(turn, f"{place}/demo", asked.utterances), "soak")
            assert run(made, f"{place}/cache-{turn // KEPT}", kinds=("extract",)).ok
            turn += 1
            if gone > whole / 5:
                for pid, found in look(watched).items():
                    seen[pid].append(found)
        pool.close()
    quarter = max(1, len(seen[os.getpid()]) // 4)
    growth, files = {}, {}
    for pid, found in seen.items():
        resident, opened = np.array(found, float).T
        first, last = np.median(resident[:quarter]), np.median(resident[-quarter:])
        growth[pid] = 100 * (last / first - 1)
        files[pid] = int(np.median(opened[-quarter:]) - np.median(opened[:quarter]))
        name = "driver" if pid == os.getpid() else "worker"
        sizes = f"{first / 2**20:.0f} -> {last / 2**20:.0f} MiB, {growth[pid]:+.1f} %"
        print(f"{name} {pid}: {sizes}, {files[pid]:+d} open files")
    of_workers = [pid for pid in seen if pid != os.getpid()]
    print(f"figure soak_turns = {turn} 1")
    print(f"figure soak_worker_memory_growth = {max(growth[pid] for pid in of_workers):.2f} %")
    print(f"figure soak_driver_memory_growth = {growth[os.getpid()]:.2f} %")
    print(f"figure soak_worker_open_files_gained = {max(files[pid] for pid in of_workers)} 1")
    print(f"figure soak_driver_open_files_gained = {files[os.getpid()]} 1")


if __name__ == "__main__":
    main()
