"""The format of a shard: the features of some utterances at one node, as one immutable HDF5 file.

Inside, in this order::

    user block, 512 bytes: one line of text with the format, the size of file and head, a digest
    head:  HDF5's own metadata
           keys      (n, 16) uint8, sorted
           about     JSON: the node's fingerprint, its origin, the column names
           arrays/NAME/offsets    (n + 1,) int64; utterance i owns rows offsets[i]:offsets[i + 1]
           arrays/NAME/checksums  (n,) uint64
           arrays/NAME/regular    (n, 3) float64: start, hop, width in s; where rows are regular
    rows:  arrays/NAME/values     (n_rows, ...) contiguous
           arrays/NAME/times      (n_rows, 2) float64 s; where rows are not regular
           arrays/NAME/mask       (n_rows,) uint8; where a row is masked

Any HDF5 tool opens it. Reading here is stricter: the head's digest is checked before HDF5 parses
a byte of it, and rows are read from their place in the file and checked one utterance at a time.
So a flipped bit is either raised as ``Damaged`` or lies in padding that nobody reads.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from xxhash import xxh3_64_hexdigest, xxh3_64_intdigest, xxh3_128, xxh3_128_hexdigest

from .errors import BadInput, CacheError, Damaged, NewerCache, NotCached
from .keys import KEY_BYTES, canonical
from .records import MAIN, Array, ArraySpec, Features, FeatureSpec, frame_times

#: Newest format this version reads, and the one it writes.
FORMAT = 1
MEND = (
    "'affectflow cache verify' names every damaged file, 'affectflow cache prune --damaged' "
    "removes them, and the next run makes them again"
)
_PREFIX = 512  # bytes of the HDF5 user block
_ALIGN = 64  # bytes; rows start on a cache line
_FIRST = 1 << 15  # bytes read at once when a shard is opened: the head of most
_LINE = re.compile(
    rb"(affectflow shard (\d{1,9}) size (\d{1,18}) head (\d{1,18}) digest ([0-9a-f]{32})) "
    rb"([0-9a-f]{16})\n"
)


def build(
    node: str, items: Mapping[bytes, Features], spec: FeatureSpec, origin: Mapping[str, Any]
) -> tuple[tuple[bytes, ...], memoryview]:
    """Make a shard in memory: its keys in the order of their rows, and the file's bytes.

    The same arguments give the same bytes: keys are sorted, and nothing of time or place is in it.

    Raises:
        BadInput: features that do not fit the spec, or a key that is not 16 bytes.
    """
    keys = tuple(sorted(items))
    if not keys or any(len(key) != KEY_BYTES for key in keys):
        raise BadInput(f"a shard needs keys of {KEY_BYTES} bytes, got {keys[:1]!r}")
    columns = {name: list(part.columns) for name, part in spec.items()}
    about = canonical({"node": node, "origin": dict(origin), "columns": columns})
    head: dict[str, Array] = {
        "keys": np.frombuffer(b"".join(keys), np.uint8).reshape(-1, KEY_BYTES),
        "about": np.frombuffer(about, np.uint8),
    }
    rows: dict[str, Array] = {}
    arrays = {key: items[key].arrays() for key in keys}
    for name in sorted(spec):
        parts = [_fitting(name, arrays[key], spec) for key in keys]
        small, large = _columns(keys, parts, spec[name])
        head.update({f"arrays/{name}/{what}": array for what, array in small.items()})
        rows.update({f"arrays/{name}/{what}": array for what, array in large.items()})
    return keys, _image(head, rows)


def _fitting(name: str, arrays: Mapping[str, Features], spec: FeatureSpec) -> Features:
    if set(arrays) != set(spec) or not re.fullmatch(r"[^./][^/]*", name):
        raise BadInput(f"promised arrays {sorted(spec)}, got {sorted(arrays)}")
    part, wanted = arrays[name], spec[name]
    if part.values.dtype != np.dtype(wanted.dtype) or part.values.shape[1:] != wanted.shape:
        raise BadInput(
            f"array '{name}': rows of {wanted.shape} {wanted.dtype} promised, "
            f"got {part.values.shape[1:]} {part.values.dtype}; use Features.cast first"
        )
    return part


def _columns(
    keys: Sequence[bytes], parts: Sequence[Features], spec: ArraySpec
) -> tuple[dict[str, Array], dict[str, Array]]:
    """One named array of all utterances: what goes into the head, and what into the rows."""
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype("<i8")
    large = {"values": np.concatenate([part.values for part in parts])}
    small = {"offsets": offsets}
    regular = _regular(parts, spec.hop)
    if regular is None:
        large["times"] = np.concatenate([part.times for part in parts]).astype("<f8")
    else:
        small["regular"] = regular
    mask = np.concatenate([part.mask for part in parts])
    if not mask.all():
        large["mask"] = mask.view(np.uint8)
    sums = []
    for i, key in enumerate(keys):
        own = slice(int(offsets[i]), int(offsets[i + 1]))
        times, flags = large.get("times"), large.get("mask")
        sums.append(
            checksum(
                key,
                large["values"][own],
                None if times is None else times[own],
                None if flags is None else flags[own],
            )
        )
    small["checksums"] = np.array(sums, "<u8")
    return small, large


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


def _regular(parts: Sequence[Features], hop: float | None) -> Array | None:
    """Start, hop and width of each utterance's rows; None where one is not rebuilt bit for bit."""
    found = [_regular_one(part.times, hop) for part in parts]
    return None if None in found else np.array(found, "<f8").reshape(-1, 3)


def _regular_one(times: Array, hop: float | None) -> tuple[float, float, float] | None:
    n = len(times)
    if n == 0:
        return 0.0, 0.0, 0.0
    start, end = (float(t) for t in times[0])
    hops = [] if hop is None else [hop]
    if n > 1:
        step = float(times[1, 0] - start)
        hops += [step, round(step, 9), float(times[-1, 0] - start) / (n - 1)]
    else:
        hops.append(0.0)
    for step in hops:
        for width in (end - start, step, round(end - start, 9)):
            if frame_times(n, step, width, start).tobytes() == times.tobytes():
                return start, step, width
    return None


def _image(head: Mapping[str, Array], rows: Mapping[str, Array]) -> memoryview:
    """The HDF5 file: small arrays first, rows last, then the line in front that guards the head."""
    import h5py

    buffer = io.BytesIO()
    places: list[tuple[int, int]] = []
    # v110 metadata carries checksums and has no variable-length heap: with HDF5's defaults some
    # flipped bits were read back wrong.
    with h5py.File(
        buffer,
        "w",
        libver=("v110", "v110"),
        userblock_size=_PREFIX,
        alignment_threshold=_ALIGN * 64,
        alignment_interval=_ALIGN,
    ) as file:
        made = {
            name: file.create_dataset(name, array.shape, array.dtype, track_times=False)
            for name, array in (*head.items(), *rows.items())
        }
        for name, array in (*head.items(), *rows.items()):  # space is given when written
            if array.size:
                made[name].write_direct(np.ascontiguousarray(array))
        for name, array in rows.items():
            if array.size:
                places.append((made[name].id.get_offset(), array.nbytes))
    size = buffer.seek(0, io.SEEK_END)
    begin = _begin_of_rows(places, size)
    image = buffer.getbuffer()
    digest = xxh3_128_hexdigest(image[_PREFIX:begin])
    line = f"affectflow shard {FORMAT} size {size} head {begin} digest {digest}".encode()
    line += b" " + xxh3_64_hexdigest(line).encode() + b"\n"
    image[: len(line)] = line
    return image


def _begin_of_rows(places: list[tuple[int, int]], size: int) -> int:
    """Where the head ends; nothing but rows may stand behind it, or it would not be guarded."""
    end = begin = min((at for at, _ in places), default=size)
    for at, length in sorted(places):
        if not 0 <= at - end < _ALIGN:
            break
        end = at + length
    if end != size:
        raise CacheError(
            f"HDF5 laid out a shard in an unknown way: {sorted(places)} of {size} bytes"
        )
    return begin


@dataclass(frozen=True, eq=False)
class Part:
    """One named array of an open shard: all that is known of it without reading rows."""

    columns: tuple[str, ...]
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offsets: Array  # (n + 1,) int64
    checksums: Array  # (n,) uint64
    regular: Array | None  # (n, 3) float64: start, hop, width in s
    values_at: int  # byte in the file
    times_at: int | None
    mask_at: int | None

    @cached_property
    def row_bytes(self) -> int:
        """Bytes of one row of values."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    @cached_property
    def bounds(self) -> list[int]:
        """Offsets as plain numbers, which index faster."""
        return [int(i) for i in self.offsets]

    @cached_property
    def sums(self) -> list[int]:
        """Checksums as plain numbers."""
        return [int(i) for i in self.checksums]


class ShardFile:
    """A shard opened for reading; the file is closed when nobody holds it any more.

    Raises:
        NotCached: there is no such file.
        Damaged: its head is not what was written.
        NewerCache: it was written in a newer format.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = -1
        try:
            self._handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise NotCached(
                f"shard {path} is gone; run 'affectflow cache reindex', then the workflow again"
            ) from error
        head = self._head()
        try:
            found = _find(path)
            self._parse(head, found)
        except (OSError, KeyError, ValueError, RuntimeError) as error:
            raise self.damaged(f"its head cannot be read: {error}") from error

    def __del__(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)

    def damaged(self, what: str) -> Damaged:
        """The error that says what is wrong with this file and how to mend it."""
        return Damaged(f"shard {self.path} is damaged: {what}. {MEND}")

    def _head(self) -> bytes:
        size = os.fstat(self._handle).st_size
        first = self._bytes(0, min(_FIRST, size))
        match = _LINE.fullmatch(first[: first.find(b"\n") + 1])
        if not match or xxh3_64_hexdigest(match[1]).encode() != match[6]:
            raise self.damaged("its first line is not one of affectflow's")
        if int(match[2]) > FORMAT:
            raise NewerCache(
                f"shard {self.path} has format {int(match[2])}, this version of affectflow reads "
                f"up to {FORMAT}: install a newer affectflow, or use another cache folder"
            )
        if int(match[3]) != size or not _PREFIX <= int(match[4]) <= size:
            raise self.damaged(f"it has {size} bytes, {int(match[3])} were written")
        head = first[: int(match[4])]
        if len(head) < int(match[4]):
            head += self._bytes(len(head), int(match[4]) - len(head))
        if xxh3_128_hexdigest(head[_PREFIX:]).encode() != match[5]:
            raise self.damaged("its head does not fit its checksum")
        return head

    def _parse(self, head: bytes, found: Mapping[str, _Found]) -> None:
        def whole(name: str, dtype: str) -> Array:
            shape, _, at = found[name]
            count = int(np.prod(shape, dtype=np.int64))
            return np.frombuffer(head, dtype, count, at).reshape(shape)

        about = json.loads(whole("about", "u1").tobytes())
        self.node: str = about["node"]
        self.origin: dict[str, Any] = about["origin"]
        blob = whole("keys", "u1").tobytes()
        self.keys = tuple(blob[i : i + KEY_BYTES] for i in range(0, len(blob), KEY_BYTES))
        self._seeds = [int.from_bytes(key[:8], "little") for key in self.keys]
        self.parts: dict[str, Part] = {}
        for name, columns in about["columns"].items():
            prefix = f"arrays/{name}/"
            shape, dtype, at = found[prefix + "values"]
            regular = prefix + "regular" in found
            mask = found.get(prefix + "mask")
            self.parts[name] = Part(
                columns=tuple(columns),
                dtype=dtype,
                shape=shape[1:],
                offsets=whole(prefix + "offsets", "<i8"),
                checksums=whole(prefix + "checksums", "<u8"),
                regular=whole(prefix + "regular", "<f8") if regular else None,
                values_at=at,
                times_at=None if regular else found[prefix + "times"][2],
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
        return Features(main.values, main.times, main.columns, main.mask, parts)

    def _one(self, name: str, part: Part, row: int) -> Features:
        first, last = part.bounds[row], part.bounds[row + 1]
        n = last - first
        values = np.empty((n, *part.shape), part.dtype)
        self.fill(flat_bytes(values), part.values_at + first * part.row_bytes)
        if part.regular is not None:
            start, hop, width = part.regular[row].tolist()
            times = frame_times(n, hop, width, start)
        else:
            times = np.empty((n, 2))
        mask = np.ones(n, bool)
        self.check(name, row, values, times, mask)
        return Features(values, times, part.columns, mask)

    def check(self, name: str, row: int, values: Array, times: Array, mask: Array) -> None:
        """Read an utterance's stored times and mask into place; check them and its values."""
        part = self.parts[name]
        seed = self._seeds[row]
        first = part.bounds[row]
        if part.times_at is not None:
            sides = flat_bytes(times)
            self.fill(sides, part.times_at + first * 16)
            seed = xxh3_64_intdigest(sides, seed)
        if part.mask_at is not None:
            sides = flat_bytes(mask)
            self.fill(sides, part.mask_at + first)
            seed = xxh3_64_intdigest(sides, seed)
        if xxh3_64_intdigest(flat_bytes(values), seed) != part.sums[row]:
            raise self.damaged(
                f"array '{name}' of key {self.keys[row].hex()} does not fit its checksum"
            )

    def fill(self, target: memoryview, at: int) -> None:
        """Read bytes of the file straight into an array."""
        while len(target):
            try:
                n = os.preadv(self._handle, [target], at)
            except OSError as error:
                raise self.damaged(f"the disk cannot read it ({error.strerror})") from error
            if n == 0:
                raise self.damaged(f"it ends before byte {at + len(target)}")
            target, at = target[n:], at + n

    def _bytes(self, at: int, n: int) -> bytes:
        target = bytearray(n)
        self.fill(memoryview(target), at)
        return bytes(target)


_Found = tuple[tuple[int, ...], np.dtype[Any], int]  # shape, dtype, byte in the file


def _find(path: Path) -> dict[str, _Found]:
    """Where each dataset of the file lies, by h5py's low level (3 times as fast)."""
    from h5py import h5d, h5f, h5g, h5p

    access = h5p.create(h5p.FILE_ACCESS)
    access.set_file_locking(False, True)  # immutable; and locks break on network mounts
    file = h5f.open(os.fsencode(path), h5f.ACC_RDONLY, fapl=access)
    found: dict[str, _Found] = {}

    def note(name: bytes) -> None:
        dataset = h5d.open(file, name)
        if isinstance(dataset, h5d.DatasetID):
            at = dataset.get_offset()
            found[name.decode()] = (tuple(dataset.shape), dataset.dtype, at or 0)

    try:
        for name in (b"keys", b"about"):
            note(name)
        arrays = h5g.open(file, b"arrays")
        for array in arrays:
            for what in h5g.open(arrays, array):
                note(b"arrays/" + array + b"/" + what)
    finally:
        file.close()
    return found


def file_digest(path: Path) -> str:
    """xxh3 of a whole file, 32 hex digits; what ``xxh128sum`` prints, and what shards are named."""
    hasher = xxh3_128()
    block = memoryview(bytearray(1 << 20))
    with open(path, "rb", buffering=0) as file:
        while n := file.readinto(block):
            hasher.update(block[:n])
    return hasher.hexdigest()
