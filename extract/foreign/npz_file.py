"""Features and their corpus as one ``.npz``: plain arrays, and a table as JSON beside them.

``about``: ids, splits, texts and labels; of each array ``NAME.values`` (all rows, one after
another), ``NAME.offsets``, ``NAME.mask``, ``NAME.times``.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...cache.errors import BadInput
from ...cache.publish import publish
from ...cache.records import Array, ArraySpec, Features
from .outgoing import Outgoing
from .records import Foreign, ForeignArray, unmeasured

ABOUT = "about"
PARTS = ("values", "offsets", "mask", "times")
#: What zipfile, numpy and JSON say of an archive that is damaged, encrypted or another.
DAMAGES = (
    KeyError,
    TypeError,
    AttributeError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    zlib.error,
    zipfile.BadZipFile,
)
#: Times that a member may become larger, beyond so many bytes.
MOST_TIMES, SMALL = 200, 64 << 20


def knows(path: Path, head: bytes) -> bool:
    """Whether a file is a zip archive that ends in ``.npz``."""
    return path.suffix.lower() == ".npz" and head.startswith(b"PK")


def write(path: Path, given: Outgoing, longest: Mapping[str, int]) -> list[str]:
    """Write utterances and arrays; nothing is padded or cut.

    Raises:
        StoreFull: the file system has no room.
    """
    arrays: dict[str, Any] = {}
    told: dict[str, Any] = {}
    for name, table in given.arrays.items():
        told[name] = {"modality": given.modalities[name], "columns": list(table.columns)}
        for part in PARTS:
            arrays[f"{name}.{part}"] = np.asarray(getattr(table, part)[:])
    about = {"ids": list(given.corpus.ids), "columns": given.columns, "arrays": told}
    arrays[ABOUT] = np.frombuffer(json.dumps(about, allow_nan=False).encode(), np.uint8)
    image = io.BytesIO()
    np.savez(image, **arrays)
    publish(path, image.getbuffer(), replace=True)
    return []


def read(path: Path) -> Foreign:
    """Read what ``write`` wrote.

    Raises:
        BadInput: it is another archive, damaged, or grows beyond what it may.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check(archive)
        with np.load(path, allow_pickle=False) as opened:
            about = json.loads(opened[ABOUT].tobytes())
            ids = tuple(str(name) for name in about["ids"])
            found = {
                str(name): _array(told, [opened[f"{name}.{part}"] for part in PARTS], len(ids))
                for name, told in about["arrays"].items()
            }
            return Foreign("npz", ids, about["columns"], found)
    except DAMAGES as error:
        raise BadInput(
            f"'{path}' is no archive that 'affectflow features export' wrote, or it is damaged: "
            f"{str(error)[:100]}"
        ) from error


def _check(archive: zipfile.ZipFile) -> None:
    for member in archive.infolist():
        name = member.filename
        if name.startswith("/") or ".." in name.split("/") or "\\" in name:
            raise BadInput(f"member {name[:80]!r} leads out of the archive: refused")
        if member.file_size > max(SMALL, MOST_TIMES * member.compress_size):
            raise BadInput(f"member {name[:80]!r} becomes {member.file_size:,} bytes: refused")


def _array(told: Mapping[str, Any], parts: list[Array], n: int) -> ForeignArray:
    values, offsets, mask, times = parts
    fits = (
        values.ndim == 2
        and offsets.shape == (n + 1,)
        and offsets.dtype.kind == "i"
        and offsets[0] == 0
        and offsets[-1] == len(values)
        and bool((np.diff(offsets) >= 0).all())
        and mask.shape == (len(values),)
        and times.shape == (len(values), 2)
    )
    if not fits:
        raise BadInput("values, offsets, mask and times of an array do not fit each other")
    columns = tuple(str(name) for name in told["columns"])

    def rows(i: int) -> Features:
        own = slice(int(offsets[i]), int(offsets[i + 1]))
        real = mask[own].astype(bool) & ~unmeasured(values[own])[0]
        return Features(values[own], times[own], columns, real)

    spec = ArraySpec((values.shape[1],), values.dtype.name, columns)
    return ForeignArray(str(told["modality"]), spec, rows)
