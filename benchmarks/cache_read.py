"""How fast cached features are read, checksums verified, page cache warm.

1. About 1 GB of float16 features (HuBERT-like: 768 columns, 50 rows a second, utterances of 1 to
   9 s) in 64 MiB shards through ``FeatureStore.table``, against ``np.copy`` of the same array into
   fresh memory; page faults are in both. Taken in turns, medians. And the same as a mapped table:
   made for the first time in a process (every value is checked, none is kept), and again.
2. 2,000 utterances by random key over 100 shards, index look-up included, in a store that was
   just opened: one by one through ``places`` and ``read_many``.

    python benchmarks/cache_read.py [--gigabytes 1] [--rounds 9] [--folder DIR]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from affectflow.cache import bulk as bulk_read
from affectflow.cache.records import ArraySpec, Features, frame_times
from affectflow.cache.store import FeatureStore

NODE = "ab" * 32
ORIGIN = {"description": {"name": "benchmark"}, "libraries": {"numpy": np.__version__}}


def fill(store: FeatureStore, node: str, n_shards: int, lengths: np.ndarray, width: int) -> list:
    """Write shards of ``len(lengths) / n_shards`` utterances each; returns the keys."""
    rng = np.random.default_rng(0)
    spec = {"values": ArraySpec((width,), "float16", hop=0.02)}
    pool = rng.normal(size=(int(lengths.max()) + 977, width)).astype(np.float16)
    keys = []
    for part in np.array_split(lengths, n_shards):
        items = {}
        for n in part.tolist():
            begin = int(rng.integers(977))
            values = pool[begin : begin + n]
            items[rng.bytes(16)] = Features(values, frame_times(n, 0.02, 0.025))
        store.add([store.write(node, items, spec=spec, origin=ORIGIN)])
        keys += sorted(items)
    return keys


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    result = work()
    taken = time.perf_counter() - start
    del result
    return taken


def bulk(folder: Path, gigabytes: float, rounds: int) -> None:
    rng = np.random.default_rng(1)
    n = int(gigabytes * 1e9 / (250 * 768 * 2))
    lengths = rng.integers(50, 451, size=n)
    with_index = FeatureStore(folder / "bulk", folder / "bulk.sqlite")
    keys = fill(with_index, NODE, max(1, round(gigabytes * 1e9 / (64 << 20))), lengths, 768)
    ids = [str(i) for i in range(len(keys))]
    places = with_index.places(NODE, keys)
    values = with_index.table(ids, places).values
    reads, copies, first, again = [], [], [], []
    for _ in range(rounds):
        bulk_read._checked.clear()
        for times in (first, again):
            times.append(seconds(lambda: with_index.table(ids, places, mapped=True)))
        copies.append(seconds(lambda: np.copy(values)))
        reads.append(seconds(lambda: with_index.table(ids, places)))
    read, copy = statistics.median(reads), statistics.median(copies)
    print(f"{values.nbytes / 1e9:.2f} GB, {len(keys)} utterances, {len(values)} rows")
    print(f"figure cache_read_speed = {values.nbytes / 1e9 / read:.2f} GB/s")
    print(f"figure memcpy_speed = {values.nbytes / 1e9 / copy:.2f} GB/s")
    print(f"figure cache_read_against_memcpy = {copy / read:.2f} ratio")
    print(f"figure cache_map_against_memcpy = {copy / statistics.median(first):.2f} ratio")
    print(f"figure cache_map_again = {statistics.median(again):.3f} s")


def scattered(folder: Path, rounds: int) -> None:
    root, index = folder / "scattered", folder / "scattered.sqlite"
    keys = fill(FeatureStore(root, index), NODE, 100, np.full(6400, 60), 33)
    times, tables = [], []
    for seed in range(rounds):
        chosen = np.random.default_rng(seed).permutation(len(keys))[:2000]
        asked = [keys[i] for i in chosen]
        store = FeatureStore(root, index)
        times.append(seconds(lambda: list(store.read_many(store.places(NODE, asked)))))  # noqa: B023
        store = FeatureStore(root, index)
        ids = [key.hex() for key in asked]
        tables.append(seconds(lambda: store.table(ids, store.places(NODE, asked))))  # noqa: B023
    print(f"figure random_2000_utterances_of_100_shards = {statistics.median(times):.3f} s")
    print(f"figure random_2000_utterances_as_table = {statistics.median(tables):.3f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--folder", type=Path, help="where to write; default: temporary")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        bulk(Path(folder), arguments.gigabytes, arguments.rounds)
        scattered(Path(folder), arguments.rounds)


if __name__ == "__main__":
    main()
