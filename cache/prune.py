"""Features and models that are no longer wanted: by damage, age, size, node, or what runs need.

What is worth nothing to anybody goes by ``garbage.py``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from .away import stat_of
from .checkpoints import checkpoint_folder, checkpoint_names
from .checkpoints import load as load_checkpoint
from .courses import course_files
from .difference import descriptions
from .errors import BadCall, CacheError, Damaged
from .garbage import Agree, Removed, always, remove
from .layout import existing, node_name, node_names, shard_paths, size_of
from .leases import Lease
from .verify import verify

#: Extractors whose features came from elsewhere: only what names them removes them.
BROUGHT = frozenset({"imported"})
#: Seconds.
DAY = 86400.0


@dataclass(frozen=True)
class Unwanted:
    """What is to be removed; whatever one of these names, and nothing where none does.

    Args:
        damaged: shards and checkpoints whose bytes are not those that were written.
        stopped: what fits that were stopped would go on from; they begin anew then.
        older_than: features and models made longer ago than this, in seconds.
        to_bytes: the oldest features and models, until the rest takes no more than this.
        all_but: features and models that none of these fingerprints, nor what it is made from, is.
        nodes: fingerprints of nodes and fits.
    """

    damaged: bool = False
    stopped: bool = False
    older_than: float | None = None
    to_bytes: int | None = None
    all_but: Collection[str] | None = None
    nodes: Collection[str] = ()

    @property
    def whole(self) -> bool:
        """Whether anything that is whole would go."""
        return bool(
            self.nodes
            or self.older_than is not None
            or self.to_bytes is not None
            or self.all_but is not None
        )


@dataclass(frozen=True)
class _Piece:
    """A shard or a checkpoint: its file or folder, its node, its age in seconds, its size."""

    path: Path
    owner: str
    age: float
    bytes: int


def prune(root: Path, unwanted: Unwanted, agree: Agree = always) -> list[Removed]:
    """Remove features and models; they are made again by the next run that needs them.

    Imported features stay unless they are named, or damaged.

    Args:
        root: folder of the store.
        unwanted: which of them.
        agree: sees what would go, and says whether it goes.

    Raises:
        BadCall: nothing is said to be unwanted.
        CacheError: another driver is at work on the store, and may read what would go.
    """
    if unwanted == Unwanted():
        raise BadCall(
            "say what is no longer wanted: --damaged, --stopped, --older-than, --to, --keep or "
            "--node; what nobody needs is removed by 'affectflow cache gc'"
        )
    with Lease(existing(root)) as lease:
        others = lease.others()
        if others and unwanted.whole:
            raise CacheError(
                f"{len(others)} other driver(s) at work on {root} may read what would be removed: "
                f"wait until they are done ({', '.join(others)})"
            )
        doomed: dict[Path, str] = {}
        if unwanted.damaged:
            doomed |= {fault.path: "damaged" for fault in verify(root).faults}
        doomed |= _chosen(root, list(_pieces(root, lease.now())), unwanted, doomed)
        if unwanted.stopped and not others:
            doomed |= dict(_stopped(root, doomed))
        return remove(doomed.items(), agree)


def _chosen(
    root: Path, pieces: list[_Piece], unwanted: Unwanted, doomed: Collection[Path]
) -> dict[Path, str]:
    """Pieces that go though they are whole, each with why; ``doomed`` go anyway."""
    found: dict[Path, str] = {}
    named = {*unwanted.nodes, *(node_name(node) for node in unwanted.nodes)}
    found |= {p.path: "of a node that was named" for p in pieces if p.owner in named}
    made = [piece for piece in pieces if piece.owner not in _brought(root)]
    if unwanted.all_but is not None:
        needed = needed_by(root, unwanted.all_but)
        found |= {p.path: "no run that is kept needs it" for p in made if p.owner not in needed}
    if (limit := unwanted.older_than) is not None:
        old = [piece for piece in made if piece.age > limit]
        found |= {piece.path: f"made {piece.age / DAY:.1f} days ago" for piece in old}
    if unwanted.to_bytes is not None:
        left = sum(p.bytes for p in pieces if p.path not in found and p.path not in doomed)
        for piece in sorted(made, key=lambda piece: -piece.age):
            if left > unwanted.to_bytes and piece.path not in found and piece.path not in doomed:
                found[piece.path] = "among the oldest"
                left -= piece.bytes
    return found


def _brought(root: Path) -> set[str]:
    """Folder names of nodes whose features came from elsewhere."""
    told = descriptions(root)
    return {node_name(mark) for mark in told if told[mark].get("name") in BROUGHT}


def needed_by(root: Path, fingerprints: Collection[str]) -> set[str]:
    """Folder names of nodes, and fingerprints of fits, that these and what they are made from are.

    A fit whose model an encode applies is named in the encode's description by its content.
    """
    told = descriptions(root)
    by_digest = {}
    for name in checkpoint_names(root):
        try:
            checkpoint = load_checkpoint(root, name)
        except Damaged:
            continue  # as good as gone: it goes by --damaged
        if checkpoint is not None:
            by_digest[checkpoint.digest] = name
    needed: set[str] = set()
    todo = set(fingerprints)
    while todo:
        mark = todo.pop()
        needed.add(mark)
        named = re.findall(r"[0-9a-f]{64}", json.dumps(told.get(mark, {})))
        todo |= {by_digest.get(other, other) for other in named} - needed
    return needed | {node_name(mark) for mark in needed}


def _pieces(root: Path, now: float) -> Iterator[_Piece]:
    for name in node_names(root):
        for path in shard_paths(root, name):
            yield _Piece(path, name, now - stat_of(path).st_mtime, size_of(path))
    for name in checkpoint_names(root):
        folder = checkpoint_folder(root, name)
        yield _Piece(folder, name, now - folder.stat().st_mtime, size_of(folder))


def _stopped(root: Path, doomed: Collection[Path]) -> Iterator[tuple[Path, str]]:
    finished = {n for n in checkpoint_names(root) if checkpoint_folder(root, n) not in doomed}
    for path, fit in course_files(root):
        if fit not in finished:
            yield path, "progress of a fit that was stopped"
