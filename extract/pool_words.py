"""Features of words: the mean of any feature's rows over the time of each word."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from ..cache.errors import BadInput, unknown
from ..cache.keys import ADDED_LATER
from ..cache.records import MAIN, Array, Features, FeatureSpec
from .base import ANY, Extractor, Needs
from .clip import Clip

#: Rows and words that share less than this touch: 0.1 + 0.2 is not 0.3 in binary.
TOUCH = 1e-6  # s
#: What may become of the rows (n, ...) of a word, in the order of time.
COLLAPSE: dict[str, Callable[[Array], Any]] = {
    "mean": lambda rows: np.mean(rows, axis=0, dtype=np.float64),
    "max": lambda rows: np.max(rows, axis=0),
    "min": lambda rows: np.min(rows, axis=0),
    "sum": lambda rows: np.sum(rows, axis=0, dtype=np.float64),
    "first": lambda rows: rows[0],
    "last": lambda rows: rows[-1],
}


@dataclass(frozen=True)
class PoolWords(Extractor):
    """Any feature averaged over each word, one row a word: the word-aligned setting.

    ``values`` (n_words, ...) is the mean (or another ``collapse``), in float64, of the feature's
    real rows that overlap the word's time; rows have the word's times, and the feature's columns,
    dtype and modality. A word that lies between two rows takes the nearest row, if it is no farther
    than one step from row to row. A row is masked where the word has no time, or no real row of the
    feature has a part in it (a word without a face). So all features that are pooled over the same
    words have the same rows, and those of ``hf-text`` at its level ``word`` too.

    Reads ``words`` (``word-times``, ``word-times-file``, ``asr``, or any sequence that was
    ``imported``) and ``any`` feature whose rows have times. In a recipe::

        words:   {extract: word-times, model: FOLDER}
        sound:   {extract: librosa-33}
        aligned: {extract: pool-words, on: {words: words, any: sound}}

    Args:
        collapse: what becomes of the rows of a word: ``mean``, ``max``, ``min``, ``sum``,
            ``first`` or ``last``.
        nearest: whether a word between two rows takes the nearest; False: it is masked.

    Source:
        Chen et al. (2017), "Multimodal Sentiment Analysis with Word-Level Fusion and
        Reinforcement Learning", ICMI, section 3 (means over words). With ``nearest: false`` it is
        ``align`` of the CMU Multimodal SDK with the usual mean as its collapse function, where all
        rows are real; that one takes rows without a face into its means, here they are left out.
    """

    name: ClassVar[str] = "pool-words"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = ANY
    rows: ClassVar[str] = "a word"
    sizes: ClassVar[str] = "as what is pooled"
    paper: ClassVar[str] = "Chen et al. (2017)"
    peak_memory: ClassVar[int] = 256 << 20

    collapse: str = field(default="mean", metadata=ADDED_LATER)
    nearest: bool = field(default=True, metadata=ADDED_LATER)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.collapse not in COLLAPSE:
            raise unknown(f"collapse of '{self.name}'", self.collapse, COLLAPSE)

    @property
    def needs(self) -> Needs:
        return Needs(features=("words", ANY))

    @property
    def spec(self) -> FeatureSpec:
        raise BadInput("what 'pool-words' makes follows from the feature that it pools")

    def spec_on(self, inputs: Mapping[str, FeatureSpec]) -> FeatureSpec:
        return {MAIN: replace(inputs[ANY][MAIN], hop=None)}

    def modality_on(self, inputs: Mapping[str, str]) -> str:
        return inputs[ANY]

    def units(self, clip: Clip) -> Features:
        """What there is to be a row for: its times and mask count."""
        return self.upstream(clip, "words")

    def extract(self, clip: Clip) -> Features:
        """Map a feature's rows to a row a word.

        Raises:
            BadInput: the feature's rows have no times, or no word has a row of it.
        """
        words, pooled = self.units(clip), self.upstream(clip, ANY)
        if len(pooled) and not np.isfinite(pooled.times).any():
            raise BadInput(
                f"'{clip.id}': the rows to be pooled have no times (features of a text have none; "
                "hf-text with level 'word' gives a row a word by itself)"
            )
        found = pool(words, pooled, self.collapse, self.nearest)
        if not found.mask.any():
            unit = self.rows.removeprefix("a ")
            raise BadInput(
                f"'{clip.id}': none of {len(words)} {unit}s has a real row of the feature "
                f"({int(pooled.mask.sum())} real rows)"
            )
        return found


def pool(words: Features, rows: Features, collapse: str = "mean", nearest: bool = True) -> Features:
    """Rows over words; see ``PoolWords``.

    Args:
        words: their times and mask count.
        rows: values (n_rows, ...), in any order of times.
        collapse: one of ``COLLAPSE``.
        nearest: whether a word between two rows takes the nearest.
    """
    become = COLLAPSE[collapse]
    order, reach = _in_time(rows.times)
    starts = rows.times[order, 0]
    step = float(np.median(np.diff(starts))) if len(starts) > 1 else 0.0
    values = np.zeros((len(words), *rows.values.shape[1:]))
    mask = np.zeros(len(words), bool)
    for i in np.flatnonzero(words.mask & np.isfinite(words.times).all(axis=1)):
        start, end = words.times[i]
        first = np.searchsorted(reach, start + TOUCH, "right")
        last = np.searchsorted(starts, end - TOUCH, "left")
        some = order[first:last]
        some = some[rows.times[some, 1] > start + TOUCH]
        if not len(some) and nearest:
            some = _nearest(rows.times[order], order, (start + end) / 2, end - start, step)
        some = some[rows.mask[some]]
        if len(some):
            mask[i] = True
            values[i] = become(rows.values[some])
    return Features(values, words.times, rows.columns, mask)


def _in_time(times: Array) -> tuple[Array, Array]:
    """Numbers of the rows that have a time, by their start, and how far time is covered by then.

    The latest end so far grows from row to row, so that a word's first row is found by halving
    even where rows overlap or lie within each other.
    """
    known = np.flatnonzero(np.isfinite(times).all(axis=1))
    order = known[np.argsort(times[known, 0], kind="stable")]
    reach = np.maximum.accumulate(times[order, 1]) if len(order) else np.empty(0)
    return order, reach


def _nearest(times: Array, order: Array, middle: float, length: float, step: float) -> Array:
    """The row whose centre is nearest to a word that none overlaps, unless it is too far away."""
    if not len(order):
        return order
    distance = np.abs(times.mean(axis=1) - middle)
    best = int(distance.argmin())
    gap = distance[best] - (length + times[best, 1] - times[best, 0]) / 2
    return order[best : best + 1] if gap <= step else order[:0]
