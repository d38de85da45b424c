"""What a store holds, read from its shards and checkpoints; what differs between two of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from affectflow.cache.layout import node_names, shard_paths
from affectflow.cache.records import Features
from affectflow.cache.shard_file import ShardFile

#: Features by node and key; more than one of a key is a double.
Content = Mapping[tuple[str, bytes], Sequence[Features]]


def content(cache: Path) -> Content:
    """Every feature in a store."""
    found: dict[tuple[str, bytes], list[Features]] = {}
    for node in node_names(cache):
        for path in shard_paths(cache, node):
            shard = ShardFile(path)
            for row, key in enumerate(shard.keys):
                found.setdefault((node, key), []).append(shard.features(row))
    return found


def same(got: Content, expected: Content) -> list[str]:
    """What is lost, more, doubled or of other bits than what is expected."""
    wrong = [f"lost {key.hex()} of {node}" for node, key in expected if (node, key) not in got]
    wrong += [f"extra {key.hex()} of {node}" for node, key in got if (node, key) not in expected]
    wrong += [f"doubled {key.hex()} of {node}" for (node, key), f in got.items() if len(f) > 1]
    for name, (features, *_) in got.items():
        for array, part in features.arrays().items() if name in expected else ():
            other = expected[name][0].arrays()[array]
            for kind in ("values", "times", "mask"):
                if not np.array_equal(getattr(part, kind), getattr(other, kind), equal_nan=True):
                    wrong.append(f"{kind} of '{array}' differ in {name[0]}")
    return wrong
