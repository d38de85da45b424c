"""The feature store: immutable shards under one folder, and an index of what lies where.

A shard appears whole or not at all, holds nothing that depends on when or where it was made, and
is checked whenever it is read. The folder::

    cache.json                                  the format of the cache
    nodes/<fingerprint>.json                    what each node is made from
    shards/<node>/<2 hex>/<batch>.<digest>.h5   features; see shard.py
    runs/  checkpoints/  leases/                see runs.py, checkpoints.py, leases.py

``batch`` is the digest of a shard's keys, so that a batch is found by its name; ``digest`` that of
the file. Workers write shards; the driver alone keeps the index.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from .address import address_of, called, folder_of
from .adopt import adopt
from .away import all_here
from .bulk import Found, read_table, table_bytes
from .errors import BadCall, BadInput, Damaged, MixedVersions, NotCached
from .index import Index, cache_folder
from .keys import canonical
from .layout import (
    batch_folder,
    batch_name,
    batch_paths,
    describe,
    identity,
    is_whole,
    node_name,
    node_names,
    shard_paths,
)
from .publish import publish
from .pull import pull
from .records import MAIN, Array, Features, FeatureSpec
from .shard import build
from .shard_file import ShardFile
from .table import FeatureTable

if TYPE_CHECKING:
    from .corpus import Corpus

_OPEN = 256  # shards whose heads are kept at most


@dataclass(frozen=True)
class Place:
    """Where one utterance's features lie.

    Args:
        shard: path of the file, relative to the root of the store.
        row: number of the utterance in the shard.
    """

    shard: str
    row: int


@dataclass(frozen=True)
class Shard:
    """A published shard: its node, its path relative to the root, its keys in order of rows."""

    node: str
    path: str
    keys: tuple[bytes, ...]


class NodeKeys(Protocol):
    """A node that knows the keys of a corpus' features; workflows make them."""

    @property
    def fingerprint(self) -> str:
        """The node's fingerprint, 64 hex digits."""

    def keys(self, store: FeatureStore, corpus: Corpus) -> Sequence[bytes | None]:
        """Key of each utterance's features, None where it cannot have any."""


class FeatureStore:
    """Features by node and key.

    Args:
        root: folder of the store; made if missing. Or the address of an object store
            (``s3://bucket/folder``, see ``address.py``), of which ``root`` is the working folder.
        index: file of the index; default: one for each root in the user's cache folder. It is
            opened when it is first needed, and made from the shards where it is missing.

    Raises:
        NewerCache: the folder was made by a newer version of affectflow.
        StoreReadOnly: the folder is missing and cannot be made.
        StoreUnreachable: the object store refuses, or does not answer.
    """

    def __init__(self, root: str | Path, index: str | Path | None = None) -> None:
        self.root = folder_of(root)
        own = f"{identity(self.root)}\0{self.root.resolve()}"
        name = hashlib.sha256(own.encode()).hexdigest()[:16]
        self.index_path = cache_folder() / f"index-{name}.sqlite" if index is None else Path(index)
        self._opened: dict[str, ShardFile] = {}
        self._lock = threading.Lock()
        self._described: set[str] = set()

    def __repr__(self) -> str:
        return f"FeatureStore({called(self.root)!r})"

    @property
    def address(self) -> str:
        """What other processes find it by: an absolute path, or the object store's address."""
        return address_of(self.root)

    @cached_property
    def _index(self) -> Index:
        index = Index(self.index_path)
        if not index.is_whole:
            pull(self.root)
            adopt(self.root, index, node_names(self.root))
            index.mark_whole()
        return index

    def write(
        self,
        node: str,
        items: Mapping[bytes, Features],
        *,
        spec: FeatureSpec,
        origin: Mapping[str, Any],
    ) -> Shard:
        """Publish one shard; the index is not touched, so any process or thread may do it.

        Args:
            node: the node's fingerprint, 64 hex digits.
            items: features by key, already cast to ``spec``.
            spec: the node's named arrays.
            origin: ``description`` (what the fingerprint is made from), ``libraries`` (name to
                version) and whatever else explains the numbers; no dates and no hosts, as the
                same features must be the same file.

        Raises:
            BadInput: features do not fit the spec.
            StoreFull: the file system has no room; nothing is left behind.
            StoreReadOnly: the file system refuses to be written to.
        """
        self._describe(node, origin)
        keys, image = build(node, items, spec, origin)
        digest = image.digest()
        batch = batch_name(keys)
        path = batch_folder(self.root, node, batch) / f"{batch}.{digest}.h5"
        if not publish(path, *image.pieces) and not is_whole(path):
            publish(path, *image.pieces, replace=True)  # the file of that name is damaged
        return Shard(node, str(path.relative_to(self.root)), keys)

    def published(self, node: str, keys: Collection[bytes]) -> Shard | None:
        """The undamaged shard made from exactly these keys, looked up by name; None if none is."""
        batch = batch_name(keys)
        pull(self.root, [f"{node_name(node)}/{batch[:2]}"])
        for path in batch_paths(self.root, node, batch):
            if is_whole(path):
                return Shard(node, str(path.relative_to(self.root)), tuple(sorted(keys)))
        return None

    def add(self, shards: Iterable[Shard]) -> None:
        """Enter shards that workers published into the index."""
        by_node: dict[str, list[tuple[str, Sequence[bytes]]]] = {}
        for shard in shards:
            by_node.setdefault(node_name(shard.node), []).append((shard.path, shard.keys))
        for name, found in by_node.items():
            self._index.add(name, found)

    def adopt(self, nodes: Iterable[str] | None = None) -> int:
        """Enter shards that the index lacks, forget those that are gone; returns what changed.

        A shard whose head is damaged is left out, with a warning in the log: its features count
        as not cached and are made again.
        """
        if nodes is None:
            pull(self.root)
            names = {*node_names(self.root), *self._index.nodes()}
        else:
            names = {node_name(node) for node in nodes}
            pull(self.root, names)
        return adopt(self.root, self._index, sorted(names))

    def places(self, node: str, keys: Sequence[bytes]) -> list[Place | None]:
        """Where each key's features lie, None where they are not cached; one look-up for all."""
        found = self._index.find(node_name(node), keys)
        return [Place(*found[key]) if key in found else None for key in keys]

    def has(self, node: str, keys: Sequence[bytes]) -> Array:
        """Which keys are cached, (n,) bool."""
        found = self._index.find(node_name(node), keys)
        return np.fromiter((key in found for key in keys), bool, len(keys))

    def beginning(self, digits: str, most: int = 20) -> list[tuple[str, bytes, Place]]:
        """Folder name of the node, key and place of features whose key begins with hex digits."""
        return [
            (name, key, Place(*at))
            for name in sorted(self._index.nodes())
            for key, at in self._index.beginning(name, digits, most).items()
        ][:most]

    def read(self, node: str, key: bytes) -> Features:
        """One utterance's features, checked.

        Raises:
            NotCached: they are not stored.
            Damaged: the stored bytes are not those that were written.
        """
        try:
            return self._read(node, key)
        except NotCached:
            self.adopt([node])  # perhaps another process made or pruned something
            return self._read(node, key)

    def _read(self, node: str, key: bytes) -> Features:
        [place] = self.places(node, [key])
        if place is None:
            raise NotCached(
                f"no features for key {key.hex()[:12]} of node {node[:12]} in {called(self.root)}: "
                "run the workflow first"
            )
        shard = self._open(place.shard)
        if shard.node != node or shard.keys[place.row : place.row + 1] != (key,):
            raise Damaged(
                f"index {self.index_path} names the wrong shard for key {key.hex()[:12]}: "
                "make it anew with 'affectflow cache reindex'"
            )
        return shard.features(place.row)

    def read_at(self, place: Place) -> Features:
        """Features at a place, checked; no index is needed.

        Raises:
            NotCached: the shard is gone.
            Damaged: the stored bytes are not those that were written.
        """
        return self._open(place.shard).features(place.row)

    def read_many(self, places: Sequence[Place]) -> Iterator[Features]:
        """Features at each place, in order; see ``read_at``."""
        for place in places:
            yield self.read_at(place)

    def table(
        self,
        ids: Sequence[str] | Corpus,
        places: Sequence[Place | None] | NodeKeys,
        array: str = MAIN,
        allow_mixed: bool = False,
        mapped: bool = False,
    ) -> FeatureTable:
        """One named array of many utterances as one table, checked: ``table(corpus, node)``.

        A mapped table leaves its values in the shards, for corpora larger than memory: what is
        asked of them is read from the disk when it is asked for. Times and mask (17 bytes a row)
        are in memory. Its values are checked when it is made, once a shard and process.

        Args:
            ids: utterances in the order wanted; or a corpus, with a node.
            places: where the features of each lie, None: it has none, and no rows; or a node
                that knows its keys.
            array: which of the node's named arrays.
            allow_mixed: join features that different versions of a library made.
            mapped: leave the values where they are; see ``MappedRows`` for what they can do.

        Raises:
            MixedVersions: they were made by different versions of a library.
            NotCached: no utterance has features.
            BadInput: they are of different nodes, or the node has no such array.
            Damaged: the stored bytes are not those that were written.
        """
        if not isinstance(places, Sequence):
            corpus = cast("Corpus", ids)
            again = (array, allow_mixed, mapped)
            try:
                return self.table(corpus.ids, self._places_of(places, corpus), *again)
            except NotCached:  # shards were merged or removed between the look-up and the reading
                return self.table(corpus.ids, self._places_of(places, corpus), *again)
        names, at = cast(Sequence[str], ids), places
        if len(names) != len(at):
            raise BadCall(f"a table needs a place for each utterance: {len(names)}, {len(at)}")
        all_here([self.root / path for path in {p.shard for p in at if p is not None}])
        found, shards = self._found(at)
        if not shards:
            raise NotCached(
                f"none of {len(at)} utterances has features in {called(self.root)}: "
                "run the workflow first"
            )
        _joinable(shards, allow_mixed)
        return read_table(names, found, array, mapped)

    def table_bytes(self, places: Sequence[Place | None], array: str = MAIN, least: int = 1) -> int:
        """Bytes of memory that a table's values would take; only heads of shards are read.

        Args:
            places: of its utterances.
            array: which of the node's arrays.
            least: bytes that each value is counted as at least.

        Raises:
            NotCached: a shard is gone.
            BadInput: the node has no such array.
        """
        found, shards = self._found(places)
        return table_bytes(found, array, least) if shards else 0

    def _found(self, places: Sequence[Place | None]) -> tuple[list[Found], list[ShardFile]]:
        shards = {path: self._open(path) for path in {p.shard for p in places if p is not None}}
        found = [None if place is None else (shards[place.shard], place.row) for place in places]
        return found, list(shards.values())

    def _places_of(self, node: NodeKeys, corpus: Corpus) -> list[Place | None]:
        self.adopt([node.fingerprint])
        keys = node.keys(self, corpus)
        found = self._index.find(node_name(node.fingerprint), [k for k in keys if k is not None])
        return [Place(*found[key]) if key in found else None for key in keys]

    def made_as(self, place: Place) -> tuple[str, dict[str, Any]]:
        """Fingerprint of the node that made what lies at a place, and the shard's origin."""
        shard = self._open(place.shard)
        return shard.node, shard.origin

    def origins(self, node: str) -> list[dict[str, Any]]:
        """Distinct origins of what is stored under a node."""
        found = {}
        for path in shard_paths(self.root, node_name(node)):
            origin = ShardFile(path).origin
            found[canonical(origin)] = origin
        return [found[name] for name in sorted(found)]

    def close(self) -> None:
        """Close all files; they are opened again when they are needed."""
        with self._lock:
            self._opened.clear()
        if "_index" in self.__dict__:
            self._index.close()
            del self.__dict__["_index"]

    def _open(self, path: str) -> ShardFile:
        with self._lock:
            shard = self._opened.pop(path, None)
            if shard is None:
                shard = ShardFile(self.root / path)
            self._opened[path] = shard  # last: the one used most recently
            if len(self._opened) > _OPEN:
                del self._opened[next(iter(self._opened))]
            return shard

    def _describe(self, node: str, origin: Mapping[str, Any]) -> None:
        if node in self._described or "description" not in origin:
            return
        describe(self.root, node, origin["description"])
        self._described.add(node)


def _joinable(shards: Sequence[ShardFile], allow_mixed: bool) -> None:
    nodes = sorted({shard.node for shard in shards})
    if len(nodes) > 1:
        raise BadInput(f"a table joins features of one node, got {[n[:12] for n in nodes]}")
    made_by: dict[str, set[str]] = {}
    for shard in shards:
        for library, version in shard.origin.get("libraries", {}).items():
            made_by.setdefault(library, set()).add(version)
    mixed = [f"{name} {' and '.join(sorted(v))}" for name, v in made_by.items() if len(v) > 1]
    if mixed and not allow_mixed:
        raise MixedVersions(
            f"features of node {nodes[0][:12]} were made by different versions: "
            f"{', '.join(sorted(mixed))}. Make them anew with one version, "
            "or allow mixed versions"
        )
