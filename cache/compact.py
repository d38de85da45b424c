"""Small shards of a node merged into large ones: of retries, and of corpora that grew.

A merged shard is published like any other, whole or not at all; the small ones stay until it has
been there for an hour (``garbage.GRACE``). So a kill at any moment loses nothing, and who looked up
where things lie before finds them there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import CacheError, Damaged, NotCached
from .garbage import GRACE, Removed, always, merged, remove
from .layout import existing, node_names, shard_paths, size_of
from .leases import Lease
from .records import Features
from .reshard import alike, spec_of
from .shard_file import ShardFile
from .store import FeatureStore

#: Bytes of a merged shard at most; a shard of half of that is not small.
LARGE = 64 << 20


@dataclass(frozen=True)
class Heap:
    """Small shards of one node and one origin that make one large one; sizes in bytes."""

    node: str
    paths: tuple[Path, ...]
    bytes: int


@dataclass(frozen=True)
class Compacted:
    """What was merged, what was left out as it is damaged, and which small shards were removed."""

    heaps: tuple[Heap, ...]
    damaged: tuple[str, ...]
    removed: tuple[Removed, ...]


def small_shards(root: Path, large: int = LARGE) -> list[Heap]:
    """What ``compact`` would merge; only heads of shards are read."""
    found = []
    for name in node_names(existing(root)):
        groups: dict[tuple[str, bytes], list[Path]] = defaultdict(list)
        done = {path for path, _ in merged(root, name, float("inf"))}
        for path in shard_paths(root, name):
            if path not in done and size_of(path) <= large // 2:
                try:
                    shard = ShardFile(path)
                except (Damaged, NotCached):
                    continue  # `verify` names it
                groups[shard.node, alike(shard)].append(path)
        for (node, _), paths in sorted(groups.items()):
            found += [Heap(node, *heap) for heap in _heaps(paths, large) if len(heap[0]) > 1]
    return found


def compact(
    root: Path,
    heaps: Sequence[Heap],
    progress: Callable[[int, int], None] | None = None,
    grace: float = GRACE,
) -> Compacted:
    """Merge each heap of small shards into a large one; remove those merged an hour ago.

    Args:
        root: folder of the store.
        heaps: of ``small_shards``.
        progress: called with (bytes merged, bytes in all).
        grace: seconds that merged shards stay; 0 where nobody reads the store now.

    Raises:
        StoreFull: the file system has no room; what was merged before stays.
        StoreReadOnly: the file system refuses to be written to.
    """
    store = FeatureStore(existing(root))
    damaged: list[str] = []
    done, total = 0, sum(heap.bytes for heap in heaps)
    with Lease(root) as lease:
        for heap in heaps:
            name = f"compact-{heap.paths[0].name.split('.')[1]}"
            if lease.claim(name):  # else another one is merging it
                damaged += _merge(store, heap)
                lease.release(name)
            done += heap.bytes
            if progress is not None:
                progress(done, total)
        gone: list[Removed] = []
        if not lease.others():
            before = lease.now() - grace
            for node in node_names(root):
                gone += remove(merged(root, node, before), always)
    store.adopt()
    store.close()
    return Compacted(tuple(heaps), tuple(damaged), tuple(gone))


def _merge(store: FeatureStore, heap: Heap) -> list[str]:
    """Publish one shard of all in a heap; returns what is wrong with those that are left out."""
    items: dict[bytes, Features] = {}
    wrong, shards = [], []
    for path in heap.paths:
        try:
            shard = ShardFile(path)
            items |= {key: shard.features(row) for row, key in enumerate(shard.keys)}
            shards.append(shard)
        except NotCached:
            continue  # removed a moment ago
        except Damaged as error:
            wrong.append(str(error))
    if len(shards) < 2:
        return wrong
    first = shards[0]
    made = store.write(heap.node, items, spec=spec_of(first), origin=first.origin)
    if store.published(heap.node, made.keys) is None:
        raise CacheError(f"shard {made.path} is not what was written: check the disk; nothing lost")
    return wrong


def _heaps(paths: Sequence[Path], large: int) -> Iterator[tuple[tuple[Path, ...], int]]:
    heap: list[Path] = []
    n_bytes = 0
    for path in paths:
        size = size_of(path)
        if heap and n_bytes + size > large:
            yield tuple(heap), n_bytes
            heap, n_bytes = [], 0
        heap.append(path)
        n_bytes += size
    if heap:
        yield tuple(heap), n_bytes
