"""Flip single random bits of shards: each must be found, and never be read back as wrong numbers.

A third of the flips falls anywhere in the file, a third into what is not rows (the first lines,
HDF5's metadata, keys, origin, offsets, checksums), a third into one dataset drawn at random, so
that small ones are hit as well. After each flip a fresh store reads everything: utterance by
utterance, and as a table of each array, in memory and mapped. An utterance whose own rows were hit
must raise. ``verify`` must name the file. Ten seconds without an answer count as hung.

    python benchmarks/cache_bitflips.py [--flips 10000] [--seed 0]
"""

from __future__ import annotations

import argparse
import collections
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import numpy as np

from affectflow.cache.errors import CacheError
from affectflow.cache.records import ArraySpec, Features, FeatureSpec, frame_times
from affectflow.cache.shard_file import ShardFile
from affectflow.cache.shard_front import Entry
from affectflow.cache.store import FeatureStore, Place
from affectflow.cache.verify import verify

NODE = "cd" * 32
ORIGIN = {
    "description": {"kind": "extract", "name": "flipped", "version": 1, "settings": {"rate": 5.0}},
    "libraries": {"librosa": "0.11.0"},
    "threads": 1,
}
SPEC: FeatureSpec = {
    "values": ArraySpec((5,), "float16", ("a", "b", "c", "d", "e"), 0.04),
    "boxes": ArraySpec((4,), "float32"),
    "text": ArraySpec((1,), "uint8"),
}
N = 40
REGIONS = ("rows", "offsets", "checksums", "regular", "keys", "origin", "HDF5 and first lines")


def items() -> dict[bytes, Features]:
    """Utterances with masked rows, irregular times, NaN, bytes of text, and none at all."""
    rng = np.random.default_rng(0)
    found = {}
    for _ in range(N):
        rows = int(rng.integers(0, 30))
        starts = np.sort(rng.uniform(0, 9, rows))
        times = np.stack([starts, starts + 0.1], axis=1)
        boxes = Features(
            rng.normal(size=(rows, 4)).astype(np.float32),
            times,
            mask=rng.uniform(size=rows) < 0.8,
        )
        text = Features(rng.integers(32, 127, (rows, 1)).astype(np.uint8), times)
        values = rng.normal(size=(rows, 5)).astype(np.float16)
        values[rng.uniform(size=values.shape) < 0.1] = np.nan
        more = {"boxes": boxes, "text": text}
        found[rng.bytes(16)] = Features(
            values, frame_times(rows, 0.04, 0.04), SPEC["values"].columns, more=more
        )
    return found


def same(one: Features, other: Features) -> bool:
    """The same to the last bit."""
    pairs = zip(one.arrays().items(), other.arrays().items(), strict=True)
    return all(
        a == b
        and x.columns == y.columns
        and x.values.dtype == y.values.dtype
        and x.values.shape == y.values.shape
        and all(
            p.tobytes() == q.tobytes()
            for p, q in ((x.values, y.values), (x.times, y.times), (x.mask, y.mask))
        )
        for (a, x), (b, y) in pairs
    )


def outcome(root: Path, path: str, written: dict[bytes, Features]) -> str:
    """``raised``, ``harmless`` or ``WRONG``: what reading everything comes to."""
    store = FeatureStore(root, root / "index.sqlite")
    keys = sorted(written)
    raised = False
    for row, key in enumerate(keys):
        try:
            found = store.read_at(Place(path, row))
            if ShardFile(root / path).keys != tuple(keys):
                return "WRONG"
        except CacheError:
            raised = True
        else:
            if not same(found, written[key]):
                return "WRONG"
    names, places = [key.hex() for key in keys], [Place(path, i) for i in range(N)]
    for array in SPEC:
        for mapped in (False, True):
            try:
                table = store.table(names, places, array, mapped=mapped)
            except CacheError:
                raised = True
                continue
            if not all(same(table[i], written[key][array]) for i, key in enumerate(keys)):
                return "WRONG"
    return "raised" if raised else "harmless"


def region(layout: dict[str, Entry], byte: int) -> str:
    """What a byte of the file belongs to."""
    for name, (begin, end) in spans(layout):
        if begin <= byte < end:
            last = name.rpartition("/")[2]
            if last in ("values", "times", "mask"):
                return "rows"
            return "origin" if last == "about" else last
    return "HDF5 and first lines"


def spans(layout: dict[str, Entry]) -> Iterator[tuple[str, tuple[int, int]]]:
    """Each dataset's first byte, and the one after its last."""
    for name, (dtype, shape, at) in layout.items():
        n_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if n_bytes:
            yield name, (at, at + n_bytes)


def drawn(rng: np.random.Generator, i: int, layout: dict[str, Entry], size: int) -> int:
    """The byte of flip ``i``."""
    places = dict(spans(layout))
    if i % 3 == 0:
        return int(rng.integers(size))
    if i % 3 == 1:
        rows = [begin for name, (begin, _) in places.items() if region(layout, begin) == "rows"]
        return int(rng.integers(min(rows)))
    begin, end = places[sorted(places)[int(rng.integers(len(places)))]]
    return int(rng.integers(begin, end))


def hung(number: int, frame: FrameType | None) -> None:
    raise TimeoutError("no answer in ten seconds")


def flip_bits(flips: int, seed: int) -> dict[str, collections.Counter[str]]:
    """By region, how many flips were raised, harmless, WRONG, HUNG, and missed by ``verify``."""
    signal.signal(signal.SIGALRM, hung)
    rng = np.random.default_rng(seed)
    counts: dict[str, collections.Counter[str]] = {name: collections.Counter() for name in REGIONS}
    with tempfile.TemporaryDirectory() as folder:
        root, written = Path(folder), items()
        shard = FeatureStore(root).write(NODE, written, spec=SPEC, origin=ORIGIN)
        path = root / shard.path
        image, layout = path.read_bytes(), ShardFile(path).layout
        for i in range(flips):
            byte = drawn(rng, i, layout, len(image))
            flipped = bytearray(image)
            flipped[byte] ^= 1 << int(rng.integers(8))
            path.write_bytes(flipped)
            count = counts[region(layout, byte)]
            signal.alarm(10)
            try:
                count[outcome(root, shard.path, written)] += 1
                count["missed"] += [f.path for f in verify(root).faults] != [path]
            except TimeoutError:
                count["HUNG"] += 1
            finally:
                signal.alarm(0)
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flips", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    counts = flip_bits(arguments.flips, arguments.seed)
    for name, count in counts.items():
        print(f"{name}: {count['raised']} raised, {count['harmless']} read back right")
    total = sum(counts.values(), collections.Counter())
    for name in ("raised", "harmless", "WRONG", "HUNG"):
        print(f"figure bit_flips_{name.lower()} = {total[name]} flips")
    print(f"figure bit_flips_verify_missed = {total['missed']} flips")
    if total["WRONG"] or total["HUNG"] or total["missed"]:
        raise SystemExit(os.EX_SOFTWARE)


if __name__ == "__main__":
    main()
