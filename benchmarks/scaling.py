"""Two workers beside one: how much sooner a node is made, and how much sooner it could be.

For librosa, openSMILE and MTCNN nodes the same clips (copies of the demo's) are made by a run with
one worker and by a run with two, each worker with one thread and warm. What the machine allows is
measured beside it: the same extractor over the same clips in one plain process and, half each, in
two that know nothing of each other, without dask and cache. Two cores that are threads of one, or
share caches and memory, allow less than 2.

    python benchmarks/scaling.py [--seconds 8] [--rounds 2] [--nodes egemaps]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from broken_media import alike
from one_node import seconds_of
from soak import Kept

from affectflow.cache.index import cache_folder
from affectflow.extract.registry import extractor
from affectflow.workflows import run as run_module
from affectflow.workflows.cluster_spec import ClusterSpec
from affectflow.workflows.corpora import CorpusSpec
from affectflow.workflows.dask_pool import Dask

NODES = ("librosa-33", "egemaps", "mtcnn-face")
#: Clips of the demo that are copied, and how many of them say what one costs.
TEMPLATES, FEW = 12, 4


def plain(name: str, paths: Sequence[str]) -> None:
    """An extractor over some clips, in this process."""
    made = extractor(name)
    for path in paths:
        made(path)


def side_by_side(plains: ProcessPoolExecutor, name: str, paths: Sequence[str], n: int) -> float:
    """Seconds that so many plain processes need for all the clips."""
    begin = time.perf_counter()
    for task in [plains.submit(plain, name, paths[i::n]) for i in range(n)]:
        task.result()
    return time.perf_counter() - begin


def copies(folder: Path, n: int) -> list[str]:
    """Paths of so many clips, each with a digest of its own."""
    corpus = CorpusSpec(str(folder / "demo"), "demo", {"n": TEMPLATES, "seed": 0}).open()
    images = [Path(one.media).read_bytes() for one in corpus if one.media]
    paths = [folder / f"{i:05d}.mp4" for i in range(n)]
    for i, path in enumerate(paths):
        if not path.exists():
            path.write_bytes(alike(images[i % len(images)], b"%d" % i))
    return [str(path) for path in paths]


def best(rounds: int, *ways: Callable[[], float]) -> list[float]:
    """The least seconds of each way, tried in turns."""
    seconds = [[way() for way in ways] for _ in range(rounds)]
    return [min(turn[i] for turn in seconds) for i in range(len(ways))]


def measure(
    name: str,
    folder: Path,
    pools: dict[int, Dask],
    plains: ProcessPoolExecutor,
    asked: argparse.Namespace,
) -> None:
    """Print the figures of one node."""

    def by_run(n: int, paths: Sequence[str]) -> float:
        run_module.open_pool = lambda *_: Kept(pools[n])
        columns = {"id": [Path(path).stem for path in paths], "media": paths}
        return seconds_of(extractor(name), columns, folder, "processes")

    few = copies(folder, FEW)
    side_by_side(plains, name, [*few, *few], 2)  # loads libraries
    one_clip = side_by_side(plains, name, few, 1) / FEW
    paths = copies(folder, max(8 * FEW, round(asked.seconds / one_clip)))
    for n in pools:
        by_run(n, paths[: 4 * FEW])
    one, two, plain_one, plain_two = best(
        asked.rounds,
        lambda: by_run(1, paths),
        lambda: by_run(2, paths),
        lambda: side_by_side(plains, name, paths, 1),
        lambda: side_by_side(plains, name, paths, 2),
    )
    word = name.replace("-", "_")
    print(f"{name}: {len(paths)} clips, {one:.1f} s by one worker, {two:.1f} s by two", flush=True)
    print(f"figure scaling_{word} = {one / two:.2f} times")
    print(f"figure scaling_{word}_of_plain_processes = {plain_one / plain_two:.2f} times")
    print(f"figure overhead_{word}_of_one_worker = {100 * (one / plain_one - 1):.1f} %")


def main() -> None:
    """Each node in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8, help="of work, for one process")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--nodes", nargs="+", choices=NODES, default=NODES)
    asked = parser.parse_args()
    # what numba compiles is none of what is timed: it stays where this user has it
    os.environ.setdefault("NUMBA_CACHE_DIR", str(cache_folder() / "numba"))
    os.environ["OMP_NUM_THREADS"] = "1"
    with (
        tempfile.TemporaryDirectory() as place,
        ProcessPoolExecutor(2, get_context("spawn")) as two,
    ):
        os.environ["XDG_CACHE_HOME"] = f"{place}/xdg"
        spec = {n: ClusterSpec(workers=n, options={"cores": 1}) for n in (1, 2)}
        pools = {n: Dask(spec[n], n, Path(place)) for n in spec}
        try:
            for name in asked.nodes:
                measure(name, Path(place), pools, two, asked)
        finally:
            for pool in reversed(pools.values()):
                pool.close()


if __name__ == "__main__":
    main()
