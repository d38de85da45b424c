"""How much of the disk a store takes: by node and fit, and by what lies beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .checkpoints import checkpoint_folder, checkpoint_names
from .contents import told_of
from .difference import descriptions
from .layout import existing, node_name, node_names, shard_paths, size_of


@dataclass(frozen=True)
class Taken:
    """What one node or fit takes.

    Args:
        fingerprint: of it; half of one where it is not known what it is made from.
        name: of the extractor or model.
        settings: that tell it from others of that name.
        bytes: of its shards, or its checkpoint.
        files: how many those are.
    """

    fingerprint: str
    name: str
    settings: Mapping[str, Any]
    bytes: int
    files: int


@dataclass(frozen=True)
class Usage:
    """What a store takes: nodes and fits, the largest first, and bytes of all else by folder."""

    nodes: tuple[Taken, ...]
    beside: Mapping[str, int]

    @property
    def bytes(self) -> int:
        """Of everything."""
        return sum(node.bytes for node in self.nodes) + sum(self.beside.values())


def usage(root: Path) -> Usage:
    """Add up the sizes of all files of a store; none of them is opened but descriptions."""
    known = descriptions(existing(root))
    whole = {node_name(mark): mark for mark in known}
    found = []
    for name in node_names(root):
        paths = shard_paths(root, name)
        mark = whole.get(name, name)
        called, settings = told_of(known.get(mark, {}))
        found.append(Taken(mark, called, settings, sum(map(size_of, paths)), len(paths)))
    for mark in checkpoint_names(root):
        folder = checkpoint_folder(root, mark)
        called, settings = told_of(known.get(mark, {}))
        found.append(Taken(mark, called, settings, size_of(folder), len(list(folder.iterdir()))))
    beside = {
        path.name: size_of(path)
        for path in sorted(root.iterdir())
        if path.name not in ("shards", "checkpoints")
    }
    nodes = sorted((one for one in found if one.files), key=lambda one: (-one.bytes, one.name))
    return Usage(tuple(nodes), beside)
