"""The index made anew."""

from __future__ import annotations

from pathlib import Path

from .layout import all_shards, existing
from .store import FeatureStore


def reindex(root: Path, index: Path | None = None) -> int:
    """Make the index anew from the shards; returns the number of shards in it."""
    store = FeatureStore(existing(root), index)
    for ending in ("", "-wal", "-shm"):
        Path(f"{store.index_path}{ending}").unlink(missing_ok=True)
    try:
        store.adopt()
    finally:
        store.close()
    return len(all_shards(store.root))
