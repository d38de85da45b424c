"""A shard opened for reading: rows are checked whenever they are read, all else when it is opened.

No HDF5 library is asked: the places of all arrays stand in the file's user block. The format is
told in ``shard.py``.
"""

from __future__ import annotations

import json
import math
import os
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from xxhash import xxh3_64, xxh3_64_intdigest, xxh3_128

from .errors import BadInput, Damaged, NewerCache
from .files import LazyFile, OpenFile
from .keys import KEY_BYTES
from .records import MAIN, Array, Features, frame_times
from .shard_front import BadFront, NewerFormat, read_front

#: Newest format this version reads, and the one it writes.
FORMAT = 1
MEND = (
    "'affectflow cache verify' names every damaged file, 'affectflow cache prune --damaged' "
    "removes them, and the next run makes them again"
)
#: Bytes read at once, so that they are still in the processor's cache when they are checked.
PIECE = 1 << 18


def checksum(key: bytes, values: Array, times: Array | None, mask: Array | None) -> int:
    """xxh3 of one utterance's values, seeded by that of its key, stored times and stored mask."""
    seed = int.from_bytes(key[:8], "little")
    for side in (times, mask):
        if side is not None:
            seed = xxh3_64_intdigest(flat_bytes(side), seed)
    return xxh3_64_intdigest(flat_bytes(values), seed)


def flat_bytes(array: Array) -> memoryview:
    """A contiguous array's bytes, without a copy."""
    return array.reshape(-1).view(np.uint8).data


@dataclass(frozen=True, eq=False)
class Part:
    """One named array of an open shard: all that is known of it without reading rows."""

    columns: tuple[str, ...]
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    bounds: list[int]  # n + 1 offsets; plain numbers index faster than arrays
    checksums: list[int]
    regular: list[list[float]] | None  # n x (start, hop, width) in s
    values_at: int  # byte in the file
    times_at: int | None
    mask_at: int | None

    @cached_property
    def row_bytes(self) -> int:
        """Bytes of one row of values."""
        return math.prod(self.shape) * self.dtype.itemsize


class ShardFile:
    """A shard opened for reading; its file is open while it is read (see ``files.py``).

    Raises:
        NotCached: there is no such file.
        Damaged: its head is not what was written.
        NewerCache: it was written in a newer format.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lazy = LazyFile(path)
        try:
            self._parse(self._guarded())
        except BadFront as error:
            raise self.damaged(str(error)) from error
        except (KeyError, ValueError, TypeError) as error:
            raise self.damaged(f"its head cannot be read: {error!r}") from error

    def damaged(self, what: str) -> Damaged:
        """The error that says what is wrong with this file and how to mend it."""
        return Damaged(f"shard {self.path} is damaged: {what}. {MEND}")

    def _guarded(self) -> dict[int, bytes]:
        """All that is not rows, checked: first byte to bytes."""
        size = self.lazy.head.size
        try:
            front, text = read_front(self._bytes, size, FORMAT)
        except NewerFormat as error:
            raise NewerCache(
                f"shard {self.path} has format {error}, this version of affectflow reads "
                f"up to {FORMAT}: install a newer affectflow, or use another cache folder"
            ) from error
        if size != front.size:
            raise self.damaged(f"it has {size} bytes, {front.size} were written")
        self.layout = front.layout
        digest = xxh3_128()
        found = {}
        for begin, end in front.outside_rows():
            found[begin] = self._bytes(begin, end - begin)
            digest.update(found[begin])
        if digest.hexdigest() != front.digest:
            raise self.damaged("its head does not fit its checksum")
        return found

    def _parse(self, guarded: Mapping[int, bytes]) -> None:
        begins = sorted(guarded)

        def whole(name: str) -> Array:
            dtype, shape, at = self.layout[name]
            begin = begins[bisect_right(begins, at) - 1]
            count = math.prod(shape)
            return np.frombuffer(guarded[begin], dtype, count, at - begin).reshape(shape)

        about = json.loads(whole("about").tobytes())
        self.node: str = about["node"]
        self.origin: dict[str, Any] = about["origin"]
        blob = whole("keys").tobytes()
        self.keys = tuple(blob[i : i + KEY_BYTES] for i in range(0, len(blob), KEY_BYTES))
        self._seeds = [int.from_bytes(key[:8], "little") for key in self.keys]
        self.parts: dict[str, Part] = {}
        for name, columns in about["columns"].items():
            prefix = f"arrays/{name}/"
            dtype, shape, at = self.layout[prefix + "values"]
            times, mask = self.layout.get(prefix + "times"), self.layout.get(prefix + "mask")
            self.parts[name] = Part(
                columns=tuple(columns),
                dtype=np.dtype(dtype),
                shape=shape[1:],
                bounds=whole(prefix + "offsets").tolist(),
                checksums=whole(prefix + "checksums").tolist(),
                regular=None if times is not None else whole(prefix + "regular").tolist(),
                values_at=at,
                times_at=None if times is None else times[2],
                mask_at=None if mask is None else mask[2],
            )

    def part(self, name: str) -> Part:
        """One named array.

        Raises:
            BadInput: the node has no such array.
        """
        if name not in self.parts:
            raise BadInput(f"the node has arrays {sorted(self.parts)}, not '{name}'")
        return self.parts[name]

    def features(self, row: int) -> Features:
        """All arrays of one utterance, checked.

        Raises:
            Damaged: the bytes are not those that were written.
        """
        if not 0 <= row < len(self.keys):
            raise self.damaged(f"utterance {row} was asked for, it has {len(self.keys)}")
        parts = {name: self._one(name, part, row) for name, part in self.parts.items()}
        main = parts.pop(MAIN)
        if not parts:
            return main
        return Features(main.values, main.times, main.columns, main.mask, parts)

    def _one(self, name: str, part: Part, row: int) -> Features:
        first, last = part.bounds[row], part.bounds[row + 1]
        n = last - first
        values = np.empty((n, *part.shape), part.dtype)
        if part.regular is not None:
            start, hop, width = part.regular[row]
            times = frame_times(n, hop, width, start)
        else:
            times = np.empty((n, 2))
        mask = np.ones(n, bool)
        self.load(name, row, values, times, mask)
        return Features(values, times, part.columns, mask)

    def load(
        self, name: str, row: int, values: Array, times: Array, mask: Array, filled: bool = False
    ) -> None:
        """Read one utterance's values, stored times and stored mask into place, and check them.

        Args:
            name: which array.
            row: the utterance.
            values: (n_rows, ...) to be filled.
            times: (n_rows, 2) to be filled where they are not regular.
            mask: (n_rows,) to be filled where a row is masked.
            filled: the values are in place already.

        Raises:
            Damaged: the bytes are not those that were written.
        """
        part = self.parts[name]
        seed = self.load_sides(name, row, times, mask)
        target = flat_bytes(values)
        at = part.values_at + part.bounds[row] * part.row_bytes
        if filled or len(target) <= PIECE:
            if not filled:
                self.fill(target, at)
            found = xxh3_64_intdigest(target, seed)
        else:
            hasher = xxh3_64(seed=seed)
            for i in range(0, len(target), PIECE):
                piece = target[i : i + PIECE]
                self.fill(piece, at + i)
                hasher.update(piece)
            found = hasher.intdigest()
        if found != part.checksums[row]:
            raise self.damaged(
                f"array '{name}' of key {self.keys[row].hex()} does not fit its checksum"
            )

    def load_sides(self, name: str, row: int, times: Array, mask: Array) -> int:
        """Read only stored times and stored mask into place, unchecked.

        Returns:
            What their checksum seeds: that of the values says whether all three are whole.
        """
        part = self.parts[name]
        seed = self._seeds[row]
        for side, at, n_bytes in ((times, part.times_at, 16), (mask, part.mask_at, 1)):
            if at is not None:
                target = flat_bytes(side)
                self.fill(target, at + part.bounds[row] * n_bytes)
                seed = xxh3_64_intdigest(target, seed)
        return seed

    def fill(self, target: memoryview, at: int) -> None:
        """Read bytes of rows straight into an array."""
        self._fill(self.lazy.file, target, at)

    def _bytes(self, at: int, n: int) -> bytes:
        """Bytes that are not rows."""
        target = bytearray(n)
        self._fill(self.lazy.head, memoryview(target), at)
        return bytes(target)

    def _fill(self, file: OpenFile, target: memoryview, at: int) -> None:
        while len(target):
            try:
                n = os.preadv(file.number, [target], at)
            except OSError as error:
                raise self.damaged(f"the disk cannot read it ({error.strerror})") from error
            if n == 0:
                raise self.damaged(f"it ends before byte {at + len(target)}")
            target, at = target[n:], at + n
