"""Size and speed of the index at three million rows.

Rows are entered as a driver does it, in batches of shards of 64 utterances; look-ups are of 2,000
random keys at once, in an index that was just opened.

    python benchmarks/cache_index.py [--rows 3000000] [--folder DIR]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from affectflow.cache.index import Index

NODE = "ab" * 16
SHARD, BATCH = 64, 2000


def fill(path: Path, n_rows: int) -> float:
    """Enter random keys; returns the seconds taken."""
    index = Index(path)
    rng = np.random.default_rng(0)
    taken, shards = 0.0, 0
    while shards * SHARD < n_rows:
        found = []
        for _ in range(min(1000, n_rows // SHARD - shards + 1)):
            blob = rng.bytes(16 * SHARD)
            keys = sorted(blob[i : i + 16] for i in range(0, len(blob), 16))
            name = f"shards/{NODE}/{shards % 256:02x}/{shards:016x}.{shards:032x}.h5"
            found.append((name, keys))
            shards += 1
        start = time.perf_counter()
        index.add(NODE, found)
        taken += time.perf_counter() - start
    index.close()
    return taken


def look_ups(path: Path) -> list[float]:
    """Seconds for each of some batches of keys, half of them known."""
    rng = np.random.default_rng(0)
    known = [rng.bytes(16 * SHARD) for _ in range(400)]
    keys = [blob[i : i + 16] for blob in known for i in range(0, len(blob), 16)]
    rng = np.random.default_rng(1)
    times = []
    for _ in range(9):
        chosen = rng.permutation(len(keys))[: BATCH // 2]
        asked = [keys[i] for i in chosen] + [rng.bytes(16) for _ in range(BATCH // 2)]
        index = Index(path)
        start = time.perf_counter()
        found = index.find(NODE, asked)
        times.append(time.perf_counter() - start)
        index.close()
        if len(found) != BATCH // 2:
            raise SystemExit(f"{len(found)} of {BATCH // 2} keys found")
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--folder", type=Path, help="where to write; default: temporary")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = Path(folder) / "index.sqlite"
        taken = fill(path, arguments.rows)
        size = sum(file.stat().st_size for file in Path(folder).iterdir())
        times = look_ups(path)
    print(f"figure index_size = {size / arguments.rows:.1f} bytes/row")
    print(f"figure index_insert = {taken / arguments.rows * 1e6:.2f} us/row")
    print(f"figure index_look_up = {statistics.median(times) / BATCH * 1e6:.2f} us/key")


if __name__ == "__main__":
    main()
