"""What of a store is carried elsewhere, and the files that this is."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from xxhash import xxh3_128_hexdigest

from .away import here, is_there
from .checkpoints import FILES, checkpoint_folder, checkpoint_names
from .layout import batch_name, existing, node_name, node_names, shard_paths
from .names import digest_in_name
from .reshard import spec_of
from .runs import record_paths, run_names
from .shard import build
from .shard_file import ShardFile


@dataclass
class Selection:
    """Some of what a store holds.

    Args:
        nodes: folder name of a node -> set of the keys of the features that are meant; None: all.
        fits: fingerprints of checkpoints.
        statistics: names of the files of statistics: first halves of their fingerprints.
        runs: names of runs, whose records are meant.
    """

    nodes: dict[str, Collection[bytes] | None] = field(default_factory=dict)
    fits: set[str] = field(default_factory=set)
    statistics: set[str] = field(default_factory=set)
    runs: set[str] = field(default_factory=set)

    def add(self, other: Selection) -> None:
        """Have what another one has, too."""
        for name, keys in other.nodes.items():
            mine = self.nodes.get(name, ())
            self.nodes[name] = None if keys is None or mine is None else {*mine, *keys}
        self.fits |= other.fits
        self.statistics |= other.statistics
        self.runs |= other.runs


def everything(root: Path) -> Selection:
    """All that a store holds."""
    return Selection(
        dict.fromkeys(node_names(existing(root))),
        set(checkpoint_names(root)),
        {path.stem for path in (root / "statistics").glob("*.json")},
        set(run_names(root)),
    )


def selected_files(root: Path, chosen: Selection) -> list[tuple[Path, Collection[bytes] | None]]:
    """Files that a selection is in, and of shards the keys that are meant; None: all.

    What others are explained by comes first.
    """
    marks = {path.stem for path in (root / "nodes").glob("*.json")}
    meant = [m for m in marks if m in chosen.fits or node_name(m) in chosen.nodes]
    paths = [root / "nodes" / f"{mark}.json" for mark in sorted(meant)]
    paths += [root / "statistics" / f"{name}.json" for name in sorted(chosen.statistics)]
    shards = [
        (path, keys)
        for name, keys in sorted(chosen.nodes.items())
        for path in shard_paths(root, name)
    ]
    rest = [checkpoint_folder(root, mark) / name for mark in sorted(chosen.fits) for name in FILES]
    rest += [path for run in sorted(chosen.runs) for path in record_paths(root, run)]
    whole = [(path, None) for path in paths if is_there(path)]
    return [*whole, *shards, *((path, None) for path in rest if is_there(path))]


def content(root: Path, path: Path, keys: Collection[bytes] | None) -> tuple[str, bytes] | None:
    """Name and bytes of a file as it is carried; None where nothing of it is meant.

    A shard that holds features beyond those that are meant is made anew without them: nothing of
    another corpus goes along.

    Raises:
        Damaged: a shard is not what was written.
    """
    name = str(path.relative_to(root))
    if path.suffix != ".h5":
        return name, here(path).read_bytes()
    shard = ShardFile(path)
    rows = [row for row, key in enumerate(shard.keys) if keys is None or key in keys]
    if len(rows) == len(shard.keys):
        image = here(path).read_bytes()
        if xxh3_128_hexdigest(image) != digest_in_name(path):
            raise shard.damaged("its bytes do not fit the digest in its name")
        return name, image
    if not rows:
        return None
    items = {shard.keys[row]: shard.features(row) for row in rows}
    made, cut = build(shard.node, items, spec_of(shard), shard.origin)
    batch = batch_name(made)
    return f"shards/{node_name(shard.node)}/{batch[:2]}/{batch}.{cut.digest()}.h5", bytes(cut)
