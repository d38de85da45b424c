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

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from xxhash import xxh3_64_hexdigest, xxh3_128, xxh3_128_hexdigest

from .errors import BadInput
from .keys import KEY_BYTES, canonical
from .records import Array, ArraySpec, Features, FeatureSpec, frame_times
from .shard_file import FORMAT, Entry, checksum, outside_rows

_ALIGN = 64  # bytes; large arrays start on a cache line
_USER = 512  # bytes of the smallest user block; HDF5 wants a power of two


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
    """The HDF5 file: small arrays first, rows last, and the user block that guards them."""
    import h5py

    arrays = {**head, **rows}
    user = _USER
    while user < len(
        _front({n: (a.dtype.str, a.shape, 1 << 60) for n, a in arrays.items()}, 0, "")
    ):
        user *= 2
    buffer = io.BytesIO()
    # v110 metadata carries checksums and has no variable-length heap: with HDF5's defaults some
    # flipped bits were read back wrong.
    with h5py.File(
        buffer,
        "w",
        libver=("v110", "v110"),
        userblock_size=user,
        alignment_threshold=_ALIGN * 64,
        alignment_interval=_ALIGN,
    ) as file:
        made = {
            name: file.create_dataset(name, array.shape, array.dtype, track_times=False)
            for name, array in arrays.items()
        }
        for name, array in arrays.items():  # HDF5 gives space in the order of writing
            if array.size:
                made[name].write_direct(np.ascontiguousarray(array))
        places = {name: made[name].id.get_offset() or 0 for name in arrays}
    layout = {name: (array.dtype.str, array.shape, places[name]) for name, array in arrays.items()}
    image = buffer.getbuffer()
    front = len(_front(layout, len(image), ""))
    digest = xxh3_128()
    for begin, end in outside_rows(layout, front, len(image)):
        digest.update(image[begin:end])
    image[:front] = _front(layout, len(image), digest.hexdigest())
    return image


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
