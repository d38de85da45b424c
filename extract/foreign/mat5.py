"""MATLAB's files of version 5, as far as features need it: matrices of numbers, cells of text.

Nothing else is read, and nothing is taken before the file was seen to hold it.

Source:
    MathWorks, "MAT-File Format", version 5: the layout of elements, tags and classes.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np

from ...cache.errors import BadInput
from ...cache.records import Array

HEADER = 128
MATRIX, COMPRESSED, CELL, CHAR = 14, 15, 1, 4
#: Types of elements that are numbers.
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8"}
NUMBERS |= {12: "i8", 13: "u8"}
#: Types that are text, and its encoding; others are numbers of letters.
TEXTS = {16: "utf-8", 17: "utf-16-le", 18: "utf-32-le", 1: "latin-1", 2: "latin-1", 4: "utf-16-le"}
#: Classes of matrices of numbers: double, single, and whole numbers.
NUMERIC = range(6, 16)
#: Bytes that a compressed element may become.
MOST = 1 << 30


def is_mat5(head: bytes) -> bool:
    """Whether a file with these first bytes is of this format."""
    return head.startswith(b"MATLAB 5.0 MAT-file") and head[126:128] in (b"IM", b"MI")


def read_mat5(data: bytes) -> dict[str, Any]:
    """Variables by name: matrices of numbers, and lists of text for cells of it; others left out.

    Raises:
        BadInput: the file is cut off, or an element is not what its tag says.
    """
    if not is_mat5(data[:HEADER]) or len(data) < HEADER:
        raise BadInput("no MAT-file of version 5")
    order = "<" if data[126:128] == b"IM" else ">"
    found: dict[str, Any] = {}
    at = HEADER
    while at < len(data):
        kind, body, at = _element(data, at, order)
        if kind == COMPRESSED:
            inner = zlib.decompressobj()
            try:
                whole = inner.decompress(body, MOST)
            except zlib.error as error:
                raise BadInput(f"a compressed element is damaged: {error}") from error
            if inner.unconsumed_tail:
                raise BadInput(f"a compressed element becomes more than {MOST >> 30} GiB: refused")
            kind, body, _ = _element(whole, 0, order)
        if kind == MATRIX:
            name, value = _matrix(body, order, 0)
            if value is not None:
                found[name] = value
    return found


def _element(data: bytes, at: int, order: str) -> tuple[int, bytes, int]:
    """Type, bytes, and where the next element begins."""
    if at + 8 > len(data):
        raise BadInput("the file ends within an element: it is not whole")
    kind, size = struct.unpack_from(order + "II", data, at)
    if kind >> 16:  # a small element: type, size and data in 8 bytes
        size, kind = kind >> 16, kind & 0xFFFF
        if size > 4:
            raise BadInput("a small element of more than 4 bytes: the file is damaged")
        return kind, data[at + 4 : at + 4 + size], at + 8
    if size > len(data) - at - 8:
        raise BadInput(f"an element of {size:,} bytes, {len(data) - at - 8:,} are left: not whole")
    end = at + 8 + size
    return kind, data[at + 8 : end], end if kind == COMPRESSED else end + -size % 8


def _matrix(data: bytes, order: str, depth: int) -> tuple[str, Any]:
    """Name and value of a matrix; None: it is of a class that is not read."""
    _, flags, at = _element(data, 0, order)
    _, sizes, at = _element(data, at, order)
    _, name, at = _element(data, at, order)
    if len(flags) < 4 or len(sizes) % 4:
        raise BadInput("a matrix without class or size: the file is damaged")
    kind = struct.unpack_from(order + "I", flags)[0] & 0xFF
    shape = struct.unpack(f"{order}{len(sizes) // 4}i", sizes)
    called = name.decode("latin-1")
    if kind == CELL and depth == 0:
        return called, _cells(data, at, order)
    if kind == CHAR:
        number, text, _ = _element(data, at, order)
        encoding = TEXTS.get(number, "latin-1")
        return called, text.decode(encoding, "replace")
    if kind not in NUMERIC:
        return called, None
    number, body, _ = _element(data, at, order)
    return called, _numbers(number, body, shape, order, called)


def _numbers(number: int, body: bytes, shape: tuple[int, ...], order: str, name: str) -> Array:
    if number not in NUMBERS:
        raise BadInput(f"'{name}': elements of type {number} are no numbers")
    dtype = np.dtype(order + NUMBERS[number])
    if min(shape, default=0) < 0 or len(shape) > 8 or len(body) != _size(shape) * dtype.itemsize:
        raise BadInput(f"'{name}' declares {shape}, the file holds {len(body):,} bytes of it")
    flat = np.frombuffer(body, dtype).astype(dtype.newbyteorder("="))
    found: Array = flat.reshape(shape, order="F")
    return found


def _size(shape: tuple[int, ...]) -> int:
    n = 1
    for size in shape:
        n *= size
    return n


def _cells(data: bytes, at: int, order: str) -> list[Any]:
    found = []
    while at < len(data):
        kind, body, at = _element(data, at, order)
        if kind == MATRIX and body:
            found.append(_matrix(body, order, 1)[1])
    return found
