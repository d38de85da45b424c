"""Flip single random bits of a shard: each must be raised or be harmless, never read back wrong.

Half of the flips fall anywhere in the file, half into what is not values (metadata, keys, offsets,
times, masks). After each, a fresh store reads everything: the keys, utterance by utterance, and as
a table of each array. Ten seconds without an answer count as hung.

    python benchmarks/cache_bitflips.py [--flips 2000] [--seed 0]
"""

from __future__ import annotations

import argparse
import collections
import os
import signal
import tempfile
from pathlib import Path
from types import FrameType

import numpy as np

from affectflow.cache.audit import verify
from affectflow.cache.errors import CacheError
from affectflow.cache.records import ArraySpec, Features, frame_times
from affectflow.cache.shard_file import ShardFile
from affectflow.cache.store import FeatureStore, Place

NODE = "cd" * 32
SPEC = {
    "values": ArraySpec((5,), "float16", ("a", "b", "c", "d", "e"), 0.04),
    "boxes": ArraySpec((4,), "float32"),
}


def items(n: int = 40) -> dict[bytes, Features]:
    """Utterances with masked rows, irregular times, NaN, and none at all."""
    rng = np.random.default_rng(0)
    found = {}
    for _ in range(n):
        rows = int(rng.integers(0, 30))
        starts = np.sort(rng.uniform(0, 9, rows))
        boxes = Features(
            rng.normal(size=(rows, 4)).astype(np.float32),
            np.stack([starts, starts + 0.1], axis=1),
            mask=rng.uniform(size=rows) < 0.8,
        )
        values = rng.normal(size=(rows, 5)).astype(np.float16)
        values[rng.uniform(size=values.shape) < 0.1] = np.nan
        found[rng.bytes(16)] = Features(
            values, frame_times(rows, 0.04, 0.04), SPEC["values"].columns, more={"boxes": boxes}
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
    for array in SPEC:
        try:
            table = store.table(
                [key.hex() for key in keys], [Place(path, i) for i in range(40)], array
            )
            for row, key in enumerate(keys):
                if not same(table[row], written[key][array]):
                    return "WRONG"
        except CacheError:
            raised = True
    return "raised" if raised else "harmless"


def hung(number: int, frame: FrameType | None) -> None:
    raise TimeoutError("no answer in ten seconds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flips", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    signal.signal(signal.SIGALRM, hung)
    rng = np.random.default_rng(arguments.seed)
    counts: collections.Counter[str] = collections.Counter()
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        written = items()
        shard = FeatureStore(root).write(NODE, written, spec=SPEC, origin={"description": {}})
        path = root / shard.path
        image = path.read_bytes()
        head = min(part.values_at for part in ShardFile(path).parts.values())
        for i in range(arguments.flips):
            bit = int(rng.integers((len(image) if i % 2 else head) * 8))
            flipped = bytearray(image)
            flipped[bit // 8] ^= 1 << bit % 8
            path.write_bytes(flipped)
            signal.alarm(10)
            try:
                counts[outcome(root, shard.path, written)] += 1
                missed += not (verify(root, threads=1).faults if i % 10 == 0 else True)
            except TimeoutError:
                counts["HUNG"] += 1
            finally:
                signal.alarm(0)
    for name in ("raised", "harmless", "WRONG", "HUNG"):
        print(f"figure bit_flips_{name.lower()} = {counts[name]} flips")
    print(f"figure bit_flips_verify_missed = {missed} flips")
    if counts["WRONG"] or counts["HUNG"] or missed:
        raise SystemExit(os.EX_SOFTWARE)


if __name__ == "__main__":
    main()
