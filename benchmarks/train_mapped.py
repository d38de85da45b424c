"""What an epoch costs when the features stay on the disk, against an epoch from memory.

Float16 features (768 columns, 50 rows a second, utterances of 1 to 9 s) in shards, read as
sequences by TFN's text network, batches of 64, one seed. In turns, medians.

1. Making the table: in memory it is copied, mapped it is only checked. And what table and batches
   add to the process' own memory (RssAnon; pages of mapped files are the operating system's).
2. Batches alone, everything but the network: page cache warm; of the mapped way also cold, with the
   rows of a batch announced to the operating system as they are in a fit, and not.
3. A whole epoch, warm.

    python benchmarks/train_mapped.py [--gigabytes 0.2] [--rounds 3] [--folder DIR]
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from affectflow.cache import bulk
from affectflow.cache.mapped import MappedRows
from affectflow.cache.records import ArraySpec, Features, frame_times
from affectflow.cache.store import FeatureStore
from affectflow.train.batches import Part
from affectflow.train.dataset import Input, InputSpec
from affectflow.train.loop import Loop
from affectflow.train.reading import MappedReading, read, scaler_of
from affectflow.train.registry import fit_settings, network_class
from affectflow.train.seeds import Streams
from affectflow.train.targets import Target

WIDTH, MEAN_ROWS, SHARD = 768, 250, 160
NODE = {"text": "a" * 64, "audio": "b" * 64}


def fill(store: FeatureStore, n: int) -> list[bytes]:
    """Write n utterances of two nodes: long rows, and one row each."""
    rng = np.random.default_rng(0)
    keys = [i.to_bytes(16, "big") for i in range(n)]
    pool = rng.normal(size=(2000, WIDTH)).astype(np.float16)
    for name, node in NODE.items():
        spec = {"values": ArraySpec((WIDTH,), "float16", hop=0.02)}
        for at in range(0, n, SHARD):
            items = {}
            for key in keys[at : at + SHARD]:
                begin, rows = int(rng.integers(1500)), int(rng.integers(50, 451))
                rows = rows if name == "text" else 1
                items[key] = Features(pool[begin : begin + rows], frame_times(rows, 0.02))
            store.add([store.write(node, items, spec=spec, origin={})])
    return keys


def anonymous() -> int:
    """Bytes of this process' own memory."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+)", status)[1]) << 10


def evict(store: FeatureStore, way: Way) -> None:
    """Have the page cache forget all shards; what is mapped would stay, so maps are closed."""
    for values in way.mapped:
        for lazy in values._files:
            lazy._held = None
    for path in store.root.rglob("*.h5"):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


class Way:
    """One of the two ways: tables, batches, a loop."""

    def __init__(self, store: FeatureStore, keys: list[bytes], mapped: bool) -> None:
        ids = [key.hex() for key in keys]
        before = anonymous()
        places = {name: store.places(node, keys) for name, node in NODE.items()}
        bulk._checked.clear()
        start = time.perf_counter()
        tables = {name: store.table(ids, places[name], mapped=mapped) for name in NODE}
        self.making = time.perf_counter() - start
        self.mapped = [t.values for t in tables.values() if isinstance(t.values, MappedRows)]
        model, training = fit_settings("tfn", seeds=1, text_units=32, batch_size=64)
        readings, specs = {}, []
        for name, table in tables.items():
            given = Input(name, name, table)
            reads, length = model.reads(name), int(table.lengths.max())
            scaler = scaler_of(given, length, np.arange(len(keys)))
            readings[name] = read(given, reads, length, scaler)
            specs.append(InputSpec(name, name, given.width, reads, length))
        truth = np.random.default_rng(1).uniform(-1, 1, (len(keys), 1))
        few = {name: reading.select(np.arange(32)) for name, reading in readings.items()}
        self.part = Part(readings, truth, "cpu")
        del tables, readings
        streams = Streams((0,))
        net = network_class("tfn")(model, specs, ("M",), streams)
        self.loop = Loop(
            net, training, streams, self.part, Part(few, truth[:32], "cpu"), [Target("M")], "M"
        )
        self.bytes = anonymous() - before

    def batches(self) -> None:
        order = torch.randperm(self.part.n).unsqueeze(0)
        for _ in self.part.steps(order, 64, torch.ones(1)):
            pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=0.2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to write; default: temporary")
    arguments = parser.parse_args()
    n = int(arguments.gigabytes * 1e9 / (MEAN_ROWS * WIDTH * 2))
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        store = FeatureStore(Path(folder) / "store", Path(folder) / "index.sqlite")
        keys = fill(store, n)
        store.table_bytes(store.places(NODE["text"], keys))  # heads are read
        ways = {"mapped": Way(store, keys, True), "memory": Way(store, keys, False)}
        times: dict[str, list[float]] = defaultdict(list)
        for _ in range(arguments.rounds):
            for name, way in ways.items():
                times[f"{name}_batches"].append(seconds(way.batches))
            for name in ("mapped_batches_cold", "mapped_batches_cold_not_announced"):
                evict(store, ways["mapped"])
                with mock.patch.object(MappedReading, "announce", announced_or_not(name)):
                    times[name].append(seconds(ways["mapped"].batches))
        for name, way in ways.items():
            times[f"{name}_epoch"].append(seconds(way.loop.epoch))
        size = store.table_bytes(store.places(NODE["text"], keys)) / 1e9
    found = {name: statistics.median(values) for name, values in times.items()}
    print(f"{n} utterances, {size:.2f} GB of float16")
    for name, way in ways.items():
        print(f"figure {name}_table = {way.making:.3f} s")
        print(f"figure {name}_own_memory = {way.bytes / 1e9:.3f} GB")
    for name, value in found.items():
        print(f"figure {name} = {value:.3f} s")
    for what in ("batches", "epoch"):
        ratio = found[f"mapped_{what}"] / found[f"memory_{what}"]
        print(f"figure mapped_{what}_against_memory = {ratio:.2f} ratio")


def announced_or_not(name: str) -> Callable[[MappedReading, int], None]:
    return (lambda self, i: None) if name.endswith("not_announced") else MappedReading.announce


if __name__ == "__main__":
    main()
