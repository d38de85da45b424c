"""What lies in a store, whether it is whole, what can go, and why something is not cached.

The functions behind ``affectflow cache ls | show | verify | prune | reindex`` and ``plan``
(``why``, which stands in ``difference.py``).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .checkpoints import checkpoint_folder, checkpoint_names
from .checkpoints import load as load_checkpoint
from .courses import course_files
from .difference import why as why
from .errors import BadCall, CacheError, Damaged, NotCached, unknown
from .keys import canonical
from .layout import NODE_DIGITS, digest_in_name, identity, node_names, shard_paths
from .leases import Lease, dead_files
from .publish import PART, alive, host, writer_of
from .records import MAIN
from .shard import hdf5_layout
from .shard_file import MEND, ShardFile, file_digest
from .store import FeatureStore


@dataclass(frozen=True)
class NodeSummary:
    """What a store holds of one node; sizes in bytes.

    Of a node whose every shard is damaged, only half of the fingerprint is known.
    """

    fingerprint: str
    name: str
    settings: Mapping[str, Any]
    utterances: int
    rows: int
    bytes: int
    shards: int
    libraries: tuple[Mapping[str, str], ...]
    damaged: int = 0  # shards that cannot be opened; `verify` says why


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


@dataclass(frozen=True)
class Pruned:
    """A file that ``prune`` removed or would remove, why, and its size in bytes."""

    path: Path
    why: str
    bytes: int


def list_nodes(root: Path) -> list[NodeSummary]:
    """A line for each node in the store, sorted by name."""
    found = [_summary(root, name) for name in node_names(_existing(root))]
    return sorted(found, key=lambda node: (node.name, node.fingerprint))


def show(root: Path, prefix: str) -> dict[str, Any]:
    """All that is known of the node whose fingerprint begins with ``prefix``; plain JSON values.

    Raises:
        UnknownName: no node does.
        BadCall: several do.
        Damaged: all of its shards are.
    """
    known = list_nodes(root)
    nodes = [node for node in known if node.fingerprint.startswith(prefix)]
    if not nodes:
        raise unknown("node", prefix, [node.fingerprint[:12] for node in known])
    if len(nodes) > 1:
        raise BadCall(f"'{prefix}' begins {len(nodes)} fingerprints: give more digits")
    node = nodes[0]
    shards = shard_paths(root, node.fingerprint[:NODE_DIGITS])
    first = next((shard for shard in _opened(shards) if shard is not None), None)
    if first is None:
        raise Damaged(f"all shards of node {node.fingerprint} are damaged: {MEND}")
    arrays = {
        name: {
            "dtype": str(part.dtype),
            "shape": list(part.shape),
            "columns": list(part.columns),
        }
        for name, part in first.parts.items()
    }
    return {
        "fingerprint": node.fingerprint,
        "name": node.name,
        "description": first.origin.get("description", {}),
        "libraries": [dict(made_by) for made_by in node.libraries],
        "arrays": arrays,
        "utterances": node.utterances,
        "rows": node.rows,
        "bytes": node.bytes,
        "shards": [str(path.relative_to(root)) for path in shards],
    }


def verify(
    root: Path, progress: Callable[[int, int], None] | None = None, threads: int | None = None
) -> Verified:
    """Read every byte of every shard and checkpoint, and say which are damaged.

    Args:
        root: folder of the store.
        progress: called with (bytes done, bytes in all) after each file.
        threads: files read at once; default: the number of cores, 8 at most.
    """
    shards = _all_shards(_existing(root))
    checkpoints = [checkpoint_folder(root, name) for name in checkpoint_names(root)]
    works: list[tuple[Callable[[Path], str], Path]] = [
        *((_fault_of_shard, path) for path in shards),
        *((_fault_of_checkpoint, path) for path in checkpoints),
    ]
    sizes = [_size(path) for _, path in works]
    faults, done = [], 0
    with ThreadPoolExecutor(threads or min(8, os.cpu_count() or 1)) as pool:
        results = pool.map(lambda work: work[0](work[1]), works)
        for (_, path), size, what in zip(works, sizes, results, strict=True):
            done += size
            if what:
                faults.append(Fault(path, what))
            if progress is not None:
                progress(done, sum(sizes))
    return Verified(len(works), sum(sizes), tuple(faults))


def prune(
    root: Path, dry_run: bool = False, damaged: bool = False, stopped: bool = False
) -> list[Pruned]:
    """Remove what nobody needs: temporary files, dead leases and claims, second copies of a batch.

    So too what was saved of a fit's course, once the fit is finished. While another driver works
    on the store, temporary files and courses that are not finished stay: they may be its workers'.

    Args:
        root: folder of the store.
        dry_run: only say what would go.
        damaged: remove damaged shards and checkpoints too (every byte is read to find them).
        stopped: remove what fits that were stopped would go on from, too; they begin anew then.
    """
    with Lease(_existing(root)) as lease:
        others = bool(lease.others())
        doomed = [] if others else list(_temporaries(root))
        doomed += [(path, "of a driver that is gone") for path in dead_files(root, lease.now())]
        if damaged:
            doomed += [(fault.path, "damaged") for fault in verify(root).faults]
        doomed += _copies(root, {path for path, _ in doomed})
        doomed += _courses(root, {path for path, _ in doomed}, stopped and not others)
        found = [Pruned(path, why, _size(path)) for path, why in doomed]
        for entry in [] if dry_run else found:
            if entry.path.is_dir():
                shutil.rmtree(entry.path)
            else:
                entry.path.unlink(missing_ok=True)
    return found


def reindex(root: Path, index: Path | None = None) -> int:
    """Make the index anew from the shards; returns the number of shards in it."""
    store = FeatureStore(_existing(root), index)
    for ending in ("", "-wal", "-shm"):
        Path(f"{store.index_path}{ending}").unlink(missing_ok=True)
    try:
        store.adopt()
    finally:
        store.close()
    return len(_all_shards(store.root))


def _existing(root: Path) -> Path:
    if not (root / "cache.json").is_file():
        raise BadCall(f"no cache in {root}: there is no cache.json")
    identity(root)
    return root


def _opened(paths: Sequence[Path]) -> Iterator[ShardFile | None]:
    for path in paths:
        try:
            yield ShardFile(path)
        except (Damaged, NotCached):
            yield None


def _summary(root: Path, name: str) -> NodeSummary:
    paths = shard_paths(root, name)
    shards = [shard for shard in _opened(paths) if shard is not None]
    keys = {key for shard in shards for key in shard.keys}
    description = shards[0].origin.get("description", {}) if shards else {}
    made_by = {canonical(shard.origin.get("libraries", {})) for shard in shards}
    return NodeSummary(
        fingerprint=shards[0].node if shards else name,
        name=str(description.get("name") or description.get("kind", "")),
        settings=description.get("settings") or _checkpoint_of(description),
        utterances=len(keys),
        rows=sum(shard.parts[MAIN].bounds[-1] for shard in shards),
        bytes=sum(_size(path) for path in paths),
        shards=len(paths),
        libraries=tuple(json.loads(text) for text in sorted(made_by)),
        damaged=len(paths) - len(shards),
    )


def _checkpoint_of(description: Mapping[str, Any]) -> dict[str, str]:
    """What tells an encode apart: the checkpoint that it applies, and what it gives of it."""
    checkpoint = description.get("checkpoint")
    told = {name: str(description[name]) for name in ("gives", "dtype") if name in description}
    return {"checkpoint": str(checkpoint)[:12], **told} if checkpoint else {}


def _fault_of_shard(path: Path) -> str:
    """What is wrong with a shard, with its mend; empty where nothing is."""
    try:
        whole = file_digest(path) == digest_in_name(path)
        shard = ShardFile(path)
        same = hdf5_layout(path) == shard.layout
    except (CacheError, OSError) as error:
        return str(error)
    bad = []
    for row, key in enumerate(shard.keys):
        try:
            shard.features(row)
        except Damaged:
            bad.append(key.hex())
    if bad:
        some = ", ".join(bad[:3]) + (" ..." if len(bad) > 3 else "")
        return str(shard.damaged(f"{len(bad)} of {len(shard.keys)} utterances, keys {some}"))
    if not same:
        return str(shard.damaged("HDF5 finds its arrays elsewhere than its user block says"))
    if not whole:
        return str(shard.damaged("its bytes do not fit the digest in its name (padding)"))
    return ""


def _fault_of_checkpoint(folder: Path) -> str:
    try:
        checkpoint = load_checkpoint(folder.parents[2], folder.name)
        if checkpoint is not None:
            checkpoint.check()
    except (CacheError, OSError) as error:
        return str(error)
    return ""


def _temporaries(root: Path) -> Iterator[tuple[Path, str]]:
    for folder, subfolders, files in os.walk(root):
        for name in [n for n in (*subfolders, *files) if n.endswith(PART)]:
            writer = writer_of(Path(name))
            if writer is None or (writer[0] == host() and alive(*writer)):
                continue  # not ours, or its process is still at work
            yield Path(folder) / name, "temporary, of a process that is gone"
        subfolders[:] = [n for n in subfolders if not n.endswith(PART)]


def _copies(root: Path, doomed: set[Path]) -> Iterator[tuple[Path, str]]:
    batches: dict[tuple[Path, str], list[Path]] = {}
    for path in _all_shards(root):
        if path not in doomed:
            batches.setdefault((path.parent, path.name.split(".")[0]), []).append(path)
    for paths in batches.values():
        for path in paths[1:]:
            yield path, f"second copy of the batch in {paths[0].name}"


def _courses(root: Path, doomed: set[Path], stopped: bool) -> Iterator[tuple[Path, str]]:
    finished = {n for n in checkpoint_names(root) if checkpoint_folder(root, n) not in doomed}
    for path, fit in course_files(root):
        if fit in finished:
            yield path, "progress of a fit that is finished"
        elif stopped:
            yield path, "progress of a fit that was stopped"


def _all_shards(root: Path) -> list[Path]:
    return [path for name in node_names(root) for path in shard_paths(root, name)]


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(_size(inner) for inner in path.iterdir())
    return path.stat().st_size if path.exists() else 0
