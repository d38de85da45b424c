"""Features that others made, in and out: one file a format, known by its content.

To add one: write a file with ``knows(path, head)`` and ``read(path, **options)``, and a line in
``FORMATS``.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...cache.errors import AffectflowError, BadCall, BadInput, unknown
from .records import Foreign

#: Format -> the module here that knows it, and what it is; the first that knows a file reads it.
FORMATS = {
    "pickle": ("pickles", "feature pickles: the community's, MulT's, MAG-BERT's"),
    "npz": ("npz_file", "our own .npz"),
    "parquet": ("parquet_file", "Parquet, rows of fixed length an utterance"),
    "datasets": ("datasets_folder", "a folder of Hugging Face datasets"),
    "csd": ("csd", "computational sequences (.csd)"),
    "csd-folder": ("csd_folder", "a folder of them, with their words and labels"),
    "covarep": ("covarep", "COVAREP's .mat"),
    "openface": ("openface", "OpenFace's CSV"),
    "facet": ("facet", "FACET's export by iMotions"),
    "npy": ("npy_folder", ".npy, one an utterance"),
    "hdf5": ("hdf5_file", "HDF5, one array an utterance"),
}
#: Format -> the module here that writes it, endings of such files, and what it is.
WRITERS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "pickle": ("feature_pickle_out", (".pkl", ".pickle"), "the community's feature pickle"),
    "csd": ("csd", (".csd",), "a computational sequence"),
    "npz": ("npz_file", (".npz",), "utterances and arrays as plain numpy"),
    "parquet": ("parquet_file", (".parquet",), "a table, one row an utterance"),
    "datasets": ("datasets_folder", (".hf",), "a folder for Hugging Face datasets"),
}
#: Formats that are one file each; the others are folders, or files of one utterance.
SINGLE = ("pickle", "npz", "parquet", "csd", "hdf5")
#: Bytes of a file that are looked at to know it.
HEAD = 4096
#: Raise it when the same file is read otherwise.
READER_VERSION = 1


def read_foreign(path: str | Path, kind: str = "", **options: Any) -> Foreign:
    """Read features that another program made.

    Args:
        path: a file or a folder.
        kind: one of ``FORMATS``; empty: told from the content.
        options: what the reader of that format takes beside.

    Raises:
        BadInput: it cannot be read, or nothing tells what it is.
        UnknownName: no format is called so, or it has no such option.
    """
    path = Path(path)
    kind = kind or format_of(path)
    if kind not in FORMATS:
        raise unknown("format of features", kind, FORMATS)
    if kind in SINGLE and path.is_dir():
        raise BadInput(f"'{path}' is a folder, and format '{kind}' is one file: name the file")
    read = importlib.import_module(f".{FORMATS[kind][0]}", __name__).read
    known = list(inspect.signature(read).parameters)[1:]
    for name in options:
        if name not in known:
            raise unknown(f"option of format '{kind}'", name, known)
    try:
        found: Foreign = read(path, **options)
    except AffectflowError as error:
        if str(path) in str(error):
            raise
        raise type(error)(f"'{path}': {error}") from error
    except (OSError, ValueError, MemoryError, RecursionError) as error:
        raise BadInput(f"'{path}' cannot be read: {error}") from error
    return found


def format_of(path: Path) -> str:
    """The format of a file or folder, by its content.

    Raises:
        BadCall: there is no such file.
        BadInput: it is of no format that is known.
    """
    if not path.exists():
        raise BadCall(f"there is no file or folder '{path}'")
    head = b""
    if path.is_file():
        with path.open("rb") as file:
            head = file.read(HEAD)
    for kind, (module, _) in FORMATS.items():
        if importlib.import_module(f".{module}", __name__).knows(path, head):
            return kind
    listed = "; ".join(about for _, about in FORMATS.values())
    why = f"it begins with {head[:16]!r}" if path.is_file() else "so is no file in this folder"
    raise BadInput(f"'{path}' is of no format that is known, {why}. Known: {listed}")


def options_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """Those options that say something."""
    return {name: value for name, value in given.items() if value}
