"""Corpora that affectflow wrote itself."""

from __future__ import annotations

from pathlib import Path

from ...cache.corpus import Corpus


def read(root: str | Path) -> Corpus:
    """Read ``corpus.parquet`` in a folder, or the file itself; see ``Corpus.read``."""
    return Corpus.read(root)
