"""Many utterances' rows from many shards as one table: copied at the speed of a memcpy, or mapped.

Rows go from the file straight to their place in the table and are checked while they are still in
the processor's cache. Rows that are to be mapped go to a buffer instead, to be checked: once for
each file and process, and again if the file has changed since.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from .errors import BadInput
from .files import LazyFile, Mark
from .mapped import MappedRows
from .records import Array
from .shard_file import PIECE, Part, ShardFile, flat_bytes
from .table import FeatureTable

_THREADED = 1 << 23  # bytes below which one thread is faster
_BLOCK = 256  # utterances whose regular times are computed at once, in the processor's cache

#: Which utterances of a file's array were checked to be mapped, by this process.
_checked: dict[tuple[Mark, str], bytearray] = {}

#: Where an utterance lies: its shard and its number there; None: it has no features.
Found = tuple[ShardFile, int] | None


@dataclass(frozen=True)
class _Run:
    """Utterances that follow each other in a shard and in the table."""

    shard: ShardFile
    row: int  # first utterance's number in the shard
    n: int
    into: int  # first row in the table

    def rows(self, array: str) -> slice:
        """Their rows in the table."""
        bounds = self.shard.parts[array].bounds
        return slice(self.into, self.into + bounds[self.row + self.n] - bounds[self.row])


def read_table(
    ids: Sequence[str], found: Sequence[Found], array: str, mapped: bool = False
) -> FeatureTable:
    """Join one named array of many utterances.

    Args:
        ids: the utterances.
        found: where each lies.
        array: which of the node's named arrays.
        mapped: leave the values in their files; times and mask are read.

    Raises:
        BadInput: the node has no such array, or the arrays differ in shape, dtype or columns.
        Damaged: stored bytes are not those that were written.
    """
    parts = _parts(found, array)
    like = _alike(array, list(parts.values()))
    offsets = _offsets(found, parts)
    total = int(offsets[-1])
    times = _regular_times(found, parts, offsets)
    mask = np.ones(total, bool)
    runs = _runs(found, parts, offsets.tolist())
    n_bytes = total * like.row_bytes
    values: Array | MappedRows
    if mapped:
        _each(lambda run: _check(run, array, times, mask), runs, n_bytes)
        values = _mapped(found, parts, offsets, like)
    else:
        values = copied = np.empty((total, *like.shape), like.dtype)
        _each(lambda run: _fill(run, array, copied[run.rows(array)], times, mask), runs, n_bytes)
    return FeatureTable(tuple(ids), values, offsets, mask, times, like.columns)


def table_bytes(found: Sequence[Found], array: str, least: int = 1) -> int:
    """Bytes of the values that ``read_table`` would copy into memory.

    Args:
        found: where each utterance's features are.
        array: which of the node's arrays.
        least: bytes that each value is counted as at least.

    Raises:
        BadInput: the node has no such array, or the arrays differ in shape, dtype or columns.
    """
    parts = _parts(found, array)
    like = _alike(array, list(parts.values()))
    width = max(1, -(-least // like.dtype.itemsize))
    return int(_offsets(found, parts)[-1]) * like.row_bytes * width


def _parts(found: Sequence[Found], array: str) -> dict[int, Part]:
    return {id(shard): shard.part(array) for shard, _ in filter(None, found)}


def _offsets(found: Sequence[Found], parts: dict[int, Part]) -> Array:
    lengths = np.zeros(len(found), np.int64)
    for i, at in enumerate(found):
        if at is not None:
            bounds = parts[id(at[0])].bounds
            lengths[i] = bounds[at[1] + 1] - bounds[at[1]]
    return np.concatenate([[0], np.cumsum(lengths)])


def _mapped(
    found: Sequence[Found], parts: dict[int, Part], offsets: Array, like: Part
) -> MappedRows:
    """Where each utterance's values lie; nothing is read."""
    files: dict[int, tuple[int, LazyFile]] = {}
    file_of, begins = np.zeros(len(found), np.int64), np.zeros(len(found), np.int64)
    for i, at in enumerate(found):
        if at is not None:
            part = parts[id(at[0])]
            file_of[i], _ = files.setdefault(id(at[0]), (len(files), at[0].lazy))
            begins[i] = part.values_at + part.bounds[at[1]] * part.row_bytes
    lazy = [file for _, file in files.values()]
    return MappedRows(lazy, file_of, begins, offsets, like.dtype, like.shape)


def _alike(array: str, parts: Sequence[Part]) -> Part:
    if not parts:
        raise BadInput(f"no utterance has features: the shape of '{array}' is not known")
    first = parts[0]
    for part in parts[1:]:
        if (part.shape, part.dtype, part.columns) != (first.shape, first.dtype, first.columns):
            raise BadInput(
                f"'{array}' cannot be one table: rows of {first.shape} {first.dtype} and of "
                f"{part.shape} {part.dtype}"
            )
    return first


def _runs(found: Sequence[Found], parts: dict[int, Part], offsets: list[int]) -> list[_Run]:
    runs: list[_Run] = []
    i = 0
    while i < len(found):
        at = found[i]
        first = i
        i += 1
        if at is None:
            continue
        shard, row = at
        limit = offsets[first] + PIECE // max(parts[id(shard)].row_bytes, 1)
        while i < len(found) and found[i] == (shard, row + i - first) and offsets[i + 1] <= limit:
            i += 1
        runs.append(_Run(shard, row, i - first, offsets[first]))
    return runs


def _fill(run: _Run, array: str, values: Array, times: Array, mask: Array) -> None:
    """Read and check a run: its own values, its rows of the table's times and mask."""
    part = run.shard.parts[array]
    start = part.bounds[run.row]
    if run.n > 1:
        run.shard.fill(flat_bytes(values), part.values_at + start * part.row_bytes)
    for row in range(run.row, run.row + run.n):
        own = slice(part.bounds[row] - start, part.bounds[row + 1] - start)
        side = slice(own.start + run.into, own.stop + run.into)
        run.shard.load(array, row, values[own], times[side], mask[side], filled=run.n > 1)


def _check(run: _Run, array: str, times: Array, mask: Array) -> None:
    """Read a run's times and mask, and its values too unless this process has checked them."""
    part = run.shard.parts[array]
    checked = _checked.setdefault((run.shard.lazy.mark, array), bytearray(len(run.shard.keys)))
    own = slice(run.row, run.row + run.n)
    if not all(checked[own]):
        rows = run.rows(array)
        _fill(run, array, np.empty((rows.stop - rows.start, *part.shape), part.dtype), times, mask)
        checked[own] = b"\1" * run.n
        return
    start = run.into - part.bounds[run.row]
    for row in range(run.row, run.row + run.n):
        side = slice(start + part.bounds[row], start + part.bounds[row + 1])
        run.shard.load_sides(array, row, times[side], mask[side])


def _each(work: Callable[[_Run], None], runs: Sequence[_Run], n_bytes: int) -> None:
    n_threads = min(4, os.cpu_count() or 1) if n_bytes > _THREADED else 1
    step = -(-len(runs) // (4 * n_threads)) or 1
    slices = [runs[i : i + step] for i in range(0, len(runs), step)]

    def some(part: Sequence[_Run]) -> None:
        for run in part:
            work(run)

    if n_threads == 1:
        return some(runs)
    with ThreadPoolExecutor(n_threads) as pool:
        for _ in pool.map(some, slices):
            pass
    return None


def _regular_times(found: Sequence[Found], parts: dict[int, Part], offsets: Array) -> Array:
    """Times of regular rows, the same bits as ``frame_times``; others are read with their rows."""
    times = np.empty((int(offsets[-1]), 2))
    steps = np.zeros((len(found), 3))  # start, hop, width
    for i, at in enumerate(found):
        if at is not None:
            regular = parts[id(at[0])].regular
            if regular is not None:
                steps[i] = regular[at[1]]
    for i in range(0, len(found), _BLOCK):
        block = offsets[i : i + _BLOCK + 1]
        lengths = np.diff(block)
        start, hop, width = np.repeat(steps[i : i + _BLOCK], lengths, axis=0).T
        within = np.arange(block[0], block[-1]) - np.repeat(block[:-1], lengths)
        own = times[block[0] : block[-1]]
        own[:, 0] = start + within * hop
        own[:, 1] = own[:, 0] + width
    return times
