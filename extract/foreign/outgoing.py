"""Features on their way out: the utterances of a corpus and their arrays, for any format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...cache.corpus import Corpus
from ...cache.corpus_columns import COLUMNS
from ...cache.errors import BadCall
from ...cache.records import Array
from ...cache.table import FeatureTable
from ...cache.validation import SPLITS, count
from .records import unmeasured

#: Columns of a corpus that say where its media are, which features do not need.
MEDIA = ("media", "start", "end")
#: Columns that every file has.
ALWAYS = ("split", "text")


@dataclass(frozen=True, eq=False)
class Outgoing:
    """What is written.

    Args:
        corpus: the utterances, in order, with their splits and labels.
        arrays: name in the file -> features of these utterances.
        modalities: name in the file -> ``text``, ``audio``, ``vision`` ...
    """

    corpus: Corpus
    arrays: Mapping[str, FeatureTable]
    modalities: Mapping[str, str]

    def __post_init__(self) -> None:
        if not len(self.corpus) or not self.arrays:
            raise BadCall("there is nothing to write: no utterance, or no node of features")
        for name, table in self.arrays.items():
            if table.values.ndim != 2:
                raise BadCall(
                    f"'{name}' has rows of shape {table.values.shape[1:]}; such files take rows of "
                    "columns"
                )

    def rows(self, split: str) -> Array:
        """Numbers of a split's utterances, in order."""
        return np.flatnonzero(self.corpus.splits == split)

    @property
    def columns(self) -> dict[str, list[Any]]:
        """The corpus' table without ids and media: values, None where a number is missing.

        Columns without any value are left out, but for labels, ``split`` and ``text``.
        """
        frame = self.corpus.to_frame()
        found: dict[str, list[Any]] = {}
        for name in (*COLUMNS, *self.corpus.label_columns):
            if name == "id" or name in MEDIA:
                continue
            missing = frame[name].isna() | (frame[name] == "")
            if name in (*ALWAYS, *self.corpus.label_columns) or not missing.all():
                pairs = zip(frame[name].tolist(), frame[name].isna().tolist(), strict=True)
                found[name] = [None if no else value for value, no in pairs]
        return found

    @property
    def splits(self) -> Sequence[str]:
        """The splits there are, ``train``, ``valid``, ``test``, in this order."""
        return [name for name in SPLITS if name in self.corpus.sizes]


def lost_masks(given: Outgoing) -> list[str]:
    """Notes of a format without masks: on masked rows that nothing in their values tells."""
    found = []
    for name, table in given.arrays.items():
        masked = np.asarray(table.values[:])[~table.mask]
        infinite, zero = unmeasured(masked)
        n = int(np.count_nonzero(~(infinite | zero)))
        if n:
            found.append(
                f"'{name}': {count(n, 'masked row')} of {len(table.mask):,} hold values, and such "
                "a file has no masks: who reads it takes them for measured. Formats npz, parquet "
                "and datasets keep masks"
            )
    return found


def narrow(values: Array) -> Array:
    """Labels as float32, as most files have them, where that is exact; else float64."""
    with np.errstate(over="ignore"):
        small = values.astype(np.float32)
    return small if np.array_equal(small.astype(np.float64), values, equal_nan=True) else values
