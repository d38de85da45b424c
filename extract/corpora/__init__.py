"""Readers of corpora as they lie on disk: one file each, one line in ``KINDS``."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

from ...cache.corpus import Corpus
from ...cache.errors import BadCall, unknown

#: Kind of corpus -> the module here whose ``read(root, **options)`` reads it.
KINDS = {"affectflow": "own", "ch-sims": "ch_sims", "media": "media", "table": "table"}


def read_corpus(kind: str, root: str | Path, **options: Any) -> Corpus:
    """Read a corpus: ``read_corpus("table", "data.csv", columns={"id": "utt"}, family="mosi")``.

    What the reader repaired stands in the corpus' ``notes``; call its ``check`` for the faults.

    Args:
        kind: ``affectflow``, ``ch-sims``, ``media`` or ``table``.
        root: folder or file.
        options: what the reader of that kind takes beside.

    Raises:
        UnknownName: no reader has this name, or it has no such option.
        BadCorpus: nothing usable is there.
        BadCall: an option has a wrong value.
    """
    if kind not in KINDS:
        raise unknown("kind of corpus", kind, KINDS)
    read = importlib.import_module(f".{KINDS[kind]}", __name__).read
    known = dict(list(inspect.signature(read).parameters.items())[1:])
    for name, value in options.items():
        if name not in known:
            raise unknown(f"option of corpus kind '{kind}'", name, known)
        if known[name].annotation == "str" and not isinstance(value, str):
            raise BadCall(f"option '{name}' of corpus kind '{kind}' must be text, not {value!r}")
    corpus: Corpus = read(root, **options)
    return corpus
