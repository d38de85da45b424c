"""How far labels agree that stand in different columns: of other modalities, by other people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ..cache.corpus import Corpus
from ..cache.labels import SENTIMENT
from ..cache.records import Array
from ..train.metrics import SIMS_5, mosi_classes, sims_bins
from .agreement import agreement

#: Classes of sentiment by family, the negative first; names of CH-SIMS' five are FmlMSN's.
CLASSES = {
    "sims": ("NG", "WN", "NU", "WP", "PS"),
    "mosi": ("−3", "−2", "−1", "0", "+1", "+2", "+3"),
}


@dataclass(frozen=True)
class LabelPair:
    """Two columns of labels on the utterances that have both.

    Args:
        a: name of the one.
        b: name of the other.
        n: utterances that have both.
        of: utterances there are.
        correlation: Pearson's; NaN where a column is constant.
        mae: mean absolute difference.
        alpha: Krippendorff's, of intervals; 1: they are the same, 0: as if by lot.
        kappa: Cohen's, of the signs (negative, neutral, positive).
        opposite: utterances that are negative by one and positive by the other.

    Source:
        Krippendorff (2011), "Computing Krippendorff's alpha-reliability"; Cohen (1960), "A
        coefficient of agreement for nominal scales".
    """

    a: str
    b: str
    n: int
    of: int
    correlation: float
    mae: float
    alpha: float
    kappa: float
    opposite: int

    @property
    def coverage(self) -> float:
        """Share of the utterances that have both."""
        return self.n / self.of if self.of else float("nan")


def label_pair(names: tuple[str, str], a: Array, b: Array) -> LabelPair:
    """How far labels a (n,) agree with b (n,); NaN where there is none."""
    both = np.isfinite(a) & np.isfinite(b)
    x, y = a[both], b[both]
    found = agreement("", circular=False, a=x, b=y)
    error = np.abs(x - y)
    return LabelPair(
        *names,
        len(x),
        len(a),
        found.correlation,
        float(error.mean()) if len(x) else float("nan"),
        _alpha(x, y),
        _kappa(np.sign(x), np.sign(y)),
        int((np.sign(x) * np.sign(y) < 0).sum()),
    )


def label_pairs(corpus: Corpus) -> list[LabelPair]:
    """Every two columns of sentiment labels that some utterance has both of."""
    columns = {task: corpus.labels(task) for task in corpus.tasks if task in SENTIMENT}
    pairs = (label_pair((a, b), columns[a], columns[b]) for a, b in combinations(columns, 2))
    return [pair for pair in pairs if pair.n]


def second_pairs(corpus: Corpus, second: Mapping[str, Array]) -> list[LabelPair]:
    """The labels that a corpus has against those that a second table has of the same kind."""
    return [label_pair((task, f"{task}, second"), corpus.labels(task), own)
            for task, own in second.items()]  # fmt: skip


def class_counts(corpus: Corpus, split: str | None = None) -> dict[str, list[int]]:
    """Label column -> utterances of each class of ``CLASSES``, as in FmlMSN's Table 2 and Fig. 2.

    Empty of a corpus whose labels have no such classes.

    Args:
        corpus: with its family.
        split: of these alone; None: all.
    """
    family = {"mag": "mosi"}.get(corpus.family, corpus.family)
    if family not in CLASSES:
        return {}
    chosen = np.ones(len(corpus), bool) if split is None else corpus.splits == split
    found = {}
    for task in corpus.tasks:
        values = corpus.labels(task)[chosen]
        values = values[np.isfinite(values)].astype(np.float32)
        if task in SENTIMENT and len(values):
            limit = len(CLASSES[family]) // 2
            places = (
                sims_bins(values, SIMS_5)
                if family == "sims"
                else (mosi_classes(values, limit) + limit).astype(np.int64)
            )
            found[task] = np.bincount(places, minlength=2 * limit + 1).tolist()
    return found


def _alpha(a: Array, b: Array) -> float:
    """Krippendorff's alpha of two raters without gaps, by squared differences."""
    if len(a) < 2:
        return float("nan")
    expected = 2 * np.var(np.concatenate([a, b]), ddof=1)  # mean over all pairs of values
    return float(1 - np.mean((a - b) ** 2) / expected) if expected > 0 else float("nan")


def _kappa(a: Array, b: Array) -> float:
    """Cohen's kappa of two raters' classes."""
    if not len(a):
        return float("nan")
    names = np.unique(np.concatenate([a, b]))
    chance = float(sum(np.mean(a == name) * np.mean(b == name) for name in names))
    return float((np.mean(a == b) - chance) / (1 - chance)) if chance < 1 else float("nan")
