"""Features and their corpus as one Parquet file; see ``arrow_table`` for its columns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...cache.publish import publish
from .arrow_table import Parts, check_size, foreign_of, table_of, told
from .outgoing import Outgoing
from .parquet_footer import n_values
from .records import Foreign

if TYPE_CHECKING:
    import pyarrow as pa

#: Utterances of a row group: what is read at once.
GROUP = 256


def knows(path: Path, head: bytes) -> bool:
    """Whether a file is Parquet."""
    return path.is_file() and head.startswith(b"PAR1")


def write(path: Path, given: Outgoing, longest: Mapping[str, int]) -> list[str]:
    """Write utterances and arrays; nothing is padded or cut.

    Raises:
        StoreFull: the file system has no room.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    # Numbers of a network do not become smaller, and a dictionary takes all NaNs for one.
    pq.write_table(
        table_of(given, np.arange(len(given.corpus))),
        sink,
        row_group_size=GROUP,
        use_dictionary=False,
        compression="none",
        write_statistics=False,
    )
    publish(path, memoryview(sink.getvalue()), replace=True)
    return []


def read(path: Path) -> Foreign:
    """Read such a file, a row group at a time.

    Raises:
        BadInput: it is damaged, has no ids or arrays, or grows beyond what it may.
    """
    import pyarrow.parquet as pq

    check_size(n_values(path), path.stat().st_size)  # before anything is decoded
    with told(path), pq.ParquetFile(path) as file:
        schema, about = file.schema_arrow, file.metadata
        sizes = []
        for k in range(about.num_row_groups):
            # Asked for a column of a damaged group, Arrow ends the process; reading it, it says so.
            next(file.iter_batches(1, [k], use_threads=False), None)
            sizes.append(about.row_group(k).num_rows)

    def column(k: int, name: str) -> pa.Array:
        with pq.ParquetFile(path) as file:
            return file.read_row_group(k, columns=[name], use_threads=False)[name].combine_chunks()

    return foreign_of("parquet", path, Parts(schema, sizes, column))
