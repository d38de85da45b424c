"""The text at the beginning of a shard, from which all of it is found; told in ``shard.py``."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from xxhash import xxh3_64_hexdigest, xxh3_128_hexdigest

#: A dataset: dtype as numpy writes it, shape, first byte in the file (0 where it is empty).
Entry = tuple[str, tuple[int, ...], int]
#: Bytes read at once when a shard is opened: all but the rows of most.
FIRST = 1 << 15
_LINE = re.compile(
    rb"(affectflow shard (\d{1,9}) next (\d{1,9}) digest ([0-9a-f]{32})) ([0-9a-f]{16})\n"
)
_ROWS = ("values", "times", "mask")  # datasets with a row for each of the features'


@dataclass(frozen=True)
class Front:
    """What the front says.

    Args:
        layout: every dataset by name.
        size: bytes of the file.
        digest: of all that is neither rows nor this text.
        end: first byte after the text.
    """

    layout: Mapping[str, Entry]
    size: int
    digest: str
    end: int

    def outside_rows(self) -> list[tuple[int, int]]:
        """Spans (begin, end) after the front that hold no rows."""
        return outside_rows(self.layout, self.end, self.size)


class BadFront(ValueError):
    """What is wrong with it."""


class NewerFormat(ValueError):
    """The shard is of a format that this version does not know; its number."""


def read_front(read: Callable[[int, int], bytes], size: int, known: int) -> tuple[Front, bytes]:
    """The front of a shard, checked, and its text.

    Args:
        read: gives so many bytes from a byte of the file on.
        size: bytes that the file has.
        known: newest format that is understood.

    Raises:
        NewerFormat: it is of a newer one.
        BadFront: it is not as it was written.
    """
    first = read(0, min(FIRST, size))
    match = _LINE.match(first)
    if not match or xxh3_64_hexdigest(match[1]).encode() != match[5]:
        raise BadFront("its first line is not one of affectflow's")
    if int(match[2]) > known:
        raise NewerFormat(int(match[2]))
    end = match.end() + int(match[3])
    if len(first) < end <= size:
        first += read(len(first), end - len(first))
    if xxh3_128_hexdigest(first[match.end() : end]).encode() != match[4]:
        raise BadFront("its head does not fit its checksum")
    record = json.loads(first[match.end() : end])
    layout = {n: (d, tuple(s), at) for n, (d, s, at) in record["datasets"].items()}
    return Front(layout, record["size"], record["digest"], end), first[:end]


def outside_rows(layout: Mapping[str, Entry], start: int, size: int) -> list[tuple[int, int]]:
    """Spans (begin, end) of a file from byte ``start`` on that hold no rows."""
    spans = []
    for name, (dtype, shape, at) in layout.items():
        n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
        if n_bytes and name.rpartition("/")[2] in _ROWS:
            spans.append((at, at + n_bytes))
    found = []
    for begin, end in sorted(spans):
        if not start <= begin <= end <= size:
            raise ValueError(f"rows at bytes {begin} to {end} of {start} to {size}")
        if begin > start:
            found.append((start, begin))
        start = end
    return [*found, (start, size)] if size > start else found
