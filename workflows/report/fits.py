"""What the report says about fits, read from their checkpoints' meta (see ``train/fit.py``)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ...cache.errors import BadInput
from ...cache.folds import videos_of
from ...train.compare import Comparison, compare, holm, welch
from ...train.metrics import SMALLER_IS_BETTER
from ...train.training import label_columns
from ..blocks import Block
from ..fit_view import FitView
from ..nodes import Fit
from ..result import Run
from ..standings import FEWEST
from ..versus import LEVEL

if TYPE_CHECKING:
    import pandas as pd

#: What each family's metrics are, for a reader who has not read ``train/metrics.py``.
FAMILIES = {
    "sims": "CH-SIMS: predictions and labels are clipped to [−1, 1] first, for MAE and Corr too. "
    "Acc2 and F1: ≤ 0 against > 0, so neutral counts as negative. Acc3: edges −0.1, 0.1; Acc5: "
    "edges −0.7, −0.1, 0.1, 0.7. Acc2_weak: Acc2 on labels in [−0.4, 0.4].",
    "mosi": "MOSI: MAE and Corr are not clipped. has0: < 0 against ≥ 0, all rows; non0: rows whose "
    "label is 0 are left out, negative against positive. Acc7 and Acc5: rounded classes.",
    "mag": "MAG-BERT: rows whose label is 0 are left out of every metric; Acc2 and F1: < 0 against "
    "≥ 0; Acc7: rounded classes.",
}
F1_NOTE = (
    "F1 is weighted by the true classes, as scikit-learn defines it; F1_predweighted by the "
    "predicted ones, as in published tables that swapped the two arguments."
)


def family_note(block: Block) -> str:
    """How a block's metrics are defined, for a reader who has not read ``train/metrics.py``."""
    is_sentiment = block.fits[0].target(block.task).is_sentiment
    return " ".join([FAMILIES[block.fits[0].family], F1_NOTE] if is_sentiment else [F1_NOTE])


#: Single modalities that the chosen fusion is compared with, at most.
DUELS = 6
#: Metrics that are drawn where a family has them, in this order.
DRAWN = ("MAE", "CCC", "Corr", "Acc2", "Acc2_has0", "Acc", "WA", "UAR")
#: Metrics that are told first.
TOLD = (*DRAWN, "F1", "F1_has0")


@dataclass(frozen=True)
class Points:
    """Test utterances of one fit and task: truth, and the predictions of all seeds.

    Args:
        shown: how many of them are here; fewer than ``n`` where they were thinned.
    """

    names: list[str]
    truth: list[float]
    middle: list[float]
    low: list[float]
    high: list[float]
    n: int

    @property
    def shown(self) -> int:
        """Utterances that are drawn."""
        return len(self.names)


@dataclass(frozen=True)
class Duel:
    """The fusion chosen on the validation split against one single modality.

    Args:
        fusion: the one.
        single: the other.
        paired: on the same utterances.
        welch_p: Welch's test on their scores over seeds.
        groups: what the permutation test flipped whole: ``speaker`` or ``video``.
        p_holm: p of that test, adjusted for all duels; NaN: there is no other.
    """

    fusion: FitView
    single: FitView
    paired: Comparison
    welch_p: float
    groups: str = "video"
    p_holm: float = math.nan

    @property
    def verdict(self) -> str:
        """Who is ahead by both interval and adjusted p: ``fusion``, ``single``, or ``open``."""
        p = self.p_holm if math.isfinite(self.p_holm) else self.paired.p_groups
        if not p < LEVEL:
            return "open"
        if self.paired.high < 0:
            return "fusion"
        return "single" if self.paired.low > 0 else "open"


def chosen(fits: Sequence[FitView], task: str, kind: str) -> FitView | None:
    """The fit of a kind with the best leading metric on validation; never on test."""
    ranked = []
    for i, fit in enumerate(fits):
        metric = fit.leading(task, "valid")
        if fit.kind == kind and metric and fit.metrics(task):
            mean = fit.spread(task, metric, "valid").mean
            if math.isfinite(mean):
                ranked.append((mean if metric in SMALLER_IS_BETTER else -mean, i, fit))
    return min(ranked)[2] if ranked else None


def label_column(run: Run, fit: FitView, task: str) -> str:
    """Label column that a fit was scored against for a task."""
    node = run.workflow[fit.parts[0].name]
    assert isinstance(node, Fit)  # ``fits_of`` takes no others
    return label_columns(node.training, node.tasks)[task]


def points(fit: FitView, task: str, limit: int) -> Points:
    """What a fit predicted on the test split; at most ``limit`` utterances, drawn at random."""
    table = fit.checkpoint.predictions()
    if table is None:
        return Points([], [], [], [], [], 0)
    table = table[(table["task"] == task) & (table["split"] == "test")]
    table = table[np.isfinite(table["truth"])]
    found: pd.DataFrame = table.groupby("id", sort=True).agg(
        truth=("truth", "first"),
        middle=("prediction", "mean"),
        low=("prediction", "min"),
        high=("prediction", "max"),
    )
    n = len(found)
    if n > limit:
        found = found.sample(limit, random_state=0).sort_index()
    columns = {name: [float(v) for v in found[name]] for name in found.columns}
    return Points([str(name) for name in found.index], n=n, **columns)


def duels(run: Run, fits: Sequence[FitView], task: str) -> list[Duel]:
    """Compare the chosen fusion with each single modality; empty where there is no such pair."""
    fusion = chosen(fits, task, "many")
    predicted = fusion.checkpoint.predictions() if fusion else None
    if fusion is None or predicted is None:
        return []
    found = []
    what, groups = _groups(run)
    for single in [fit for fit in fits if fit.kind == "one"][:DUELS]:
        table = single.checkpoint.predictions()
        if table is None:
            continue
        try:
            ours, theirs = (as_scored(one, fusion.family) for one in (predicted, table))
            paired = compare(ours, theirs, task, groups=groups, least=FEWEST)
        except BadInput:  # fewer than two utterances in common: there is nothing to compare
            continue
        p = welch(fusion.values(task, "MAE"), single.values(task, "MAE"))[1]
        found.append(Duel(fusion, single, paired, p, what))
    adjusted = holm([duel.paired.p_groups for duel in found])
    return [replace(duel, p_holm=p) for duel, p in zip(found, adjusted, strict=True)]


def as_scored(table: pd.DataFrame, family: str) -> pd.DataFrame:
    """Predictions and truth as a family's MAE takes them; see ``train.metrics``."""
    if family == "sims":
        return table.assign(**{c: table[c].clip(-1, 1) for c in ("prediction", "truth")})
    return table[table["truth"] != 0] if family == "mag" else table


def _groups(run: Run) -> tuple[str, pd.Series]:
    """Speaker of each utterance id where the test split has enough of them, else its video."""
    frame = run.corpus.to_frame().assign(video=videos_of(run.corpus))
    frame = frame.drop_duplicates("id").set_index("id")
    on_folds = any(fit.fold for fit in run.workflow.fits)  # which test every utterance
    tested = frame.loc[on_folds | (frame["split"] == "test"), "speaker"]
    if (tested != "").all() and tested.nunique() >= FEWEST:
        return "speaker", frame["speaker"]
    return "video", frame["video"]
