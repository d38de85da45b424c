"""A folder (or file) of one table of rows an utterance, whatever the format of each."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ...cache.errors import BadCall, BadInput
from ...cache.records import Array, ArraySpec, Features
from ...cache.validation import count, listing, show
from .records import Foreign, ForeignArray, Tally, features_of, kept_dtype, modality_of, our_id

#: Rows (n, D), their times (n, 2) in seconds or None, and names of the columns.
Table = tuple[Array, Array | None, tuple[str, ...]]
#: A file of one utterance's features beyond this is none.
MAX_BYTES = 4 << 30


def files_below(path: Path, suffixes: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Plain files below a folder with one of these endings, or the file itself; and notes.

    Links that lead out of the folder are left out, with a note, as are files of other endings;
    hidden files do not count.

    Raises:
        BadInput: there is none.
    """
    if path.is_file():
        return [path], []
    top = os.path.realpath(path)
    found: list[Path] = []
    outside: list[str] = []
    others: list[str] = []
    for name in _shown(path):
        file = path / name
        if not file.is_file():
            continue
        if file.suffix.lower() not in suffixes:
            others.append(show(name))
        elif os.path.realpath(file).startswith(top.rstrip("/") + "/"):
            found.append(file)
        else:
            outside.append(show(name))
    kind = " or ".join(suffixes)
    told = [
        f"{count(len(names), what)} {why} left out: {listing(names)}"
        for what, why, names in (
            ("link", "out of the folder", outside),
            ("file", f"with another ending than {kind}", others),
        )
        if names
    ]
    if not found:
        raise BadInput("; ".join([f"there is no {kind} file in '{path}'", *told]))
    return found, told


def first_below(path: Path, suffixes: Sequence[str]) -> Path | None:
    """Some file of these endings below a folder, or the file itself; None: there is none."""
    if path.is_file():
        return path if path.suffix.lower() in suffixes else None
    return next((path / n for n in _shown(path) if n.suffix.lower() in suffixes), None)


def _shown(path: Path) -> list[Path]:
    """What lies below a folder, as seen from it, sorted; without hidden files and folders."""
    names = (file.relative_to(path) for file in sorted(path.rglob("*")))
    return [name for name in names if not any(part.startswith(".") for part in name.parts)]


def head_of(path: Path | None) -> bytes:
    """The first bytes of a file; empty where there is none."""
    if path is None:
        return b""
    with path.open("rb") as file:
        return file.read(1 << 14)


def read_files(
    kind: str,
    path: Path,
    suffixes: Sequence[str],
    read: Callable[[Path], Table],
    array: str,
    modality: str,
) -> Foreign:
    """A folder of one file an utterance, named after it: ``video/clip.csv``."""
    files, notes = files_below(path, suffixes)
    root = path if path.is_dir() else path.parent
    names = [file.relative_to(root).with_suffix("").as_posix() for file in files]

    def table(i: int) -> Table:
        if files[i].stat().st_size > MAX_BYTES:
            raise BadInput(f"'{files[i]}' has more than {MAX_BYTES >> 30} GiB")
        return read(files[i])

    return from_tables(kind, path, names, table, array, modality, notes)


def from_tables(
    kind: str,
    path: Path,
    names: Sequence[str],
    table: Callable[[int], Table],
    array: str,
    modality: str,
    notes: Sequence[str] = (),
    masked: Callable[[int], Array] | None = None,
) -> Foreign:
    """Tables of several utterances as one array; the first one says how wide it is.

    Args:
        kind: the format.
        path: for messages.
        names: of the utterances, theirs.
        table: number of an utterance -> its table.
        array: what to call the array; empty: after its modality.
        modality: empty: told from the path's name.
        notes: of the reader.
        masked: number of an utterance -> rows (n,) that are no measurement beside those of
            zeros alone; None: there are none.
    """
    modality = modality or modality_of(path.stem)
    if modality not in ("text", "audio", "vision"):
        raise BadCall(
            f"nothing in '{path}' tells whether it is text, audio or vision: say --modality"
        )
    values, _, columns = table(0)
    dtype, width = kept_dtype(values.dtype), values.shape[1]
    tally = Tally()

    def rows(i: int) -> Features:
        values, times, own = table(i)
        if values.shape[1] != width or own != columns:
            raise BadInput(
                f"'{names[i]}' has {values.shape[1]} columns, '{names[0]}' has {width}, or they "
                "have other names: all utterances must be alike"
            )
        made = features_of(i, np.ascontiguousarray(values, np.dtype(dtype)), tally, times)
        mask = made.mask if masked is None else made.mask & ~masked(i)
        return Features(made.values, made.times, columns, mask)

    name = array or modality
    spec = ArraySpec((width,), dtype, columns)
    found = ForeignArray(modality, spec, rows, lambda: tally.told(name))
    return Foreign(kind, tuple(our_id(n) for n in names), {}, {name: found}, tuple(notes))


def two_dimensional(values: Array, where: str) -> Array:
    """Rows (n, D) of numbers: a single row where there is one dimension.

    Raises:
        BadInput: they are no numbers, or have more dimensions.
    """
    if values.dtype.kind not in "fiub":
        raise BadInput(f"{where} holds no numbers but {values.dtype}")
    if values.ndim == 1:
        values = values[None]
    if values.ndim != 2 or not values.shape[1]:
        raise BadInput(f"{where} must be (rows, columns), not {values.shape}")
    return values


def spans(starts: Array) -> Array:
    """Times (n, 2) of rows that begin at ``starts`` and last until the next one."""
    steps = np.diff(starts)
    last = float(np.median(steps)) if len(steps) else 0.0
    ends = np.append(starts[1:], starts[-1:] + last)
    return np.stack([starts, ends], axis=1)


def increasing(starts: Array, where: str) -> Array:
    """Start times as they are.

    Raises:
        BadInput: they do not grow.
    """
    if not np.isfinite(starts).all() or (np.diff(starts) <= 0).any():
        raise BadInput(f"the times of {where} do not grow")
    return starts
