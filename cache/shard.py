"""The format of a shard: the features of some utterances at one node, as one immutable HDF5 file.

Inside, in this order::

    user block: a line of text with the format, and length and digest of the next line;
                a line of JSON: dtype, shape and place of every dataset, size and digest of the file
    head:  HDF5's own metadata
           keys      (n, 16) uint8, sorted
           about     JSON: the node's fingerprint, its origin, the column names
           arrays/NAME/offsets    (n + 1,) int64; utterance i owns rows offsets[i]:offsets[i + 1]
           arrays/NAME/checksums  (n,) uint64
           arrays/NAME/regular    (n, 3) float64: start, hop, width in s; where rows are regular
    rows:  arrays/NAME/values     (n_rows, ...) contiguous
           arrays/NAME/times      (n_rows, 2) float64 s; where rows are not regular
           arrays/NAME/mask       (n_rows,) uint8; where a row is masked

Any HDF5 tool opens it. Reading it here needs none: ``shard_file.py`` takes the places from the
user block, and checks the digest of all that is not rows when the file is opened, that of each
utterance's rows when they are read. So every flipped bit is raised as ``Damaged``.

This file writes shards, and is the only door to h5py.
"""

from __future__ import annotations

import math
import mmap
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from xxhash import xxh3_64_hexdigest, xxh3_128, xxh3_128_hexdigest

from .errors import BadInput
from .keys import KEY_BYTES, canonical
from .records import Array, ArraySpec, Features, FeatureSpec, frame_times
from .shard_file import FORMAT, checksum, flat_bytes
from .shard_front import Entry, outside_rows

_ALIGN = 64  # bytes; large arrays start on a cache line
_USER = 512  # bytes of the smallest user block; HDF5 wants a power of two
_SPARE = 1 << 14  # bytes that HDF5's own metadata of a dataset stays below by far


def build(
    node: str, items: Mapping[bytes, Features], spec: FeatureSpec, origin: Mapping[str, Any]
) -> tuple[tuple[bytes, ...], Image]:
    """Make a shard: its keys in the order of their rows, and the file's bytes.

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
    rows: dict[str, Sequence[Array]] = {}
    arrays = {key: items[key].arrays() for key in keys}
    for name in sorted(spec):
        parts = [_fitting(name, arrays[key], spec) for key in keys]
        small, large = _columns(keys, parts, spec[name])
        head.update({f"arrays/{name}/{what}": array for what, array in small.items()})
        rows.update({f"arrays/{name}/{what}": pieces for what, pieces in large.items()})
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
) -> tuple[dict[str, Array], dict[str, Sequence[Array]]]:
    """One named array: what goes into the head, and the rows of each utterance."""
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype("<i8")
    values = [np.ascontiguousarray(part.values) for part in parts]
    large: dict[str, Sequence[Array]] = {"values": values}
    small = {"offsets": offsets}
    regular = _regular(parts, spec.hop)
    if regular is None:
        large["times"] = [np.ascontiguousarray(part.times, "<f8") for part in parts]
    else:
        small["regular"] = regular
    if not all(part.mask.all() for part in parts):
        large["mask"] = [np.ascontiguousarray(part.mask).view(np.uint8) for part in parts]
    none = [None] * len(parts)
    sides = (large.get("times", none), large.get("mask", none))
    sums = [checksum(*one) for one in zip(keys, values, *sides, strict=True)]
    small["checksums"] = np.array(sums, "<u8")
    return small, large


def _regular(parts: Sequence[Features], hop: float | None) -> Array | None:
    """Start, hop and width of each utterance's rows; None where one is not rebuilt bit for bit."""
    once = {id(part.times): part.times for part in parts}  # utterances may share their times
    steps = {key: _regular_one(times, hop) for key, times in once.items()}
    if None in steps.values():
        return None
    return np.array([steps[id(part.times)] for part in parts], "<f8").reshape(-1, 3)


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


class Image:
    """The bytes of a file, in pieces: rows stay where they are until they are written.

    Args:
        pieces: one after another.
    """

    def __init__(self, pieces: Sequence[memoryview]) -> None:
        self.pieces = pieces

    def __bytes__(self) -> bytes:
        return b"".join(self.pieces)

    def digest(self) -> str:
        """What ``file_digest`` says of the file, 32 hex digits."""
        hasher = xxh3_128()
        for piece in self.pieces:
            hasher.update(piece)
        return hasher.hexdigest()


class _Sparse(mmap.mmap):
    """Memory as a file that HDF5 writes: what is never written is zeros, and takes no room."""

    end = 0  # of the file so far

    def seek(self, at: int, whence: int = os.SEEK_SET) -> int:  # type: ignore[override]
        """Go to a byte, from the beginning or from the file's end."""
        super().seek(at + (self.end if whence == os.SEEK_END else 0))
        return self.tell()

    def write(self, data: Any) -> int:
        """Write as a file does."""
        n = super().write(data)
        self.end = max(self.end, self.tell())
        return n

    def readinto(self, target: memoryview) -> int:
        """Read as a file does."""
        found = self.read(len(target))
        target[: len(found)] = found
        return len(found)

    def truncate(self, size: int) -> int:
        """Have the file end there."""
        self.end = size
        return size


def _image(head: Mapping[str, Array], rows: Mapping[str, Sequence[Array]]) -> Image:
    """The HDF5 file: small arrays first, rows last, and the user block that guards them."""
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {
        **{name: (array.dtype.str, array.shape) for name, array in head.items()},
        **{name: (parts[0].dtype.str, _joined(parts)) for name, parts in rows.items()},
    }
    user = _USER
    while user < len(_front({name: (*about, 1 << 60) for name, about in shapes.items()}, 0, "")):
        user *= 2
    file, layout = _without_rows(shapes, head, user)
    front = len(_front(layout, len(file), ""))
    digest = xxh3_128()
    for begin, end in outside_rows(layout, front, len(file)):
        digest.update(file[begin:end])
    file[:front] = _front(layout, len(file), digest.hexdigest())
    pieces = {0: [file[:user]]}
    for begin, end in outside_rows(layout, user, len(file)):
        pieces[begin] = [file[begin:end]]
    for name, parts in rows.items():
        if math.prod(layout[name][1]):  # else it has no place
            pieces[layout[name][2]] = [flat_bytes(part) for part in parts if part.size]
    return Image([piece for at in sorted(pieces) for piece in pieces[at]])


def _joined(parts: Sequence[Array]) -> tuple[int, ...]:
    return (sum(map(len, parts)), *parts[0].shape[1:])


def _without_rows(
    shapes: Mapping[str, tuple[str, tuple[int, ...]]], head: Mapping[str, Array], user: int
) -> tuple[memoryview, dict[str, Entry]]:
    """The HDF5 file with zeros for its rows, and where each dataset lies in it.

    Args:
        shapes: dtype and shape of each dataset, in the order of their places.
        head: those of them that are written.
        user: bytes of the user block.
    """
    import h5py

    n_bytes = sum(math.prod(shape) * np.dtype(dtype).itemsize for dtype, shape in shapes.values())
    room = _Sparse(-1, n_bytes + user + _SPARE * (1 + len(shapes)))
    # v110 metadata carries checksums and has no variable-length heap: with HDF5's defaults some
    # flipped bits were read back wrong.
    with h5py.File(
        room,
        "w",
        libver=("v110", "v110"),
        userblock_size=user,
        alignment_threshold=_ALIGN * 64,
        alignment_interval=_ALIGN,
    ) as file:
        made = {
            name: file.create_dataset(name, shape, dtype, track_times=False)
            for name, (dtype, shape) in shapes.items()
        }
        for name, dataset in made.items():  # HDF5 gives space in the order of writing
            if dataset.size and name in head:
                dataset.write_direct(np.ascontiguousarray(head[name]))
            elif dataset.size:
                dataset[:1] = 0  # all of it gets its place
        layout = {name: (*shapes[name], made[name].id.get_offset() or 0) for name in made}
        file.flush()
        size = file.id.get_filesize()
    return memoryview(room)[:size], layout


def _front(layout: Mapping[str, Entry], size: int, digest: str) -> bytes:
    """The text in the user block; its length does not depend on the digest."""
    text = canonical({"datasets": layout, "size": size, "digest": digest.rjust(32)}) + b"\n"
    line = f"affectflow shard {FORMAT} next {len(text)} digest {xxh3_128_hexdigest(text)}".encode()
    return line + b" " + xxh3_64_hexdigest(line).encode() + b"\n" + text


def hdf5_layout(path: Path) -> dict[str, Entry]:
    """Dtype, shape and place of each dataset as HDF5 sees them; to compare with the user block.

    Raises:
        OSError: HDF5 cannot read the file.
    """
    import h5py

    found: dict[str, Entry] = {}

    def note(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = (item.dtype.str, tuple(item.shape), item.id.get_offset() or 0)

    # locking=False: shards never change, and locks break on network mounts
    with h5py.File(path, "r", libver=("v110", "v110"), locking=False) as file:
        file.visititems(note)
    return found
