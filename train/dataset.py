"""Cached features and labels, joined once; what a model reads of them, as plain arrays.

Nothing here knows torch. ``join`` lines everything up by utterance, ``read`` makes what the model
wants of each input: the mean over the real rows, or the rows themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ..cache.errors import TrainingError
from ..cache.labels import CLASSES
from ..cache.mapped import MappedRows
from ..cache.table import FeatureTable
from .normalize import Scaler, fit_scaler

Array = npt.NDArray[Any]
SPLITS = ("train", "valid", "test")


@dataclass(frozen=True, eq=False)
class Input:
    """One node's features as a model sees them.

    Args:
        name: the node's name.
        modality: ``text``, ``audio``, ``vision``, or ``fused`` for what a fit has encoded.
        table: ragged rows of all utterances; one without rows has this modality masked.
    """

    name: str
    modality: str
    table: FeatureTable

    @property
    def width(self) -> int:
        """Columns of a row; rows of several dimensions are flattened."""
        return int(np.prod(self.table.values.shape[1:]))


@dataclass(frozen=True)
class InputSpec:
    """What a network must know of an input.

    Args:
        name: the node's name.
        modality: as in ``Input``.
        width: columns of a row.
        reads: ``mean`` or ``sequence``.
        length: rows kept of each utterance, the first ones.
    """

    name: str
    modality: str
    width: int
    reads: str
    length: int


@dataclass(frozen=True, eq=False)
class Dataset:
    """Utterances with splits, labels and inputs, all in one order.

    Args:
        ids: the n utterances.
        splits: (n,) str.
        labels: label column to (n,) float64, NaN where there is no label; columns of classes are
            text, empty where there is none.
        inputs: tables over exactly these utterances.
    """

    ids: tuple[str, ...]
    splits: Array
    labels: Mapping[str, Array]
    inputs: tuple[Input, ...]

    def rows(self, split: str) -> Array:
        """Numbers of a split's utterances, in order."""
        return np.flatnonzero(self.splits == split)

    def labelled(self, *splits: str) -> list[str]:
        """Label columns that have a label in each of these splits."""
        return [
            name
            for name, values in self.labels.items()
            if all(known(values[self.rows(split)]).any() for split in splits)
        ]


def known(labels: Array) -> Array:
    """Which labels are there, bool (n,); of numbers or text."""
    there: Array = labels != "" if labels.dtype.kind == "U" else np.isfinite(labels)
    return there


def join(
    ids: Sequence[str],
    splits: Sequence[str],
    labels: Mapping[str, Array],
    inputs: Sequence[Input],
) -> Dataset:
    """Line up splits, labels and inputs by utterance.

    Args:
        ids: the n utterances.
        splits: ``train``, ``valid``, ``test`` or empty for each.
        labels: label column to (n,) values; NaN, or empty text, where there is no label.
        inputs: their tables may hold more utterances, in any order.

    Raises:
        TrainingError: lengths differ, an id stands twice, or a table lacks an utterance.
    """
    ids = tuple(ids)
    columns: dict[str, Sequence[str] | Array] = {"splits": splits, **labels}
    for name, column in columns.items():
        if len(column) != len(ids):
            raise TrainingError(f"{len(ids)} utterances, but {len(column)} values of '{name}'")
    if len(set(ids)) < len(ids):
        twice = next(name for i, name in enumerate(ids) if name in ids[:i])
        raise TrainingError(f"utterance '{twice}' stands in the corpus twice")
    kept = {
        name: np.asarray(column, np.str_ if name in CLASSES else np.float64)
        for name, column in labels.items()
    }
    for name, values in kept.items():
        if values.dtype.kind == "f" and np.isinf(values).any():
            where = ids[int(np.flatnonzero(np.isinf(values))[0])]
            raise TrainingError(f"label '{name}' of utterance '{where}' is infinite")
    return Dataset(
        ids, np.asarray(splits, dtype=str), kept, tuple(_line_up(i, ids) for i in inputs)
    )


def _line_up(given: Input, ids: tuple[str, ...]) -> Input:
    """The input with its table's utterances in this order."""
    table = given.table
    if table.ids == ids:
        return given
    place = {name: i for i, name in enumerate(table.ids)}
    missing = [name for name in ids if name not in place]
    if missing:
        raise TrainingError(
            f"input '{given.name}' has no entry for {len(missing)} of {len(ids)} utterances, "
            f"the first is '{missing[0]}'"
        )
    chosen = np.array([place[name] for name in ids], np.int64)
    return Input(given.name, given.modality, table.select(chosen))


def length_statistic(lengths: Array, factor: float = 3.0) -> dict[str, float]:
    """FmlMSN's length rule: mean + factor x standard deviation of the lengths, rounded down.

    Args:
        lengths: rows of each utterance; utterances without any do not count.
        factor: the paper's lambda.

    Returns:
        ``rows``: how many are kept, at least 1; ``mean`` and ``std`` of the lengths, ``n`` of
        them, the ``longest``, and ``longer``: how many of them the rule cuts.

    Source:
        Peng et al. (2023), eq. 1-2, population standard deviation. They take it over the whole
        corpus; the caller here hands in the training split's.
    """
    some = np.asarray(lengths, np.float64)
    some = some[some > 0]
    if not len(some):
        return {"rows": 1, "mean": 0.0, "std": 0.0, "n": 0, "longest": 0, "longer": 0}
    mean, std = float(some.mean()), float(some.std())
    rows = max(1, int(mean + factor * std))
    cut = int((some > rows).sum())
    values = {"mean": mean, "std": std, "n": len(some), "longest": int(some.max()), "longer": cut}
    return {"rows": rows, **values}


def rows_to_keep(given: Input, train: Array, rule: int | str, factor: float) -> int:
    """Rows kept of each utterance under a ``Training.length`` rule; ``train``: its row numbers."""
    if isinstance(rule, int):
        return rule
    if rule == "longest":
        return max(1, int(given.table.lengths.max(initial=1)))
    return int(length_statistic(given.table.lengths[train], factor)["rows"])


@dataclass(frozen=True, eq=False)
class Reading:
    """What a model reads of one input, normalised, float32.

    Args:
        values: (n, D) means, or (n_rows, D) rows one after another; masked ones are zeros.
        mask: (n,) bool: the utterance has a real row; or (n_rows,) bool: the row is real.
        offsets: (n + 1,) int64 for rows; None for means.
    """

    values: Array
    mask: Array
    offsets: Array | None = None

    def select(self, chosen: Array) -> Reading:
        """Only these utterances, by number."""
        if self.offsets is None:
            return Reading(self.values[chosen], self.mask[chosen])
        lengths = np.diff(self.offsets)[chosen]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        rows = np.repeat(self.offsets[chosen] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return Reading(self.values[rows], self.mask[rows], offsets)


@dataclass(frozen=True, eq=False)
class MappedReading:
    """The same of a mapped table: rows that are read and normalised when a batch asks for them.

    Args:
        given: the input.
        chosen: (n,) utterances, by their number in its table.
        length: rows kept of each, the first ones.
        scaler: its normaliser.
    """

    given: Input
    chosen: Array
    length: int
    scaler: Scaler

    @cached_property
    def lengths(self) -> Array:
        """Rows kept of each utterance, (n,) int64."""
        return np.minimum(self.given.table.lengths[self.chosen], self.length)

    def select(self, chosen: Array) -> MappedReading:
        """Only these utterances, by number."""
        return replace(self, chosen=self.chosen[chosen])

    def announce(self, i: int) -> None:
        """Have the rows of utterance i read from the disk, without waiting for them."""
        values, rows = self.given.table.values, self._rows(i)
        if isinstance(values, MappedRows):
            values.announce(rows.start, rows.stop)

    def fill(self, i: int, values: Array, mask: Array) -> None:
        """Read utterance i to the front of ``values`` (T, D) float32 and ``mask`` (T,), zeros."""
        rows = self._rows(i)
        own = values[: rows.stop - rows.start]
        mask[: len(own)] = real = self.given.table.mask[rows]
        own[:] = flat(self.given, rows)
        normalised(own, None if real.all() else real, self.scaler)

    def _rows(self, i: int) -> slice:
        start = int(self.given.table.offsets[self.chosen[i]])
        return slice(start, start + int(self.lengths[i]))


def flat(given: Input, rows: slice) -> Array:
    """Some rows of an input, (n_rows, width)."""
    values: Array = given.table.values[rows]
    return values.reshape(len(values), given.width)


def normalised(values: Array, mask: Array | None, scaler: Scaler) -> None:
    """Normalise float32 rows (n, D) in place; masked ones (None: there are none) become zeros."""
    if mask is not None:
        values[~mask] = 0  # may hold anything, NaN included
    scaler.apply(values)
    if mask is not None:
        values[~mask] = 0


def real_rows(given: Input, length: int, chosen: Array) -> Iterator[tuple[int, Array]]:
    """The real ones of each chosen utterance's first ``length`` rows: its number, (n, width)."""
    offsets, mask = given.table.offsets, given.table.mask
    for i in chosen:
        span = slice(int(offsets[i]), int(min(offsets[i + 1], offsets[i] + length)))
        rows, real = flat(given, span), mask[span]
        yield int(i), rows if real.all() else rows[real]


def check_finite(given: Input) -> None:
    """See that every real row holds finite values.

    Raises:
        TrainingError: one does not; names the input, the first such utterance and column.
    """
    for i, rows in real_rows(given, len(given.table.values), np.arange(len(given.table))):
        if np.isfinite(rows).all():
            continue
        row, column = np.argwhere(~np.isfinite(rows))[0]
        names = given.table.columns
        raise TrainingError(
            f"input '{given.name}' holds a value that is not finite ({rows[row, column]}): "
            f"utterance '{given.table.ids[i]}', "
            f"column {repr(names[column]) if names else int(column)}"
        )


def check_aligned(inputs: Sequence[Input]) -> None:
    """See that every utterance has as many rows in each input that has it.

    Raises:
        TrainingError: one has not; names the first such utterance and both inputs.
    """
    lengths = np.stack([given.table.lengths for given in inputs])  # (inputs, n)
    longest = lengths.max(axis=0)
    bad = (lengths > 0) & (lengths < longest)
    if not bad.any():
        return
    i, short = (int(k) for k in np.argwhere(bad.T)[0])
    tall = int(lengths[:, i].argmax())
    raise TrainingError(
        f"row i of every input must be the same word, but utterance '{inputs[0].table.ids[i]}' has "
        f"{lengths[tall, i]} rows in '{inputs[tall].name}' and {lengths[short, i]} in "
        f"'{inputs[short].name}' ({int(bad.any(axis=0).sum())} of {lengths.shape[1]} utterances "
        "differ). Pool the others over words with 'pool-words', or choose another model"
    )


def scaler_of(given: Input, length: int, train: Array) -> Scaler:
    """Normaliser of an input from the training split's real rows, within ``length``."""
    return fit_scaler((rows for _, rows in real_rows(given, length, train)), given.width)


def read(given: Input, reads: str, length: int, scaler: Scaler) -> Reading | MappedReading:
    """Make what a model reads: the first ``length`` rows, or the mean of the real ones."""
    if reads == "mean":
        return _means(given, length, scaler)
    table = given.table
    if isinstance(table.values, MappedRows):
        return MappedReading(given, np.arange(len(table)), length, scaler)
    kept = np.minimum(table.lengths, length)
    offsets = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
    rows = np.repeat(table.offsets[:-1] - offsets[:-1], kept) + np.arange(offsets[-1])
    mask = np.asarray(table.mask[rows], bool)
    values = table.values[rows].reshape(len(rows), given.width).astype(np.float32)
    normalised(values, mask, scaler)
    return Reading(values, mask, offsets)


def _means(given: Input, length: int, scaler: Scaler) -> Reading:
    n = len(given.table)
    values, present = np.zeros((n, given.width), np.float32), np.zeros(n, bool)
    for i, rows in real_rows(given, length, np.arange(n)):
        if len(rows):
            present[i] = True
            values[i] = scaler(rows.mean(axis=0, dtype=np.float64))
    return Reading(values, present)
