"""A corpus as a Parquet file: the same corpus, the same bytes."""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .corpus_columns import COLUMNS, TEXTS
from .errors import BadCall, BadCorpus, StoreFull, StoreReadOnly
from .keys import canonical

if TYPE_CHECKING:
    import pandas as pd

#: Number of the format; raised when an older affectflow could not read what is written.
FORMAT = 1
#: Key of our entry in the file's schema metadata; its value is canonical JSON.
ENTRY = b"affectflow"
#: Endings of files that no folder is meant to have.
OTHER_TABLES = (".csv", ".tsv", ".xlsx", ".json", ".jsonl", ".pkl", ".npz")
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
NOT_ALLOWED = (errno.EROFS, errno.EACCES, errno.EPERM)


def is_ours(path: Path) -> bool:
    """Whether a Parquet file was written by ``write_file``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return ENTRY in (pq.read_schema(path).metadata or {})
    except (OSError, pa.ArrowInvalid):
        return False


def write_file(path: Path, frame: pd.DataFrame, about: Mapping[str, Any]) -> None:
    """Write a table under its name at once; see ``Corpus.write``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = os.path.abspath(path.parent)
    fields, arrays = [], []
    for name in frame.columns:
        values: Any = frame[name].tolist() if name in TEXTS else frame[name]
        if name == "media":
            values = [_below(folder, media) for media in values]
        kind = (
            pa.large_string() if name in TEXTS else pa.int64() if name == "turn" else pa.float64()
        )
        fields.append(pa.field(name, kind))
        arrays.append(pa.array(values, kind, from_pandas=name == "turn"))
    entry = {ENTRY: canonical({"format": FORMAT, **about})}
    table = pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=entry))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    _publish(path, sink.getvalue().to_pybytes())


def read_file(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Columns, media as absolute paths, and the arguments that go with them.

    Raises:
        BadCorpus: there is none, it is damaged, or a newer affectflow wrote it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise BadCorpus(f"no corpus at '{path}': there is no such file{_hint(path.parent)}")
    try:
        with pq.ParquetFile(path) as file:
            entry = (file.schema_arrow.metadata or {}).get(ENTRY)
            about = None if entry is None else json.loads(entry)
            if about is not None:
                _check_format(path, about)
            table = None if about is None else file.read()
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, BadCorpus):
            raise
        raise BadCorpus(f"'{path}' cannot be read as Parquet, it is damaged: {error}") from error
    if about is None or table is None:
        raise BadCorpus(
            f"'{path}' is a Parquet table, but no corpus written by affectflow; "
            f"read it with affectflow.read_corpus('table', '{path}')"
        )
    del about["format"]
    missing = [name for name in COLUMNS if name not in table.column_names]
    if missing:
        raise BadCorpus(f"corpus '{path}' has no column {', '.join(missing)}")
    folder = os.path.abspath(path.parent)
    at = table.column_names.index("media")
    table = table.set_column(at, "media", _inside(folder, table["media"]))
    return table.to_pandas(ignore_metadata=True, split_blocks=True, self_destruct=True), about


def _inside(folder: str, media: Any) -> Any:
    """A column of paths, those that are not absolute inside a folder; empty ones stay empty."""
    import pyarrow as pa
    import pyarrow.compute as pc

    media = media.cast(pa.large_string())
    slash, start = (pa.scalar(text, pa.large_string()) for text in ("/", folder.rstrip("/")))
    as_it_is = pc.or_(pc.equal(media, ""), pc.starts_with(media, "/"))
    return pc.if_else(as_it_is, media, pc.binary_join_element_wise(start, media, slash))


def _check_format(path: Path, about: Mapping[str, Any]) -> None:
    made = about.get("format")
    if not isinstance(made, int) or made > FORMAT:
        raise BadCorpus(
            f"corpus '{path}' has format {made!r}, written by a newer affectflow; this one reads "
            f"up to {FORMAT}: pip install --upgrade affectflow"
        )


def _hint(folder: Path) -> str:
    if (folder / "label.csv").is_file() or (folder / "meta.csv").is_file():
        mend = f"affectflow.read_corpus('ch-sims', '{folder}')"
        return f"; '{folder}' looks like the CH-SIMS layout: read it with {mend}"
    return "" if folder.is_dir() else f", nor a folder '{folder}'"


def _below(folder: str, media: str) -> str:
    """The path as seen from a folder that it lies below; else the absolute path."""
    if not media:
        return ""
    whole = os.path.abspath(media)
    inside = folder.rstrip("/") + "/"
    return whole[len(inside) :] if whole.startswith(inside) else whole


def _publish(path: Path, content: bytes) -> None:
    above = next(folder for folder in path.parents if os.path.lexists(folder))
    if not above.is_dir():
        raise BadCall(f"'{above}' is a file; a corpus goes into a folder or a .parquet file")
    folder = path.parent
    if folder.suffix.lower() in OTHER_TABLES and not folder.is_dir():
        raise BadCall(
            f"a corpus is written as .parquet, or into a folder, and '{folder}' is called like "
            f"neither: say '{folder.with_suffix('.parquet')}' or '{folder.with_suffix('')}'"
        )
    part = path.with_name(f".{path.name}-{secrets.token_hex(8)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise StoreFull(f"no room to write corpus '{path}' ({len(content):,} bytes)") from error
        if error.errno in NOT_ALLOWED:
            raise StoreReadOnly(f"corpus '{path}' cannot be written: {error.strerror}") from error
        raise
    finally:
        part.unlink(missing_ok=True)
