"""How fast features go into a bucket and come back, against plain put and get of the same bytes.

Shards of 64 MiB are made and put by ``FeatureStore.write``, then read on another "machine" (an
empty working folder) by ``FeatureStore.table``, which fetches, checks and copies them; the same
bytes are put and got by the library alone (``fsspec``), and by ``boto3`` where it is installed.
All in turns, medians. Without an address, a server of moto's is started, which is written in Python
and slow: for one of yours give its address and keys by the environment (``AWS_ENDPOINT_URL``, ...).

    python benchmarks/object_store.py [--bucket s3://BUCKET/FOLDER] [--shards 4] [--rounds 3]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from affectflow.cache.layout import all_shards
from affectflow.cache.records import ArraySpec, Features, frame_times
from affectflow.cache.store import FeatureStore

NODE = "ab" * 32
ORIGIN = {"description": {"name": "benchmark"}}
SPEC = {"values": ArraySpec((768,), "float16", hop=0.02)}
ROWS, UTTERANCES = 680, 64  # a shard of 64 MiB


@contextmanager
def bucket(given: str) -> Iterator[str]:
    """The address to work below; a bucket of moto's unless one is given."""
    if given:
        yield given
        return
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    os.environ |= {
        "AWS_ENDPOINT_URL": "http://{}:{}".format(*server.get_host_and_port()),
        "AWS_ACCESS_KEY_ID": "benchmark",
        "AWS_SECRET_ACCESS_KEY": "benchmark",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    boto3.client("s3").create_bucket(Bucket="benchmark")
    yield "s3://benchmark/features"
    server.stop()


def shard(rng: np.random.Generator) -> dict[bytes, Features]:
    values = rng.normal(size=(ROWS, 768)).astype(np.float16)
    times = frame_times(ROWS, 0.02, 0.025)
    return {rng.bytes(16): Features(np.roll(values, i), times) for i in range(UTTERANCES)}


def seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def one_round(url: str, n_shards: int, home: Path, taken: dict[str, list[float]]) -> int:
    """Time each way once; returns the bytes that went each way."""
    import fsspec

    os.environ["XDG_CACHE_HOME"] = str(home / "here")
    rng = np.random.default_rng(time.time_ns())
    items = [shard(rng) for _ in range(n_shards)]
    store = FeatureStore(url)
    made = []
    taken["write"].append(
        seconds(lambda: made.extend(store.write(NODE, i, spec=SPEC, origin=ORIGIN) for i in items))
    )
    files, folder = [p for p in all_shards(store.root) if p.exists()], f"{url}-plain"
    n_bytes = sum(path.stat().st_size for path in files)
    plain = fsspec.filesystem(url.partition(":")[0], use_listings_cache=False)

    def put() -> None:
        for path in files:
            plain.put_file(str(path), f"{folder}/{path.name}")

    def get() -> None:
        for path in files:
            plain.get_file(f"{folder}/{path.name}", str(home / path.name))

    taken["put"].append(seconds(put))
    boto(files, folder, home, taken)
    os.environ["XDG_CACHE_HOME"] = str(home / "there")
    other = FeatureStore(url)
    taken["list"].append(seconds(other.adopt))
    keys = [key for part in items for key in part]
    names = [key.hex() for key in keys]
    taken["read"].append(seconds(lambda: other.table(names, other.places(NODE, keys))))
    taken["again"].append(seconds(lambda: other.table(names, other.places(NODE, keys))))
    taken["get"].append(seconds(get))
    plain.rm(url, recursive=True)
    plain.rm(folder, recursive=True)
    return n_bytes


def boto(files: list[Path], folder: str, home: Path, taken: dict[str, list[float]]) -> None:
    """The same by boto3, whose transfers go in parts and threads."""
    try:
        import boto3
    except ImportError:
        return
    client = boto3.client("s3")
    name, _, prefix = folder.removeprefix("s3://").partition("/")

    def put() -> None:
        for path in files:
            client.upload_file(str(path), name, f"{prefix}/boto-{path.name}")

    def get() -> None:
        for path in files:
            client.download_file(name, f"{prefix}/boto-{path.name}", str(home / path.name))

    taken["boto_put"].append(seconds(put))
    taken["boto_get"].append(seconds(get))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bucket", default="", help="an address to work below")
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    taken: dict[str, list[float]] = defaultdict(list)
    with bucket(asked.bucket) as url:
        for i in range(asked.rounds):
            with tempfile.TemporaryDirectory() as home:
                n_bytes = one_round(f"{url}-{os.getpid()}-{i}", asked.shards, Path(home), taken)
    median = {name: statistics.median(found) for name, found in taken.items()}
    for name in median:
        if name != "list":
            rate = n_bytes / 1e6 / median[name]
            print(f"figure object_store_{name} = {rate:.0f} MB/s")
    print(f"figure object_store_list = {median['list'] * 1e3 / asked.shards:.1f} ms/shard")
    print(f"figure object_store_write_to_put = {median['write'] / median['put']:.2f} x")
    print(f"figure object_store_read_to_get = {median['read'] / median['get']:.2f} x")


if __name__ == "__main__":
    main()
