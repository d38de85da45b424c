"""Corpora that affectflow wrote itself."""

from __future__ import annotations

from pathlib import Path

from ...cache.corpus import FILE, Corpus
from .kind import Kind


def read(root: str | Path) -> Corpus:
    """Read ``corpus.parquet`` in a folder, or the file itself; see ``Corpus.read``."""
    return Corpus.read(root)


KIND = Kind(
    about="a table that affectflow wrote (affectflow corpus import)",
    layout=f"{FILE}    (ROOT may also be the file)",
    read=read,
    marks=(FILE,),
)
