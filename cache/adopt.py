"""Bring the index in line with the shards that are there."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from .errors import Damaged, NotCached
from .index import Index
from .layout import shard_paths
from .shard_file import ShardFile

_log = logging.getLogger(__name__)


def adopt(root: Path, index: Index, names: Iterable[str]) -> int:
    """Enter the shards of some nodes that the index lacks, forget those that are gone.

    A shard whose head is damaged is left out, with a warning in the log: it counts as not there.

    Args:
        root: folder of the store.
        index: its index.
        names: folder names of the nodes.

    Returns:
        How many shards were entered or forgotten.
    """
    changed = 0
    for name in names:
        paths = {str(path.relative_to(root)) for path in shard_paths(root, name)}
        known = index.shards(name)
        gone = known - paths
        changed += len(gone)
        if not paths:
            index.forget(name)
        elif gone:  # keys of theirs may lie in other shards too, so all are entered anew
            changed += index.replace(name, _keys_of(root, sorted(paths)))
        else:
            changed += index.add(name, _keys_of(root, sorted(paths - known)))
    return changed


def _keys_of(root: Path, paths: Iterable[str]) -> Iterator[tuple[str, Sequence[bytes]]]:
    for path in paths:
        try:
            yield path, ShardFile(root / path).keys
        except (Damaged, NotCached) as error:  # NotCached: pruned a moment ago
            _log.warning("left out of the index: %s", error)
