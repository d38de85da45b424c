"""How many values a Parquet file says that it holds, read from its footer alone.

Arrow is not asked: it ends the process where a damaged column is asked about, and decodes a column
before it can be told how large it is, though a few bytes may stand for gigabytes.

Source:
    Apache Parquet, *File format*: the footer is a ``FileMetaData`` in Thrift's compact protocol,
    whose row groups (field 4) have column chunks (1) with metadata (3) that count values (5).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ...cache.errors import BadInput

#: What a file begins and ends with.
MARK = b"PAR1"
#: Structures inside of structures.
DEEPEST = 16
#: Types of the protocol, as its headers number them.
TRUE, FALSE, BYTE, DOUBLE, BINARY, MAP, STRUCT = 1, 2, 3, 7, 8, 11, 12
WHOLE, LISTS = (4, 5, 6), (9, 10)


def n_values(path: Path) -> int:
    """Values of all columns of all row groups.

    Raises:
        BadInput: the footer is not whole.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 8))
        tail = file.read(8)
        length = int.from_bytes(tail[:4], "little")
        if tail[4:] != MARK or length > size - 12:
            raise BadInput(f"'{path}' is no whole Parquet file: its footer is missing")
        file.seek(size - 8 - length)
        footer = file.read(length)
    try:
        groups = _Thrift(footer).struct().get(4, [])
        chunks = [chunk for group in groups for chunk in group.get(1, [])]
        counts = [int(chunk[3][5]) for chunk in chunks]
        if min(counts, default=0) < 0:
            raise ValueError("less than no value")
    except (IndexError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadInput(f"'{path}': the footer of this Parquet file is damaged") from error
    return sum(counts)


class _Thrift:
    """Plain values out of Thrift's compact protocol: a struct is a dict by number of the field."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """The fields of a struct.

        Raises:
            IndexError: the data end within it.
            ValueError: it holds what the protocol does not know, or is too deep.
        """
        found: dict[int, Any] = {}
        number = 0
        while header := self._byte():
            step, kind = header >> 4, header & 15
            number = number + step if step else self._whole()
            found[number] = kind == TRUE if kind in (TRUE, FALSE) else self._value(kind, depth + 1)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        if depth > DEEPEST:
            raise ValueError("too deep")
        if kind in (TRUE, FALSE, BYTE):
            return self._byte()
        if kind in WHOLE:
            return self._whole()
        if kind == DOUBLE:
            return self._take(8)
        if kind == BINARY:
            return self._take(self._varint())
        if kind in LISTS:
            header = self._byte()
            n = self._varint() if header >> 4 == 15 else header >> 4
            return [self._value(header & 15, depth + 1) for _ in range(n)]
        if kind == MAP:
            n = self._varint()
            kinds = self._byte() if n else 0
            return [
                [self._value(part, depth + 1) for part in (kinds >> 4, kinds & 15)]
                for _ in range(n)
            ]
        if kind == STRUCT:
            return self.struct(depth)
        raise ValueError("unknown type")

    def _byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def _take(self, n: int) -> bytes:
        self.at += n
        if self.at > len(self.data):
            raise IndexError
        return self.data[self.at - n : self.at]

    def _varint(self) -> int:
        found = shift = 0
        while (byte := self._byte()) & 128:
            found |= (byte & 127) << shift
            shift += 7
            if shift > 63:
                raise ValueError("a number of more than 64 bits")
        return found | byte << shift

    def _whole(self) -> int:
        """A whole number, whose sign is its lowest bit."""
        found = self._varint()
        return found >> 1 ^ -(found & 1)
