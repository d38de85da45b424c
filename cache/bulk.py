"""Many utterances' rows from many shards into one table, at the speed of a memcpy.

Rows go from the file straight to their place in the table and are checked while they are still in
the processor's cache.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from .errors import BadInput
from .records import Array, FeatureTable
from .shard_file import PIECE, Part, ShardFile, flat_bytes

_THREADED = 1 << 23  # bytes below which one thread is faster
_BLOCK = 256  # utterances whose regular times are computed at once, in the processor's cache

#: Where an utterance lies: its shard and its number there; None: it has no features.
Found = tuple[ShardFile, int] | None


@dataclass(frozen=True)
class _Run:
    """Utterances that follow each other in a shard and in the table."""

    shard: ShardFile
    row: int  # first utterance's number in the shard
    n: int
    into: int  # first row in the table


def read_table(ids: Sequence[str], found: Sequence[Found], array: str) -> FeatureTable:
    """Join one named array of many utterances.

    Raises:
        BadInput: the node has no such array, or the arrays differ in shape, dtype or columns.
        Damaged: stored bytes are not those that were written.
    """
    parts = {id(shard): shard.part(array) for shard, _ in filter(None, found)}
    like = _alike(array, list(parts.values()))
    lengths = np.zeros(len(found), np.int64)
    for i, at in enumerate(found):
        if at is not None:
            bounds = parts[id(at[0])].bounds
            lengths[i] = bounds[at[1] + 1] - bounds[at[1]]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    total = int(offsets[-1])
    values = np.empty((total, *like.shape), like.dtype)
    times = _regular_times(found, parts, offsets)
    mask = np.ones(total, bool)
    runs = _runs(found, parts, offsets.tolist())
    _each(lambda run: _fill(run, array, values, times, mask), runs, values.nbytes)
    return FeatureTable(tuple(ids), values, offsets, mask, times, like.columns)


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
    part = run.shard.parts[array]
    start, end = part.bounds[run.row], part.bounds[run.row + run.n]
    into = run.into
    if run.n > 1:
        target = flat_bytes(values[into : into + end - start])
        run.shard.fill(target, part.values_at + start * part.row_bytes)
    for row in range(run.row, run.row + run.n):
        own = slice(into, into + part.bounds[row + 1] - part.bounds[row])
        run.shard.load(array, row, values[own], times[own], mask[own], filled=run.n > 1)
        into = own.stop


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
