"""Whether a store is whole: every byte of every shard and checkpoint is read and checked."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .away import here, make_room
from .checkpoints import checkpoint_folder, checkpoint_names
from .checkpoints import load as load_checkpoint
from .errors import CacheError, Damaged, NotCached
from .layout import all_shards, existing, size_of
from .mirror import mirror_at
from .names import digest_in_name, file_digest
from .shard import hdf5_layout
from .shard_file import ShardFile

#: Bytes that are worth a process of their own: starting one takes as long as checking these.
SHARE = 1 << 29
#: Files are handed to a process in heaps of at least so many bytes.
HEAP = 1 << 25


@dataclass(frozen=True)
class Fault:
    """A damaged file; the message says what is wrong with it and how to mend it."""

    path: Path
    message: str


@dataclass(frozen=True)
class Verified:
    """What ``verify`` found."""

    files: int
    bytes: int
    faults: tuple[Fault, ...]


def verify(
    root: Path, progress: Callable[[int, int], None] | None = None, workers: int = 1
) -> Verified:
    """Read every byte of every shard and checkpoint, and say which are damaged.

    Args:
        root: folder of the store.
        progress: called with (bytes done, bytes in all).
        workers: processes at most; a small store is read in this one. A script that asks for
            several needs ``if __name__ == "__main__":``, as they import it.
    """
    if mirror := mirror_at(root):
        make_room(mirror, 0)  # what the object store has is read, not what is left of it here
    folders = [checkpoint_folder(root, name) for name in checkpoint_names(existing(root))]
    paths = [*all_shards(root), *folders]
    sizes = [size_of(path) for path in paths]
    faults, done = [], 0
    for found, n_bytes in _found(list(_heaps(paths, sizes)), min(workers, sum(sizes) // SHARE)):
        faults += found
        done += n_bytes
        if progress is not None:
            progress(done, sum(sizes))
    return Verified(len(paths), sum(sizes), tuple(faults))


def fault_of_shard(path: Path) -> str:
    """What is wrong with a shard, with its mend; empty where nothing is.

    HDF5 is asked only of a file whose every byte fits the digest in its name: it was not made for
    files that are damaged.
    """
    try:
        shard = ShardFile(here(path))
        bad = list(_bad_keys(shard))
        whole = not bad and file_digest(path) == digest_in_name(path)
        same = not whole or hdf5_layout(path) == shard.layout
    except (NotCached, FileNotFoundError):
        return ""  # removed a moment ago
    except (CacheError, OSError) as error:
        return str(error)
    if bad:
        some = ", ".join(bad[:3]) + (" ..." if len(bad) > 3 else "")
        return str(shard.damaged(f"{len(bad)} of {len(shard.keys)} utterances, keys {some}"))
    if not same:
        return str(shard.damaged("HDF5 finds its arrays elsewhere than its user block says"))
    if not whole:
        return str(shard.damaged("its bytes do not fit the digest in its name (padding)"))
    return ""


def fault_of_checkpoint(folder: Path) -> str:
    """What is wrong with a checkpoint, with its mend; empty where nothing is."""
    try:
        checkpoint = load_checkpoint(folder.parents[2], folder.name)
        if checkpoint is not None:
            checkpoint.check()
    except (CacheError, OSError) as error:
        return str(error)
    return ""


def _bad_keys(shard: ShardFile) -> Iterator[str]:
    for row, key in enumerate(shard.keys):
        try:
            shard.features(row)
        except Damaged:
            yield key.hex()


def _heaps(paths: Sequence[Path], sizes: Sequence[int]) -> Iterator[tuple[list[Path], int]]:
    """The files in heaps, each with its bytes."""
    heap: list[Path] = []
    n_bytes = 0
    for path, size in zip(paths, sizes, strict=True):
        heap.append(path)
        n_bytes += size
        if n_bytes >= HEAP:
            yield heap, n_bytes
            heap, n_bytes = [], 0
    if heap:
        yield heap, n_bytes


def _found(
    heaps: Sequence[tuple[list[Path], int]], workers: int
) -> Iterator[tuple[list[Fault], int]]:
    """Faults and bytes of each heap, in order."""
    if workers < 2:
        for paths, n_bytes in heaps:
            yield _faults(paths), n_bytes
        return
    # Not by fork: a library's threads may hold a lock that nobody in the child gives back.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context) as pool:
        answers = pool.map(_faults, [paths for paths, _ in heaps])
        for found, (_, n_bytes) in zip(answers, heaps, strict=True):
            yield found, n_bytes


def _faults(paths: Sequence[Path]) -> list[Fault]:
    told = [(p, fault_of_checkpoint(p) if p.is_dir() else fault_of_shard(p)) for p in paths]
    return [Fault(path, what) for path, what in told if what]
