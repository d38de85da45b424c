"""Computational sequences of the CMU Multimodal SDK: ``.csd``, HDF5, read and written.

``<name>/data/<segment id>/{features, intervals}``; intervals are seconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ...cache.errors import BadCall, BadInput
from ...cache.hdf5_foreign import ForeignHdf5, is_hdf5, write_hdf5
from ...cache.records import Array
from ...cache.validation import count
from .library import Table, from_tables, two_dimensional
from .outgoing import Outgoing, lost_masks
from .records import Foreign, check_id, modality_of, their_id


def knows(path: Path, head: bytes) -> bool:
    """Whether a file is HDF5 with one group that holds ``data`` and ``metadata``."""
    return path.suffix.lower() == ".csd" and is_hdf5(head)


def read(path: Path, array: str = "", modality: str = "") -> Foreign:
    """Read a sequence: each segment id is an utterance, its rows have times.

    Args:
        path: the file.
        array: what to call the array; empty: after its modality.
        modality: empty: told from the name of the sequence or the file.

    Raises:
        BadInput: it is no sequence, or its rows and intervals do not fit.
    """
    with ForeignHdf5(path) as file:
        root, ids = root_and_ids(file, path)

    def table(i: int) -> Table:
        name = f"/{root}/data/{ids[i]}"
        with ForeignHdf5(path) as file:
            values = two_dimensional(file.read(f"{name}/features"), f"'{name}/features'")
            times = file.read(f"{name}/intervals")
        return values, intervals_of(times, len(values), f"'{ids[i]}'"), ()

    told = modality or modality_of(root)
    return from_tables("csd", path, ids, table, array, told)


def root_and_ids(file: ForeignHdf5, path: Path) -> tuple[str, list[str]]:
    """Name of a sequence and its keys, sorted.

    Raises:
        BadInput: it is no sequence.
    """
    names = file.names()
    roots = sorted({name.split("/")[1] for name in names})
    features = [name for name in names if name.endswith("/features") and name.count("/") >= 4]
    if len(roots) != 1 or not features:
        raise BadInput(
            f"a sequence has one name with data/<segment>/features below it; '{path}' has "
            f"{', '.join(roots[:5]) or 'nothing'}"
        )
    start = f"/{roots[0]}/data/"
    return roots[0], [name.removeprefix(start).removesuffix("/features") for name in features]


def intervals_of(times: Array, n_rows: int, where: str) -> Array:
    """Intervals (n_rows, 2) in seconds.

    Raises:
        BadInput: they are none, or of another number of rows.
    """
    if times.shape != (n_rows, 2) or times.dtype.kind not in "fiu":
        raise BadInput(
            f"{where} has {n_rows} rows and intervals of shape {times.shape}: (rows, 2) were wanted"
        )
    return times.astype(np.float64)


def write(path: Path, given: Outgoing, longest: Mapping[str, int]) -> list[str]:
    """Write one array as a sequence, with metadata as the SDK looks for them.

    Utterances without rows are left out; ``video/clip`` is ``video$_$clip``, as an id with a slash
    would be two groups for the SDK.

    Raises:
        BadCall: there is more than one array, or rows have no times.
    """
    if len(given.arrays) != 1:
        raise BadCall(
            f"a .csd holds one sequence, not {', '.join(given.arrays)}: write one file for each, "
            "--node NODE"
        )
    ((name, table),) = given.arrays.items()
    arrays: dict[str, Array] = {}
    left = []
    for i, utterance in enumerate(given.corpus.ids):
        rows = slice(int(table.offsets[i]), int(table.offsets[i + 1]))
        check_id(utterance)
        if not table.lengths[i]:
            left.append(utterance)
            continue
        times = table.times[rows]
        if np.isnan(times).any():
            raise BadCall(
                f"rows of '{name}' have no times ('{utterance}'), which a .csd needs: intervals"
            )
        key = f"{name}/data/{their_id(utterance)}"
        arrays[f"{key}/features"], arrays[f"{key}/intervals"] = table.values[rows], times
    about = {
        "root name": name,
        "computational sequence description": f"{given.modalities[name]} features",
        "computational sequence version": 1.0,
        "dimension names": list(table.columns),
        "alignment compatible": True,
        "dataset name": given.corpus.name,
    }
    texts = {f"{name}/metadata/{what}": json.dumps(said) for what, said in about.items()}
    write_hdf5(path, arrays, texts)
    notes = ["a .csd holds no splits, labels and texts: import it with --corpus to have them again"]
    notes += [f"{count(len(left), 'utterance')} without rows left out"] * bool(left)
    return notes + lost_masks(given)
