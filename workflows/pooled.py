"""Fits of the same node on several folds, seen as one: what each predicted of what it never saw.

Over all folds every utterance is tested once, and once in a validation split. Metrics are of these
predictions together, so that a correlation or an F1 is of the whole corpus, and folds of unlike
sizes weigh as much as they have utterances; the spread over folds stands beside them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..cache.checkpoints import Checkpoint
from ..cache.records import Array
from ..train.compare import Spread, spread
from ..train.outcome import all_scores, rows, summary
from ..train.targets import from_meta
from .fit_view import FitView

if TYPE_CHECKING:
    import pandas as pd

#: Splits that do not overlap from one fold to another; what is tested comes first.
HELD_OUT = ("test", "valid")


@dataclass(frozen=True, eq=False)
class Pooled(Checkpoint):
    """Checkpoints of all folds of a fit; it has no weights of its own.

    Args:
        folds: in their order.
    """

    folds: tuple[Checkpoint, ...] = ()

    def predictions(self) -> pd.DataFrame | None:
        """What the folds predicted of their test and validation splits, tested ones first."""
        import pandas as pd

        parts = []
        first = [seed["seed"] for seed in self.folds[0].meta["seeds"]]
        for fold in self.folds:
            table = fold.predictions()
            if table is None:
                return None
            # a retraining rule may have taken other seeds here: the first goes with the first
            own = [seed["seed"] for seed in fold.meta["seeds"]]
            parts.append(table.assign(seed=table["seed"].map(dict(zip(own, first, strict=True)))))
        whole = pd.concat(parts, ignore_index=True)
        return pd.concat([whole[whole["split"] == s] for s in HELD_OUT], ignore_index=True)


def pooled(name: str, folds: Sequence[FitView]) -> FitView | None:
    """One fit on all of its folds; None where they do not fit together.

    That is where a fold learned other classes than another (``classes`` says which count), or was
    stored without predictions.

    Args:
        name: what it is called in the recipe.
        folds: in their order.
    """
    first, checkpoints = folds[0], tuple(fold.checkpoint for fold in folds)
    marks = "".join(one.digest for one in checkpoints).encode()
    made = "".join(one.fingerprint for one in checkpoints).encode()
    whole = Pooled(
        hashlib.sha256(made).hexdigest(),
        hashlib.sha256(marks).hexdigest(),
        {},
        first.checkpoint.folder,
        {},
        checkpoints,
    )
    table = whole.predictions()
    if table is None or len({str(one.meta["targets"]) for one in checkpoints}) > 1:
        return None
    whole = replace(whole, meta=_meta([one.meta for one in checkpoints], table))
    return replace(first, name=name, checkpoint=whole, folds=tuple(folds))


def collected(fits: Iterable[tuple[str, FitView]], n_folds: Mapping[str, int]) -> list[FitView]:
    """Fits in their order, those of folds as one where all of its folds are there.

    Args:
        fits: each with what the recipe calls it.
        n_folds: of each that is on folds, how many it is on.
    """
    found: list[FitView] = []
    groups: dict[str, list[FitView]] = {}
    for name, fit in fits:
        if name not in n_folds:
            found.append(fit)
            continue
        groups.setdefault(name, []).append(fit)
        if len(groups[name]) == n_folds[name] and (one := pooled(name, groups[name])):
            found.append(one)
    return found


def over_folds(fit: FitView, task: str, metric: str, split: str = "test") -> Spread:
    """Mean and standard deviation (ddof = 1) over folds, of each fold's mean over seeds."""
    return spread([fold.spread(task, metric, split).mean for fold in fit.folds])


def _meta(metas: Sequence[Mapping[str, Any]], table: pd.DataFrame) -> dict[str, Any]:
    """What is said of a fit, of all folds: scores anew, counts and costs summed."""
    first = metas[0]
    targets = from_meta(first)
    columns = [column for target in targets for column in target.columns]
    seeds = [seed["seed"] for seed in first["seeds"]]
    found, seen = {}, {}
    for split in HELD_OUT:
        predicted, truth = _arrays(table[table["split"] == split], columns, seeds)
        found[split] = all_scores(targets, first["family"], predicted, truth)
        seen[split] = rows(targets, first["family"], truth)
    told = ("model", "version", "settings", "training", "inputs", "tasks", "targets", "primary")
    also = ("family", "torch", "threads", "device", "code")
    return {
        **{name: first[name] for name in (*told, *also) if name in first},
        "seeds": [
            {
                "seed": seed,
                "epochs": sum(meta["seeds"][i].get("epochs", 0) for meta in metas),
                "scores": {split: found[split][i] for split in HELD_OUT},
            }
            for i, seed in enumerate(seeds)
        ],
        "summary": {split: summary(found[split]) for split in HELD_OUT},
        "rows": seen,
        "sizes": {s: sum(meta["sizes"][s] for meta in metas) for s in HELD_OUT},
        "masked": {s: _summed([meta["masked"][s] for meta in metas]) for s in HELD_OUT},
        "seconds": sum(meta.get("seconds", float("nan")) for meta in metas),
    }


def _summed(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    return {name: sum(one.get(name, 0) for one in counts) for name in counts[0]}


def _arrays(
    table: pd.DataFrame, columns: Sequence[str], seeds: Sequence[int]
) -> tuple[Array, Array]:
    """Predictions (S, n, columns) and truth (n, columns), utterances in the order of their ids."""
    wide = table.pivot(index="id", columns=["seed", "task"], values="prediction")
    truth = table[table["seed"] == seeds[0]].pivot(index="id", columns="task", values="truth")
    order = [[(seed, column) for column in columns] for seed in seeds]
    predicted = np.stack([wide[one].to_numpy(np.float64) for one in order])
    return predicted, truth.loc[wide.index, list(columns)].to_numpy(np.float64)
