"""A folder as Hugging Face ``datasets`` saves and loads it; see ``arrow_table`` for its columns.

Only writing needs that library; Arrow alone reads the files.
"""

from __future__ import annotations

import importlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...cache.errors import BadCall, BadInput
from ...cache.publish import publish, store_errors, sync_folder
from ...cache.records import Array
from ...cache.validation import SPLIT_NAMES, SPLITS
from .arrow_table import ENTRY, Parts, about_arrays, check_size, foreign_of, table_of, told
from .outgoing import Outgoing
from .records import Foreign

if TYPE_CHECKING:
    import pyarrow as pa

SPLITS_FILE, STATE = "dataset_dict.json", "state.json"
#: Our own file beside the library's, which keeps no metadata of ours: what the arrays are.
ABOUT = "affectflow.json"
#: What the library calls our splits, and one of utterances that are in none.
NAMES = {"train": "train", "valid": "validation", "test": "test", "": "unsplit"}


def knows(path: Path, head: bytes) -> bool:
    """Whether a folder is one that the library saved."""
    return (path / SPLITS_FILE).is_file() or (path / STATE).is_file()


def write(path: Path, given: Outgoing, longest: Mapping[str, int]) -> list[str]:
    """Write a folder of one dataset a split; nothing is padded or cut.

    Raises:
        BadCall: the library is not installed, or there is something of that name already.
        StoreFull: the file system has no room.
    """
    try:
        library = importlib.import_module("datasets")
    except ImportError as error:
        raise BadCall(
            "a folder for Hugging Face 'datasets' needs that library: pip install "
            "'affectflow[datasets]'"
        ) from error
    if path.exists():
        raise BadCall(f"'{path}' exists already: a folder is not replaced, name another one")
    made = library.DatasetDict(
        {
            NAMES[split]: library.Dataset(
                library.table.InMemoryTable(table_of(given, chosen)), split=NAMES[split]
            )
            for split, chosen in _splits(given)
        }
    )
    library.disable_progress_bars()
    part = path.with_name(f".{path.name}-{secrets.token_hex(8)}.part")
    try:
        with store_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            made.save_to_disk(str(part))
            publish(part / ABOUT, about_arrays(given))
            os.rename(part, path)
            sync_folder(path.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return []


def _splits(given: Outgoing) -> Iterator[tuple[str, Array]]:
    """Name of each split, and its utterances."""
    for split in NAMES:
        chosen = np.flatnonzero(given.corpus.splits == split)
        if len(chosen):
            yield split, chosen


def read(path: Path) -> Foreign:
    """Read such a folder, also one that the library saved of other data.

    Raises:
        BadInput: it is damaged, leads elsewhere, or has no ids or arrays.
    """
    import pyarrow as pa

    with told(path):
        batches: list[pa.RecordBatch] = []
        splits: list[str] = []
        for file, split in _files(path):
            with pa.memory_map(str(file)) as source, pa.ipc.open_stream(source) as stream:
                for batch in stream:
                    check_size(batch.nbytes // 8, file.stat().st_size)
                    batches.append(batch)
                    splits += [split] * len(batch)
        if not batches:
            raise BadInput(f"there is no data in '{path}'")
        schema = batches[0].schema.remove_metadata()
        if any(not batch.schema.equals(schema, check_metadata=False) for batch in batches):
            raise BadInput(f"the splits in '{path}' have different columns")
        if (path / ABOUT).is_file():
            schema = schema.with_metadata({ENTRY: (path / ABOUT).read_bytes()})
    sizes = [len(batch) for batch in batches]
    parts = Parts(schema, sizes, lambda k, name: batches[k].column(name))
    found = foreign_of("datasets", path, parts)
    return replace(found, columns={"split": splits, **found.columns})


def _files(path: Path) -> Iterator[tuple[Path, str]]:
    """The files of data, in the order of the splits, and our name of the split of each.

    Raises:
        BadInput: one leads out of the folder, or the rows stand in another order than the data.
    """
    folders = [path]
    if (path / SPLITS_FILE).is_file():
        folders = [path / _plain(name) for name in _json(path / SPLITS_FILE)["splits"]]
    for folder in folders:
        state = _json(folder / STATE)
        if state.get("_indices_files"):
            raise BadInput(
                f"'{folder}' is a choice of rows: save it whole, dataset.flatten_indices()"
            )
        for file in state["_data_files"]:
            found = folder / _plain(file["filename"])
            if not os.path.realpath(found).startswith(os.path.realpath(path) + os.sep):
                raise BadInput(f"'{found}' leads out of the folder: refused")
            name = SPLIT_NAMES.get(folder.name, folder.name)
            yield found, name if name in SPLITS else ""


def _plain(name: Any) -> str:
    """The name of a file or folder that lies here."""
    if type(name) is not str or name in ("", ".", "..") or "/" in name or "\0" in name:
        raise BadInput(f"{str(name)[:80]!r} leads out of the folder: refused")
    return name


def _json(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_bytes())
    if not isinstance(found, dict):
        raise BadInput(f"'{path}' is damaged: an object was wanted")
    return found
