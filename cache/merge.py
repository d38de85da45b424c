"""What another store holds taken into this one: checked before it is believed, each file whole."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .away import here, is_there
from .checkpoints import FILES, checkpoint_folder, checkpoint_names, place
from .checkpoints import load as load_checkpoint
from .errors import BadCall
from .layout import all_shards, batch_name, existing, node_name, size_of
from .leases import Lease
from .publish import publish
from .runs import record_paths, run_names
from .shard_file import ShardFile
from .store import FeatureStore
from .verify import Fault, fault_of_checkpoint, fault_of_shard


@dataclass
class Taken:
    """What was taken in, by folder; what was there; what is damaged and stays out; remarks."""

    new: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    bytes: int = 0
    known: int = 0
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def merge(root: Path, other: Path, progress: Callable[[int, int], None] | None = None) -> Taken:
    """Take in all that another store holds and this one lacks; the other is left as it is.

    Every byte is checked first. A shard whose features are all here is passed over. A fit has one
    model: where both have one, this store's stays, as its own encodings are made with it. Being
    killed leaves whole files only; the same call goes on.

    Args:
        root: folder of this store; made if missing.
        other: folder of the other one.
        progress: called with (bytes done, bytes in all).

    Raises:
        BadCall: the other is no store, or is this one.
        StoreFull: the file system has no room; what was taken in stays.
        StoreReadOnly: the file system refuses to be written to.
    """
    existing(other)
    if root.exists() and root.samefile(other):
        raise BadCall(f"{other} cannot be merged into itself")
    store, found = FeatureStore(root), Taken()
    store.adopt()
    folders = [checkpoint_folder(other, name) for name in checkpoint_names(other)]
    works: list[tuple[Callable[[FeatureStore, Path, Path, Taken], None], Path]] = [
        *((_take_record, path) for path in _records(other)),
        *((_take_shard, path) for path in all_shards(other)),
        *((_take_checkpoint, path) for path in folders),
    ]
    sizes = [size_of(path) for _, path in works]
    done = 0
    with Lease(root):  # nobody removes what is written
        for (take, path), size in zip(works, sizes, strict=True):
            take(store, other, path, found)
            done += size
            if progress is not None:
                progress(done, sum(sizes))
    store.adopt()
    store.close()
    return found


def _records(other: Path) -> Sequence[Path]:
    """Descriptions, statistics and records of runs: small, and JSON."""
    runs = [path for run in run_names(other) for path in record_paths(other, run)]
    folders = ("nodes", "statistics")
    return [*(path for name in folders for path in sorted((other / name).glob("*.json"))), *runs]


def _take_record(store: FeatureStore, other: Path, path: Path, found: Taken) -> None:
    image = path.read_bytes()
    try:
        json.loads(image)
    except (ValueError, RecursionError) as error:
        found.faults.append(Fault(path, f"{path} is not JSON ({error})"))
        return
    target = store.root / path.relative_to(other)
    _count(found, path.relative_to(other), len(image), publish(target, image))


def _take_shard(store: FeatureStore, other: Path, path: Path, found: Taken) -> None:
    if fault := fault_of_shard(path) or _misplaced(other, path):
        found.faults.append(Fault(path, fault))
        return
    shard = ShardFile(path)
    if store.has(shard.node, shard.keys).all():
        found.known += 1
        return
    name, image = path.relative_to(other), here(path).read_bytes()
    _count(found, name, len(image), publish(store.root / name, image))


def _misplaced(other: Path, path: Path) -> str:
    """What is wrong with a whole shard's name: it does not say what the shard holds."""
    shard = ShardFile(path)
    batch = batch_name(shard.keys)
    wanted = Path("shards") / node_name(shard.node) / batch[:2]
    if path.parent == other / wanted and path.name.startswith(f"{batch}."):
        return ""
    return str(shard.damaged("its name is that of other features"))


def _take_checkpoint(store: FeatureStore, other: Path, folder: Path, found: Taken) -> None:
    mark = folder.name
    if fault := fault_of_checkpoint(folder):
        found.faults.append(Fault(folder, fault))
        return
    theirs, mine = load_checkpoint(other, mark), load_checkpoint(store.root, mark)
    assert theirs is not None  # it was just read
    if mine is not None:
        found.known += 1
        if mine.digest != theirs.digest:
            found.notes.append(
                f"fit {mark[:12]} was trained in both: the model of {store.root} stays, and what "
                "the other one's encodes made is not used with it"
            )
        return
    images = {n: here(folder / n).read_bytes() for n in FILES if is_there(folder / n)}
    place(store.root, mark, images)
    _count(found, folder.relative_to(other), sum(map(len, images.values())), True)


def _count(found: Taken, name: Path, n_bytes: int, new: bool) -> None:
    if new:
        found.new[name.parts[0]] += 1
        found.bytes += n_bytes
    else:
        found.known += 1
