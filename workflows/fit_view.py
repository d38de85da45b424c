"""What is known of a fit that is done, read from its checkpoint's meta (see ``train/fit.py``)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..cache.checkpoints import Checkpoint
from ..cache.records import Array
from ..train.compare import Spread, spread
from ..train.metrics import SMALLER_IS_BETTER
from ..train.tallies import tallies
from ..train.targets import Target, from_meta

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class FitView:
    """One fit that is done.

    Args:
        name: the node's name.
        model: registry name of the model.
        letters: modalities it reads in the end, through encodes too: ``T``, ``TAV``.
        tasks: what it predicts.
        checkpoint: with the meta that all numbers come from.
        corpora: of several that the run is on, those that it learns from; empty: there is but one.
        folds: those that it is pooled of (``pooled``); empty: it is one fit.
    """

    name: str
    model: str
    letters: str
    tasks: tuple[str, ...]
    checkpoint: Checkpoint
    corpora: tuple[str, ...] = ()
    folds: tuple[FitView, ...] = ()

    @property
    def parts(self) -> tuple[FitView, ...]:
        """The fits that were trained: itself, or those of its folds."""
        return self.folds or (self,)

    @property
    def kind(self) -> str:
        """``one`` modality or ``many``."""
        return "one" if len(self.letters) == 1 else "many"

    @property
    def seeds(self) -> list[Mapping[str, Any]]:
        """What the meta says of each seed."""
        return list(self.checkpoint.meta["seeds"])

    @property
    def family(self) -> str:
        """Metric family that its sentiment labels were scored by."""
        return str(self.checkpoint.meta["family"])

    def target(self, task: str) -> Target:
        """What the scores of a task are: a value, or classes."""
        return next(target for target in from_meta(self.checkpoint.meta) if target.task == task)

    def metrics(self, task: str, split: str = "test") -> tuple[str, ...]:
        """Names of the scores there are for a task; empty where it was not scored."""
        found = self.seeds[0]["scores"].get(split, {}).get(task, {})
        if not found:
            return ()
        target = self.target(task)
        order = list(tallies(target, self.family, *_ones(target)))
        return tuple(sorted(found, key=order.index))

    def leading(self, task: str, split: str = "test") -> str:
        """The metric that is told first: MAE of sentiment, Acc of classes; empty: not scored."""
        return next(iter(self.metrics(task, split)), "")

    def values(self, task: str, metric: str, split: str = "test") -> list[float]:
        """A score of each seed, NaN where it is undefined."""
        found = [seed["scores"].get(split, {}).get(task, {}).get(metric) for seed in self.seeds]
        return [math.nan if value is None else float(value) for value in found]

    def spread(self, task: str, metric: str, split: str = "test") -> Spread:
        """Mean and standard deviation (ddof = 1) over seeds."""
        return spread(self.values(task, metric, split))

    def rows(self, task: str, split: str = "test") -> Mapping[str, int]:
        """Utterances each metric saw, ``labelled`` ones, and how many there are (``of``)."""
        found: Mapping[str, int] = self.checkpoint.meta["rows"].get(split, {}).get(task, {})
        return found

    @property
    def masked(self) -> dict[str, int]:
        """Inputs that test utterances lack, with the number of those."""
        found = self.checkpoint.meta.get("masked", {}).get("test", {})
        return {name: n for name, n in found.items() if n}


def labelled(table: pd.DataFrame, target: Target, split: str) -> tuple[list[str], Array, Array]:
    """Labelled utterances of predictions, sorted: ids, predictions (S, n, size), truth (n, size).

    Args:
        table: columns id, split, seed, task, truth, prediction.
        target: the task.
        split: of the utterances.
    """
    rows = table[table["split"] == split]
    parts = [rows[rows["task"] == column] for column in target.columns]
    truth = [part.groupby("id")["truth"].first() for part in parts]
    made = [part.pivot(index="id", columns="seed", values="prediction") for part in parts]
    ids = [str(name) for name in truth[0].index]
    p = np.stack([one.loc[ids].to_numpy(np.float64).T for one in made], axis=2)
    y = np.stack([one.loc[ids].to_numpy(np.float64) for one in truth], axis=1)
    known = np.isfinite(y).all(axis=1)
    return [ids[i] for i in np.flatnonzero(known)], p[:, known], y[known]


def better(metric: str, means: Sequence[float]) -> float:
    """The best of several means of a metric; NaN where none is defined."""
    known = [mean for mean in means if math.isfinite(mean)] or [math.nan]
    return min(known) if metric in SMALLER_IS_BETTER else max(known)


def figures(score: Spread) -> str:
    """Mean±deviation over seeds, three decimals; a dash where it is undefined.

    >>> figures(Spread(0.5, 0.0123, 5))
    '0.500±0.012'
    """
    if not math.isfinite(score.mean):
        return "-"
    return f"{score.mean:.3f}" + (f"±{score.std:.3f}" if math.isfinite(score.std) else "")


def _ones(target: Target) -> tuple[Array, Array]:
    """One prediction and one truth of a target: what metrics are called does not depend on them."""
    return np.ones((1, 1, target.size)), np.ones((1, target.size))
