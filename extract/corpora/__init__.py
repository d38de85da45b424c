"""Readers of corpora as they lie on disk: one file each, one line in ``KINDS``."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from ...cache.corpus import Corpus
from ...cache.errors import BadCall, unknown
from .kind import Kind

#: Kind of corpus -> the module here whose ``KIND`` says what it is and reads it.
KINDS = {
    "affectflow": "own",
    "ch-sims": "ch_sims",
    "ch-sims-v2": "ch_sims_v2",
    "ch-sims-v2u": "ch_sims_v2u",
    "iemocap": "iemocap",
    "media": "media",
    "meld": "meld",
    "mosei": "mosei",
    "mosi": "mosi",
    "table": "table",
}
#: Types that an option can have -> what is accepted for them, and what that is called.
_TYPES = {"str": (str, "text"), "int": (int, "a whole number"), "float": (int | float, "a number")}


def kind_named(name: str) -> Kind:
    """What is known of a kind of corpus.

    Raises:
        UnknownName: no reader has this name.
    """
    if name not in KINDS:
        raise unknown("kind of corpus", name, KINDS)
    return cast("Kind", importlib.import_module(f".{KINDS[name]}", __name__).KIND)


def kind_at(folder: Path) -> str:
    """Name of the kind of corpus that lies in a folder; empty: of none.

    It is the kind that something there tells from all others, else the first whose marks are there.
    """
    kinds = {name: kind_named(name) for name in KINDS}
    if kinds["affectflow"].lies_at(folder):
        return "affectflow"
    told = (name for name, kind in kinds.items() if kind.is_told_by(folder))
    return next(told, "") or next((n for n, kind in kinds.items() if kind.lies_at(folder)), "")


def options_of(kind: Kind) -> dict[str, inspect.Parameter]:
    """Options of a kind's reader, by name."""
    found = dict(list(inspect.signature(kind.read).parameters.items())[1:])
    found.pop("progress", None)
    return found


def read_corpus(kind: str, root: str | Path, **options: Any) -> Corpus:
    """Read a corpus: ``read_corpus("table", "data.csv", columns={"id": "utt"}, family="mosi")``.

    What the reader repaired, and how the number of utterances differs from the official one, stand
    in the corpus' ``notes``; call its ``check`` for the faults.

    Args:
        kind: a name in ``KINDS``: ``mosi``, ``meld``, ``table`` and so on.
        root: folder or file.
        options: what the reader of that kind takes beside.

    Raises:
        UnknownName: no reader has this name, or it has no such option.
        BadCorpus: nothing usable is there.
        BadCall: an option has a wrong value.
    """
    return read_with(kind, root, options)


def read_with(
    kind: str,
    root: str | Path,
    options: Mapping[str, Any],
    progress: Callable[[int, int], None] | None = None,
) -> Corpus:
    """Read a corpus as ``read_corpus``, and tell of the progress of a reader that takes long.

    Args:
        kind: as there.
        root: as there.
        options: as there.
        progress: called with (files looked at, files in all).
    """
    found = kind_named(kind)
    known = options_of(found)
    for name, value in options.items():
        if name not in known:
            raise unknown(f"option of corpus kind '{kind}'", str(name), known)
        wanted, called = _TYPES.get(str(known[name].annotation), (object, ""))
        if not isinstance(value, wanted) or (called and isinstance(value, bool)):
            raise BadCall(
                f"option '{name}' of corpus kind '{kind}' must be {called}, not {value!r}"
            )
    tells = "progress" in inspect.signature(found.read).parameters
    corpus = found.read(root, **options, **({"progress": progress} if tells else {}))
    return dataclasses.replace(corpus, notes=(*corpus.notes, *found.differences(corpus)))
