"""Which file of the store lies where; nothing here opens a shard."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from .away import here, named, read_record, stat_of
from .errors import BadCall, Damaged, NewerCache
from .keys import canonical
from .mirror import mirror_at
from .names import AWAY, digest_in_name, file_digest
from .publish import publish
from .pull import pull

#: Newest format of the folder that this version reads, and the one it makes.
FORMAT = 1
#: Hex digits of a fingerprint that name its folder of shards.
NODE_DIGITS = 32


def identity(root: Path) -> str:
    """The random name of a store, from its ``cache.json``; made with the folder if missing.

    Raises:
        NewerCache: the folder was made by a newer version of affectflow.
        Damaged: ``cache.json`` cannot be read.
        StoreReadOnly: it is missing and cannot be made.
    """
    path = root / "cache.json"
    try:
        image = read_record(path)
    except FileNotFoundError:
        record = {"format": FORMAT, "id": secrets.token_hex(8)}
        publish(path, json.dumps(record).encode() + b"\n")
        image = path.read_bytes()
    try:
        record = json.loads(image)
        number, name = int(record["format"]), str(record["id"])
    except (ValueError, TypeError, KeyError) as error:
        raise Damaged(
            f"{path} is damaged ({error!r}): delete it, it is made anew; the features stay"
        ) from error
    if number > FORMAT:
        raise NewerCache(
            f"the cache {root} has format {number}, this version of affectflow knows up to "
            f"{FORMAT}: install a newer affectflow, or use another cache folder"
        )
    return name


def node_name(node: str) -> str:
    """Name of a node's folder: the first half of its fingerprint.

    Raises:
        BadCall: not a fingerprint, so not to be made a path of.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", node):
        raise BadCall(f"a node's fingerprint has 64 hex digits, got {node!r}")
    return node[:NODE_DIGITS]


def node_names(root: Path) -> list[str]:
    """Folder names of all nodes that have shards."""
    folders = (root / "shards").glob("[0-9a-f]*")
    return sorted(path.name for path in folders if len(path.name) == NODE_DIGITS and path.is_dir())


def description_path(root: Path, node: str) -> Path:
    """Where it is said what a node is made from."""
    node_name(node)
    return root / "nodes" / f"{node}.json"


def describe(root: Path, node: str, description: Mapping[str, Any]) -> None:
    """Note what a node or a fit is made from, unless that is noted."""
    path = description_path(root, node)
    if not path.exists():
        publish(path, canonical(description))


def batch_name(keys: Collection[bytes]) -> str:
    """Digest of a shard's keys, in any order; 16 hex digits."""
    return hashlib.sha256(b"".join(sorted(keys))).hexdigest()[:16]


def batch_folder(root: Path, node: str, batch: str) -> Path:
    """Folder of a batch's shards; 256 of them keep each one short."""
    return root / "shards" / node_name(node) / batch[:2]


def batch_paths(root: Path, node: str, batch: str) -> list[Path]:
    """Shards made from a batch of keys: one, or several that computed different bytes."""
    return _shards(batch_folder(root, node, batch), f"{batch}.*.h5*")


def shard_paths(root: Path, name: str) -> list[Path]:
    """All shards in a node's folder, sorted."""
    return _shards(root / "shards" / name, "[0-9a-f][0-9a-f]/*.h5*")


def _shards(folder: Path, pattern: str) -> list[Path]:
    found = folder.glob(pattern)
    return named(path for path in found if path.name.endswith((".h5", f".h5{AWAY}")))


def is_whole(path: Path) -> bool:
    """Whether a shard's bytes are those that its name promises."""
    try:
        return file_digest(here(path)) == digest_in_name(path)
    except Damaged:
        return False


def all_shards(root: Path) -> list[Path]:
    """Every shard of a store, node after node."""
    return [path for name in node_names(root) for path in shard_paths(root, name)]


def existing(root: Path) -> Path:
    """A folder, if it is a store; that of an object store has what is there now.

    Raises:
        BadCall: it is none.
        NewerCache: it was made by a newer version of affectflow.
    """
    pull(root)
    if not (root / "cache.json").is_file():
        mirror = mirror_at(root)
        place = root if mirror is None else f"'{mirror.remote.url}'"
        raise BadCall(f"no cache in {place}: there is no cache.json")
    identity(root)
    return root


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; 0 where there is nothing."""
    try:
        if path.is_dir():
            return sum(size_of(inner) for inner in named(path.iterdir()))
        return stat_of(path).st_size
    except FileNotFoundError:  # removed a moment ago
        return 0
