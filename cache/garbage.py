"""What is worth nothing to anybody: left behind by killed runs, finished fits and merged shards.

Features and models that somebody may want go by ``prune.py`` only.
"""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .away import stand_in, stat_of
from .checkpoints import checkpoint_folder, checkpoint_names
from .courses import course_files
from .errors import Damaged, NotCached
from .keys import canonical
from .layout import all_shards, existing, is_whole, node_names, shard_paths, size_of
from .leases import Lease, dead_files
from .mirror import mirror_of
from .names import PART, alive, host, writer_of
from .shard_file import ShardFile
from .verify import fault_of_checkpoint

#: Seconds that shards stay after they were merged, for those who looked up where things lie before.
GRACE = 3600.0


@dataclass(frozen=True)
class Removed:
    """What was removed or would be: a file or a folder, why, and its size in bytes."""

    path: Path
    why: str
    bytes: int


#: Asked with all that would be removed, before anything is.
Agree = Callable[[Sequence[Removed]], bool]


def always(found: Sequence[Removed]) -> bool:
    """Agree to everything."""
    return True


def collect(root: Path, agree: Agree = always, grace: float = GRACE) -> list[Removed]:
    """Remove temporary files, dead leases and claims, second copies, merged shards.

    So too what was saved of a fit's course, once the fit is finished. While another driver works
    on the store, temporary files and merged shards stay: they may be its workers'.

    Args:
        root: folder of the store.
        agree: sees what would go, and says whether it goes.
        grace: seconds for which a shard stays that ``compact`` has merged into a larger one.
    """
    with Lease(existing(root)) as lease:
        others, now = bool(lease.others()), lease.now()
        doomed = [] if others else list(_temporaries(root))
        doomed += [(path, "of a driver that is gone") for path in dead_files(root, now)]
        doomed += _copies(root)
        if not others:
            gone = {path for path, _ in doomed}
            found = [one for name in node_names(root) for one in merged(root, name, now - grace)]
            doomed += [one for one in found if one[0] not in gone]
        doomed += _courses(root)
        return remove(doomed, agree)


def remove(doomed: Iterable[tuple[Path, str]], agree: Agree) -> list[Removed]:
    """Remove files and folders, each with why, if that is agreed to."""
    found = [Removed(path, why, size_of(path)) for path, why in doomed]
    for entry in found if found and agree(found) else ():
        if mirror := mirror_of(entry.path):
            mirror.remove(entry.path)
        if entry.path.is_dir():
            shutil.rmtree(entry.path)
        else:
            entry.path.unlink(missing_ok=True)
            stand_in(entry.path).unlink(missing_ok=True)
    return found


def merged(root: Path, name: str, before: float) -> Iterator[tuple[Path, str]]:
    """Shards of a node whose every utterance lies in a larger shard of the same origin too.

    Args:
        root: folder of the store.
        name: of the node's folder.
        before: the larger one must be this old (the file system's time, in seconds), and whole.
    """
    paths = shard_paths(root, name)
    first: dict[bytes, list[Path]] = defaultdict(list)
    for shard in _opened(paths):
        first[shard.keys[0]].append(shard.path)
    gone: set[Path] = set()
    for large in _opened(paths):
        near = [path for key in large.keys for path in first.get(key, ()) if path not in gone]
        held = [small.path for small in _opened(near) if _holds(large, small)]
        if held and stat_of(large.path).st_mtime <= before and is_whole(large.path):
            gone.update(held)
            yield from ((path, f"merged into {large.path.name}") for path in held)


def _holds(large: ShardFile, small: ShardFile) -> bool:
    return (
        len(large.keys) > len(small.keys)
        and set(large.keys).issuperset(small.keys)
        and canonical(large.origin) == canonical(small.origin)
    )


def _opened(paths: Iterable[Path]) -> Iterator[ShardFile]:
    for path in paths:
        try:
            yield ShardFile(path)
        except (Damaged, NotCached):
            continue  # `verify` names it


def _temporaries(root: Path) -> Iterator[tuple[Path, str]]:
    for folder, subfolders, files in os.walk(root):
        for name in [n for n in (*subfolders, *files) if n.endswith(PART)]:
            writer = writer_of(Path(name))
            if writer is None or (writer[0] == host() and alive(*writer)):
                continue  # not ours, or its process is still at work
            yield Path(folder) / name, "temporary, of a process that is gone"
        subfolders[:] = [n for n in subfolders if not n.endswith(PART)]


def _copies(root: Path) -> Iterator[tuple[Path, str]]:
    """Shards of the same keys as another one that is whole."""
    batches: dict[tuple[Path, str], list[Path]] = defaultdict(list)
    for path in all_shards(root):
        batches[path.parent, path.name.split(".")[0]].append(path)
    for paths in batches.values():
        whole = (path for path in paths if is_whole(path))
        if len(paths) > 1 and (kept := next(whole, None)):
            copies = [path for path in paths if path != kept]
            yield from ((path, f"second copy of the batch in {kept.name}") for path in copies)


def _courses(root: Path) -> Iterator[tuple[Path, str]]:
    """What was saved of fits that are finished, and whole."""
    finished = set(checkpoint_names(root))
    for path, fit in course_files(root):
        if fit in finished and not fault_of_checkpoint(checkpoint_folder(root, fit)):
            yield path, "progress of a fit that is finished"
