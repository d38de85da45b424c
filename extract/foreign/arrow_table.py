"""Utterances and their arrays as an Arrow table, which Parquet and Hugging Face ``datasets`` hold.

A row an utterance: ``id``, the columns of the corpus, and of each array ``NAME_values`` (a list of
rows of fixed length), ``NAME_mask`` and ``NAME_times``. What an array is stands in the table's
metadata; tables without it come in as well, by the names and types of their columns.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...cache.corpus_columns import COLUMNS, TASKS
from ...cache.errors import BadInput
from ...cache.labels import CLASSES
from ...cache.records import Array, ArraySpec, Features, no_times
from ...cache.validation import listing, show
from .outgoing import MEDIA, Outgoing
from .records import KEPT, Foreign, ForeignArray, Tally, features_of, modality_of, our_id

if TYPE_CHECKING:
    import pyarrow as pa

#: Key of our entry in a table's metadata.
ENTRY = b"affectflow.features"
#: What the columns of an array end in.
VALUES, MASK, TIMES = "_values", "_mask", "_times"
#: Values of all columns, beyond so many bytes, for each byte of the file.
SMALL, MOST_TIMES = 64 << 20, 200


@dataclass(frozen=True)
class Parts:
    """A table that is read a part and a column at a time.

    Args:
        schema: names and types of its columns.
        sizes: utterances of each part.
        column: number of a part and name of a column -> its values.
    """

    schema: pa.Schema
    sizes: Sequence[int]
    column: Callable[[int, str], pa.Array]


def table_of(given: Outgoing, chosen: Array) -> pa.Table:
    """Some utterances, by number, as a table; nothing is padded or cut."""
    import pyarrow as pa

    columns: dict[str, Any] = {"id": pa.array([given.corpus.ids[i] for i in chosen], pa.string())}
    for name, values in given.columns.items():
        kept = [values[i] for i in chosen]
        kind = pa.float64() if name in TASKS else pa.int64() if name == "turn" else pa.string()
        columns[name] = pa.array(kept, kind)
    for name, whole in given.arrays.items():
        table = whole.select(chosen)
        offsets = pa.array(table.offsets.astype(np.int32))
        columns[name + VALUES] = _nested(offsets, np.asarray(table.values[:]))
        columns[name + MASK] = pa.ListArray.from_arrays(offsets, pa.array(table.mask))
        columns[name + TIMES] = _nested(offsets, table.times)
    return pa.table(columns).replace_schema_metadata({ENTRY: about_arrays(given)})


def about_arrays(given: Outgoing) -> bytes:
    """What the arrays are, as it stands in the metadata."""
    about = {
        name: {"modality": given.modalities[name], "columns": list(table.columns)}
        for name, table in given.arrays.items()
    }
    return json.dumps(about).encode()


def _nested(offsets: pa.Array, rows: Array) -> pa.Array:
    import pyarrow as pa

    flat = pa.array(np.ascontiguousarray(rows).reshape(-1))
    return pa.ListArray.from_arrays(offsets, pa.FixedSizeListArray.from_arrays(flat, rows.shape[1]))


def foreign_of(kind: str, path: Path, parts: Parts) -> Foreign:
    """The utterances of a table.

    Raises:
        BadInput: there are no ids or no arrays, or a column is not what its name says.
    """
    twice = [name for name, n in Counter(parts.schema.names).items() if n > 1]
    if twice:
        raise BadInput(f"'{path}' has several columns of one name: {listing(twice)}")
    about = _about(parts.schema)
    names = list(about) or list(_found(parts.schema))
    if "id" not in parts.schema.names or not names:
        raise BadInput(
            f"'{path}' has no column 'id', or none of rows of numbers (a list of lists an "
            f"utterance); it has {listing([show(name) for name in parts.schema.names])}"
        )
    read = _remembered(parts, path)

    def whole(name: str) -> list[Any]:
        return [value for k in range(len(parts.sizes)) for value in read(k, name).to_pylist()]

    known = [name for name in (*COLUMNS, *TASKS, *CLASSES) if name not in ("id", *MEDIA)]
    columns = {name: whole(name) for name in known if name in parts.schema.names}
    arrays = {name: _array(name, about.get(name, {}), parts, read, path) for name in names}
    beside = (name + end for name in names for end in (MASK, TIMES))
    used = {"id", *columns, *MEDIA, *(_column(name, parts.schema) for name in names), *beside}
    rest = [name for name in parts.schema.names if name not in used]
    notes = (f"not used: {listing(rest)}",) if rest else ()
    ids = tuple(our_id(str(name)) for name in whole("id"))
    return Foreign(kind, ids, columns, arrays, notes)


def _about(schema: pa.Schema) -> dict[str, Mapping[str, Any]]:
    """What the file says of its arrays; empty: it was not written here."""
    entry = (schema.metadata or {}).get(ENTRY)
    if entry is None:
        return {}
    found = json.loads(entry)
    fits = isinstance(found, dict) and all(
        isinstance(told, dict) and name + VALUES in schema.names for name, told in found.items()
    )
    if not fits:
        raise BadInput("what the file says of its arrays is damaged")
    return {str(name): told for name, told in found.items()}


def _found(schema: pa.Schema) -> Iterator[str]:
    """Arrays in a table that does not tell what they are."""
    for field in schema:
        whole = field.name.removesuffix(TIMES)
        if _width(field.type) and (whole == field.name or whole + VALUES not in schema.names):
            yield field.name.removesuffix(VALUES)


def _column(name: str, schema: pa.Schema) -> str:
    """The column of an array's values."""
    return name + VALUES if name + VALUES in schema.names else name


def _width(kind: pa.DataType) -> int:
    """Numbers in a row of a column of rows; 0: it is none, or its rows have no fixed length.

    >>> import pyarrow as pa
    >>> _width(pa.list_(pa.list_(pa.float32(), 5))), _width(pa.list_(pa.list_(pa.float32())))
    (5, 0)
    """
    from pyarrow import types

    rows = kind.value_type if types.is_list(kind) or types.is_large_list(kind) else kind
    if rows is kind or not types.is_fixed_size_list(rows):
        return 0
    return int(rows.list_size) if _dtype(rows) in KEPT else 0


def _dtype(rows: pa.DataType) -> str:
    """What numpy calls the numbers of a row; of what is no number, something else."""
    from pyarrow import types

    kind = rows.value_type
    return np.dtype(kind.to_pandas_dtype()).name if types.is_primitive(kind) else ""


def _remembered(parts: Parts, path: Path) -> Callable[[int, str], pa.Array]:
    @lru_cache(maxsize=3)  # an array, its mask and its times; utterances come in their order
    def read(k: int, name: str) -> pa.Array:
        with told(path):
            found = parts.column(k, name)
            found.validate(full=True)
            if len(found) != parts.sizes[k]:
                raise BadInput(f"column '{name}' has {len(found):,} of {parts.sizes[k]:,} values")
        return found

    return read


def _array(
    name: str,
    about: Mapping[str, Any],
    parts: Parts,
    read: Callable[[int, str], pa.Array],
    path: Path,
) -> ForeignArray:
    column = _column(name, parts.schema)
    kind = parts.schema.field(column).type
    width = _width(kind)
    if not width:
        raise BadInput(
            f"column '{column}' of '{path}' is {kind}: rows of a fixed number of numbers were "
            f"wanted, of {', '.join(KEPT)}"
        )
    modality = str(about.get("modality", "")) or modality_of(name) or "marks"
    names = tuple(str(one) for one in about.get("columns", ()))
    starts = [0, *accumulate(parts.sizes)]
    tally = Tally()

    def rows(i: int) -> Features | None:
        k = bisect_right(starts, i) - 1

        def own(name: str, width: int) -> Array | None:
            if name not in parts.schema.names:
                return None
            with told(path):
                return _of_one(read(k, name), i - starts[k], name, width)

        values, mask, times = own(column, width), own(name + MASK, 1), own(name + TIMES, 2)
        if values is None:
            return None
        made = features_of(i, values, tally, no_times(len(values)) if times is None else times)
        if mask is None:
            return Features(made.values, made.times, names, made.mask)
        finite = np.isfinite(values).all(axis=1)
        return Features(made.values, made.times, names, mask[:, 0].astype(bool) & finite)

    spec = ArraySpec((width,), _dtype(kind.value_type), names)
    masked = name + MASK in parts.schema.names
    return ForeignArray(modality, spec, rows, tuple if masked else lambda: tally.told(name))


def _of_one(column: pa.Array, i: int, name: str, width: int) -> Array | None:
    """The rows of one utterance, (n, width); None: it has none."""
    cell = column[i]
    if not cell.is_valid:
        return None
    rows = cell.values
    flat = rows.flatten() if _width(column.type) else rows
    if flat.null_count or len(flat) != len(rows) * width:
        raise BadInput(f"column '{name}': a row lacks numbers, or has not {width} of them")
    found: Array = flat.to_numpy(zero_copy_only=False).reshape(-1, width)
    return found


def check_size(n_values: int, size: int) -> None:
    """See that a file does not become far more than it holds.

    Args:
        n_values: of all columns.
        size: bytes of the file.

    Raises:
        BadInput: it does.
    """
    if 8 * n_values > max(SMALL, MOST_TIMES * size):
        raise BadInput(f"{size:,} bytes become {n_values:,} values: refused")


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Raise what Arrow says of a file as one of our errors.

    Raises:
        BadInput: it cannot be read.
    """
    import pyarrow as pa

    try:
        yield
    except BadInput:
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise BadInput(f"'{path}' cannot be read: {str(error)[:200]}") from error
