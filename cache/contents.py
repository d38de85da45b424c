"""What lies in a store: a line for each node, and all that is known of one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .difference import one_of
from .errors import Damaged, NotCached
from .keys import canonical
from .layout import NODE_DIGITS, existing, node_names, shard_paths, size_of
from .records import MAIN
from .shard_file import MEND, ShardFile


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


def list_nodes(root: Path) -> list[NodeSummary]:
    """A line for each node in the store, sorted by name."""
    found = [_summary(root, name) for name in node_names(existing(root))]
    found = [node for node in found if node.shards]  # folders stay when shards are pruned
    return sorted(found, key=lambda node: (node.name, node.fingerprint))


def show(root: Path, prefix: str) -> dict[str, Any]:
    """All that is known of the node whose fingerprint begins with ``prefix``; plain JSON values.

    Raises:
        UnknownName: no node does.
        BadCall: several do.
        Damaged: all of its shards are.
    """
    nodes = {node.fingerprint: node for node in list_nodes(root)}
    node = nodes[one_of(nodes, prefix)]
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


def told_of(description: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """What a node is called, and the settings that tell it from others of that name."""
    name = str(description.get("name") or description.get("kind", ""))
    return name, description.get("settings") or _checkpoint_of(description)


def _opened(paths: Sequence[Path]) -> Iterator[ShardFile | None]:
    for path in paths:
        try:
            yield ShardFile(path)
        except (Damaged, NotCached):
            yield None


def _summary(root: Path, folder: str) -> NodeSummary:
    paths = shard_paths(root, folder)
    shards = [shard for shard in _opened(paths) if shard is not None]
    keys = {key for shard in shards for key in shard.keys}
    name, settings = told_of(shards[0].origin.get("description", {}) if shards else {})
    made_by = {canonical(shard.origin.get("libraries", {})) for shard in shards}
    return NodeSummary(
        fingerprint=shards[0].node if shards else folder,
        name=name,
        settings=settings,
        utterances=len(keys),
        rows=sum(shard.parts[MAIN].bounds[-1] for shard in shards),
        bytes=sum(size_of(path) for path in paths),
        shards=len(paths),
        libraries=tuple(json.loads(text) for text in sorted(made_by)),
        damaged=len(paths) - len(shards),
    )


def _checkpoint_of(description: Mapping[str, Any]) -> dict[str, str]:
    """What tells an encode apart: the checkpoint that it applies, and what it gives of it."""
    checkpoint = description.get("checkpoint")
    told = {name: str(description[name]) for name in ("gives", "dtype") if name in description}
    return {"checkpoint": str(checkpoint)[:12], **told} if checkpoint else {}
