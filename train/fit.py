"""Fit a model: from a joined dataset to weights, scores and predictions.

The loop sees the training and the validation split. What it chose is then scored, once, on all
three splits.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..cache.errors import TrainingError, unknown
from ..cache.keys import settings_of
from .batches import Part
from .compare import spread
from .dataset import (
    SPLITS,
    Array,
    Dataset,
    InputSpec,
    MappedReading,
    Reading,
    check_aligned,
    check_finite,
    read,
    rows_to_keep,
    scaler_of,
)
from .fitted import Fitted, encode, long_table, predict
from .loop import Curve, Loop, Progress, denormals_flushed, run_net
from .metrics import FAMILIES, rows_seen, scores
from .models.base import Model
from .normalize import Scaler, identity
from .registry import network_class
from .seeds import Streams
from .settings.base import ModelSettings
from .training import Training, primary_task

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Fitted", "encode", "fit", "predict"]

#: Seeds run side by side while a stack of them has at most so many weights; beyond, arithmetic
#: and not the calls is what a step costs: a stack gains nothing (``benchmarks/train_seeds.py``).
STACK = 1_500_000


def fit(
    model: ModelSettings,
    training: Training,
    dataset: Dataset,
    tasks: Sequence[str],
    family: str,
    device: str = "cpu",
    progress: Progress | None = None,
    lengths: Mapping[str, int] | None = None,
) -> Fitted:
    """Fit every seed, choose each one's epoch and one of them by validation, then score.

    The primary task drives early stopping and the choice: ``M`` where it is among the tasks, else
    the last of them. Its measure is the mean absolute error on the validation split.

    Args:
        model: the network's settings.
        training: how it is fitted.
        dataset: utterances, splits, labels, inputs.
        tasks: what is predicted, in this order; a name is a label column (see
            ``Training.labels``).
        family: metrics to report, ``sims``, ``mosi`` or ``mag``.
        device: ``cpu``, ``cuda`` ...
        progress: called after each epoch.
        lengths: input name -> rows kept of each utterance, where a statistic says it already;
            otherwise ``training.length`` is applied here.

    Raises:
        BadCall: model, inputs and tasks do not fit each other.
        TrainingError: an empty split, a task without labels, features that are not finite; a loss
            that is no longer finite (``Diverged``).
    """
    tasks = tuple(tasks)
    model.check({given.name: given.modality for given in dataset.inputs}, tasks)
    if family not in FAMILIES:
        raise unknown("metric family", family, FAMILIES)
    truth = _truth(dataset, training, tasks)
    specs, scalers, readings = _readings(model, training, dataset, lengths or {})
    rows = {split: dataset.rows(split) for split in SPLITS}

    def part(split: str) -> Part:
        chosen = rows[split]
        kept = {name: reading.select(chosen) for name, reading in readings.items()}
        return Part(kept, truth[chosen], device)

    with denormals_flushed():
        curves, nets = _fit_seeds(
            model, training, specs, tasks, (part("train"), part("valid")), device, progress
        )
        predictions = {split: _predict(nets, part(split)) for split in SPLITS}
    weights = _weights(nets, scalers)
    meta = {
        "model": model.name,
        "version": model.version,
        "settings": settings_of(model),
        "training": settings_of(training),
        "inputs": [dataclasses.asdict(spec) for spec in specs],
        "tasks": list(tasks),
        "primary": primary_task(tasks),
        "family": family,
        "sizes": {split: len(rows[split]) for split in SPLITS},
        "masked": _masked(dataset, rows),
        "parameters": sum(int(v[0].size) for n, v in weights.items() if n.startswith("net.")),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "device": device,
        **_outcome(curves, predictions, {s: truth[rows[s]] for s in SPLITS}, tasks, family),
    }
    return Fitted(weights, meta, _table(dataset, rows, truth, meta, predictions))


def _truth(dataset: Dataset, training: Training, tasks: Sequence[str]) -> Array:
    """Truth of each task, (n, K) float64.

    Raises:
        TrainingError: a task has no label in the training or the validation split.
    """
    for split in ("train", "valid"):
        if not len(dataset.rows(split)):
            sizes = ", ".join(f"{name}: {len(dataset.rows(name))}" for name in SPLITS)
            raise TrainingError(f"split '{split}' has no utterances ({sizes})")
    if training.task_weights and len(training.task_weights) != len(tasks):
        raise TrainingError(
            f"{len(training.task_weights)} task_weights do not fit {len(tasks)} tasks "
            f"[{', '.join(tasks)}]"
        )
    columns = [task if training.labels == "own" else training.labels for task in tasks]
    there = dataset.labelled("train", "valid")
    for task, column in zip(tasks, columns, strict=True):
        if column in there:
            continue
        hint = ""
        if "M" in there and training.labels == "own":
            hint = "; or set 'labels: M' to train every task on the multimodal label"
        gap = "train" if column not in dataset.labelled("train") else "valid"
        raise TrainingError(
            f"task '{task}' has no label '{column}' in split '{gap}'. Columns with labels in "
            f"train and valid: {', '.join(sorted(there)) or 'none'}. Choose tasks among them{hint}"
        )
    return np.stack([dataset.labels[column] for column in columns], axis=1)


def _readings(
    model: ModelSettings, training: Training, dataset: Dataset, lengths: Mapping[str, int]
) -> tuple[list[InputSpec], dict[str, Scaler], dict[str, Reading | MappedReading]]:
    """What the model reads of each input, and the normaliser that the training split gives."""
    train = dataset.rows("train")
    specs, scalers, readings = [], {}, {}
    kept = {
        given.name: lengths.get(given.name)
        or rows_to_keep(given, train, training.length, training.length_factor)
        for given in dataset.inputs
    }
    if model.aligned:
        check_aligned(dataset.inputs)
        kept = dict.fromkeys(kept, max(kept.values()))
    for given in dataset.inputs:
        check_finite(given)
        length = kept[given.name]
        scaler = (
            scaler_of(given, length, train)
            if training.normalize == "rows"
            else identity(given.width)
        )
        reads = model.reads(given.modality)
        specs.append(InputSpec(given.name, given.modality, given.width, reads, length))
        scalers[given.name] = scaler
        readings[given.name] = read(given, reads, length, scaler)
    return specs, scalers, readings


def _fit_seeds(
    model: ModelSettings,
    training: Training,
    specs: Sequence[InputSpec],
    tasks: tuple[str, ...],
    parts: tuple[Part, Part],
    device: str,
    progress: Progress | None,
) -> tuple[list[Curve], list[Model]]:
    """Each seed's course, and networks (one a stack of seeds) that hold the best weights."""
    kind = network_class(model.name)
    alone: Model = kind(model, specs, tasks, Streams(training.seeds[:1]))
    size = sum(p.numel() for p in alone.parameters())
    together = max(1, STACK // size) if kind.stackable else 1
    curves: list[Curve] = []
    nets: list[Model] = []
    for start in range(0, len(training.seeds), together):
        streams = Streams(training.seeds[start : start + together], device)
        net: Model = kind(model, specs, tasks, streams).to(device)
        loop = Loop(net, training, streams, *parts, tasks.index(primary_task(tasks)))
        curves += loop.run(progress)
        net.load_weights(loop.best)
        nets.append(net)
    return curves, nets


@torch.no_grad()
def _predict(nets: Sequence[Model], part: Part) -> Array:
    """Scores of every seed (S, n, K) float32."""
    seeds = [len(next(net.parameters())) for net in nets]
    if not part.n:
        return np.empty((sum(seeds), 0, part.truth.shape[1]), np.float32)
    done = [run_net(net, part.in_order(n))[0] for net, n in zip(nets, seeds, strict=True)]
    return torch.cat(done).cpu().numpy()


def _weights(nets: Sequence[Model], scalers: Mapping[str, Scaler]) -> dict[str, Array]:
    states = [net.weights() for net in nets]
    weights = {
        f"net.{name}": torch.cat([state[name] for state in states]).cpu().numpy()
        for name in states[0]
    }
    for name, scaler in scalers.items():
        weights[f"scaler.{name}.mean"] = scaler.mean
        weights[f"scaler.{name}.scale"] = scaler.scale
    return weights


def _masked(dataset: Dataset, rows: Mapping[str, Array]) -> dict[str, dict[str, int]]:
    """Utterances of each split that lack each input."""
    return {
        split: {g.name: int((~g.table.present[chosen]).sum()) for g in dataset.inputs}
        for split, chosen in rows.items()
    }


def _outcome(
    curves: Sequence[Curve],
    predictions: Mapping[str, Array],
    truth: Mapping[str, Array],
    tasks: Sequence[str],
    family: str,
) -> dict[str, Any]:
    """Scores by seed, split, task and metric; their mean and deviation; the seed chosen."""
    seeds = []
    for i, curve in enumerate(curves):
        found: dict[str, dict[str, dict[str, float | None]]] = {split: {} for split in SPLITS}
        for split in SPLITS:
            for k, task in enumerate(tasks):
                y = truth[split][:, k]
                known = np.isfinite(y)
                if known.any():
                    values = scores(family, predictions[split][i, known, k], y[known])
                    found[split][task] = {name: _plain(v) for name, v in values.items()}
        seeds.append(
            {**dataclasses.asdict(curve), "epochs": len(curve.train_loss), "scores": found}
        )
    chosen = min(curves, key=lambda curve: curve.best)
    return {
        "seeds": seeds,
        "chosen": chosen.seed,
        "summary": _summary(seeds),
        "rows": {split: _rows(truth[split], tasks, family) for split in SPLITS},
    }


def _plain(value: float) -> float | None:
    """JSON has no NaN: an undefined score is null."""
    return value if math.isfinite(value) else None


def _summary(seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation (ddof = 1) over seeds, null where a score is undefined."""
    summary: dict[str, Any] = {}
    for split, by_task in seeds[0]["scores"].items():
        summary[split] = {}
        for task, metrics in by_task.items():
            summary[split][task] = {}
            for name in metrics:
                values = [seed["scores"][split][task][name] for seed in seeds]
                over = spread([math.nan if value is None else value for value in values])
                summary[split][task][name] = {"mean": _plain(over.mean), "std": _plain(over.std)}
    return summary


def _rows(truth: Array, tasks: Sequence[str], family: str) -> dict[str, dict[str, int]]:
    """How many utterances each metric saw, of how many."""
    seen = {}
    for k, task in enumerate(tasks):
        y = truth[:, k]
        known = y[np.isfinite(y)]
        metrics = rows_seen(family, known) if len(known) else {}
        seen[task] = {"of": len(y), "labelled": len(known), **metrics}
    return seen


def _table(
    dataset: Dataset,
    rows: Mapping[str, Array],
    truth: Array,
    meta: Mapping[str, Any],
    predictions: Mapping[str, Array],
) -> pd.DataFrame:
    """Predictions of all splits: id, split, seed, task, truth, prediction."""
    import pandas as pd

    seeds = [seed["seed"] for seed in meta["seeds"]]
    parts = []
    for split, chosen in rows.items():
        ids = [dataset.ids[i] for i in chosen]
        table = long_table(ids, seeds, meta["tasks"], predictions[split])
        table.insert(1, "split", split)
        table.insert(4, "truth", np.tile(truth[chosen].reshape(-1), len(seeds)))
        parts.append(table)
    return pd.concat(parts, ignore_index=True)
