"""Cached features and labels, joined once: lined up by utterance, as plain arrays.

Nothing here knows torch. What a model then reads of them stands in ``reading``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..cache.errors import TrainingError
from ..cache.labels import CLASSES
from ..cache.table import FeatureTable

Array = npt.NDArray[Any]
SPLITS = ("train", "valid", "test")


@dataclass(frozen=True, eq=False)
class Input:
    """One node's features as a model sees them.

    Args:
        name: the node's name.
        modality: ``text``, ``audio``, ``vision``; of what a fit has encoded: that of its only
            input, ``fused`` where it has several, ``soft`` where it is what the fit predicts;
            ``marks`` of rows that mark those of another input.
        table: ragged rows of all utterances; one without rows has this modality masked.
        encoder: the layers above those whose states the rows are, for models that train them: a
            torch module as ``extract.cut`` makes them; or None. It maps rows (B, T, columns) and
            mask (B, T) to rows (B, ceil(T / ``stride``), ``width``), and its ``summary`` says
            what stands for all of them: the ``first`` or ``last`` real one, or their ``mean``.
    """

    name: str
    modality: str
    table: FeatureTable
    encoder: Any = None

    @property
    def width(self) -> int:
        """Columns of a row; rows of several dimensions are flattened."""
        return math.prod(self.table.values.shape[1:])


@dataclass(frozen=True)
class InputSpec:
    """What a network must know of an input.

    Args:
        name: the node's name.
        modality: as in ``Input``.
        width: columns of a row.
        reads: ``mean`` or ``sequence``.
        length: rows kept of each utterance, the first ones.
        columns: names of the columns of what a fit predicts (modality ``soft``); of others empty.
    """

    name: str
    modality: str
    width: int
    reads: str
    length: int
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(self.columns))  # JSON has lists


@dataclass(frozen=True, eq=False)
class Dataset:
    """Utterances with splits, labels and inputs, all in one order.

    Args:
        ids: the n utterances.
        splits: (n,) str.
        labels: label column to (n,) float64, NaN where there is no label; columns of classes are
            text, empty where there is none.
        inputs: tables over exactly these utterances.
        domains: (n,) text, the corpus that each utterance is of; None: all are of one.
    """

    ids: tuple[str, ...]
    splits: Array
    labels: Mapping[str, Array]
    inputs: tuple[Input, ...]
    domains: Array | None = None

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
    domains: Sequence[str] | None = None,
) -> Dataset:
    """Line up splits, labels and inputs by utterance.

    Args:
        ids: the n utterances.
        splits: ``train``, ``valid``, ``test`` or empty for each.
        labels: label column to (n,) values; NaN, or empty text, where there is no label.
        inputs: their tables may hold more utterances, in any order.
        domains: the corpus that each utterance is of; None: all are of one.

    Raises:
        TrainingError: lengths differ, an id stands twice, or a table lacks an utterance.
    """
    ids = tuple(ids)
    columns: dict[str, Sequence[str] | Array] = {"splits": splits, **labels}
    columns |= {} if domains is None else {"domains": domains}
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
        ids,
        np.asarray(splits, dtype=str),
        kept,
        tuple(_line_up(i, ids) for i in inputs),
        None if domains is None else np.asarray(domains, dtype=str),
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
    return replace(given, table=table.select(chosen))


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
        "differ). Pool the others over words with 'pool-words' (over tokens: 'pool-tokens'), or "
        "choose another model"
    )
