"""What a fit came to: scores by seed, split, task and metric, their spread, the predictions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .class_metrics import dimension, one_class, several
from .compare import spread
from .dataset import Array, Dataset
from .metrics import rows_seen, scores
from .targets import Target, spans

if TYPE_CHECKING:
    import pandas as pd


def target_scores(target: Target, family: str, p: Array, y: Array) -> dict[str, float]:
    """All metrics of one task; see ``metrics`` and ``class_metrics``.

    Args:
        target: the task.
        family: of the corpus, for its sentiment labels.
        p: (n, size) predictions: a value, or the probability of each class.
        y: (n, size) truth, without gaps.
    """
    if target.kind == "class":
        return one_class(p, y, target.names)
    if target.kind == "several":
        return several(p, y, target.names)
    if not target.is_sentiment:
        return dimension(p[:, 0], y[:, 0])
    return scores(family, p[:, 0], y[:, 0])


def all_scores(
    targets: Sequence[Target], family: str, predictions: Array, truth: Array
) -> list[dict[str, dict[str, float | None]]]:
    """Scores of each seed by task and metric; tasks without a label are left out.

    Args:
        targets: the tasks.
        family: of the corpus.
        predictions: (S, n, columns of all targets).
        truth: (n, columns), NaN where there is no label.
    """
    seeds: list[dict[str, dict[str, float | None]]] = []
    for predicted in predictions:
        found = {}
        for target, span in zip(targets, spans(targets), strict=True):
            y = truth[:, span]
            known = np.isfinite(y).all(axis=1)
            if known.any():
                values = target_scores(target, family, predicted[known, span], y[known])
                found[target.task] = {name: plain(v) for name, v in values.items()}
        seeds.append(found)
    return seeds


def constant_scores(
    target: Target, family: str, parts: Sequence[tuple[Array, Array]]
) -> dict[str, float]:
    """Test scores of always answering the same: what no model may fall below.

    The answer is the median of the training labels, the most frequent class, or of each of several
    whether it is there in most utterances.

    Args:
        target: the task.
        family: of the corpus.
        parts: truth of the training and of the test split, (n, size) each, NaN where there is no
            label. Of several folds each gives its own answer, and all are scored together.
    """
    answers, truths = [], []
    for split in parts:
        train, test = (y[np.isfinite(y).all(axis=1)] for y in split)
        if not len(train):
            return {}
        answer = train.mean(axis=0) if target.kind == "class" else np.median(train, axis=0)
        answers.append(np.tile(answer, (len(test), 1)))
        truths.append(test)
    truth = np.concatenate(truths)
    return target_scores(target, family, np.concatenate(answers), truth) if len(truth) else {}


def plain(value: float) -> float | None:
    """JSON has no NaN: an undefined score is null."""
    return value if math.isfinite(value) else None


def summary(
    seeds: Sequence[Mapping[str, Mapping[str, float | None]]],
) -> dict[str, dict[str, dict[str, float | None]]]:
    """Mean and standard deviation (ddof = 1) over seeds, null where a score is undefined."""
    done: dict[str, dict[str, dict[str, float | None]]] = {}
    for task, metrics in seeds[0].items():
        done[task] = {}
        for name in metrics:
            values = [seed[task][name] for seed in seeds]
            over = spread([math.nan if value is None else value for value in values])
            done[task][name] = {"mean": plain(over.mean), "std": plain(over.std)}
    return done


def rows(targets: Sequence[Target], family: str, truth: Array) -> dict[str, dict[str, int]]:
    """How many utterances each metric saw, of how many."""
    seen = {}
    for target, span in zip(targets, spans(targets), strict=True):
        y = truth[:, span]
        known = y[np.isfinite(y).all(axis=1)]
        metrics: dict[str, int] = {}
        if len(known):
            metrics = (
                rows_seen(family, known[:, 0])
                if target.is_sentiment
                else dict.fromkeys(target_scores(target, family, known, known), len(known))
            )
        seen[target.task] = {"of": len(y), "labelled": len(known), **metrics}
    return seen


def table(
    dataset: Dataset,
    by_split: Mapping[str, Array],
    truth: Array,
    seeds: Sequence[int],
    targets: Sequence[Target],
    predictions: Mapping[str, Array],
) -> pd.DataFrame:
    """Predictions of all splits: id, split, seed, task, truth, prediction.

    A task of classes has a row for each, under ``emotion=happy`` and so on: truth is 0 or 1, the
    prediction its probability.

    Args:
        dataset: whose ids.
        by_split: numbers of each split's utterances.
        truth: (n, columns of all targets), all splits.
        seeds: in the order of the predictions.
        targets: the tasks.
        predictions: of each split, (S, n, columns).
    """
    import pandas as pd

    columns = [column for target in targets for column in target.columns]
    parts = []
    for split, chosen in by_split.items():
        ids = [dataset.ids[i] for i in chosen]
        part = long_table(ids, seeds, columns, predictions[split])
        part.insert(1, "split", split)
        part.insert(4, "truth", np.tile(truth[chosen].reshape(-1), len(seeds)))
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def long_table(
    ids: Sequence[str], seeds: Sequence[int], columns: Sequence[str], predictions: Array
) -> pd.DataFrame:
    """Predictions (S, n, columns) as a table: id, seed, task, prediction."""
    import pandas as pd

    n = len(ids)
    return pd.DataFrame(
        {
            "id": np.tile(np.repeat(np.array(ids, dtype=object), len(columns)), len(seeds)),
            "seed": np.repeat(np.array(seeds, np.int64), n * len(columns)),
            "task": np.tile(np.array(columns, dtype=object), n * len(seeds)),
            "prediction": predictions.reshape(-1),
        }
    )
