"""What features of one shard need to become part of another one."""

from __future__ import annotations

from .keys import canonical
from .records import ArraySpec, FeatureSpec
from .shard_file import Part, ShardFile


def spec_of(shard: ShardFile) -> FeatureSpec:
    """The named arrays that a shard's node promises, as far as the shard tells them."""
    return {
        name: ArraySpec(part.shape, part.dtype.name, part.columns, _hop(part))
        for name, part in shard.parts.items()
    }


def alike(shard: ShardFile) -> bytes:
    """The same for shards that can be one: of one node, one origin, and the same arrays."""
    arrays = {
        name: [part.dtype.str, list(part.shape), list(part.columns), part.regular is None]
        for name, part in shard.parts.items()
    }
    return canonical([shard.node, dict(shard.origin), arrays])


def _hop(part: Part) -> float | None:
    """Seconds between rows: those of the first utterance of several rows, which tell it."""
    for i, (_, hop, _) in enumerate(part.regular or ()):
        if part.bounds[i + 1] - part.bounds[i] > 1:
            return hop
    return None
