"""Fit a model: from a joined dataset to weights, scores and predictions.

The loop sees the training and the validation split. What it chose is then scored, once, on all
three splits.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ..cache.keys import settings_of
from .absent import only, subsets
from .batches import Part
from .course import Curve, Keeper, Parted, Progress
from .dataset import SPLITS, Array, Dataset
from .domains import Domains, domains_of
from .encoding import encode, encoded
from .fitted import Fitted, predict
from .freed_memory import freed_memory_kept
from .loop import Loop, denormals_flushed, run_net
from .models.base import Model
from .normalize import Scaler
from .objectives import as_predictions
from .outcome import all_scores, rows, summary, table
from .prepare import Prepared, Truth, prepare, truth_for
from .reading import MappedReading, Reading
from .registry import network_class
from .seeds import Streams
from .settings.base import ModelSettings
from .starting import Parent, start_from
from .targets import Target, as_meta
from .training import Training, primary_task

__all__ = ["Fitted", "encode", "encoded", "fit", "predict"]

#: Seeds run side by side while a stack of them has at most so many weights; beyond, arithmetic
#: and not the calls is what a step costs: a stack gains nothing (``benchmarks/train_seeds.py``).
STACK = 1_200_000


def fit(
    model: ModelSettings,
    training: Training,
    dataset: Dataset,
    tasks: Sequence[str],
    family: str,
    device: str = "cpu",
    progress: Progress | None = None,
    lengths: Mapping[str, int] | None = None,
    keeper: Keeper | None = None,
    stack: int | None = None,
    parent: Parent | None = None,
) -> Fitted:
    """Fit every seed, choose each one's epoch and one of them by validation, then score.

    The primary task drives early stopping and the choice: ``M`` where it is among the tasks, else
    the last of them. Its measure is the error on the validation split: mean absolute error of
    values, cross-entropy of classes.

    Args:
        model: the network's settings.
        training: how it is fitted.
        dataset: utterances, splits, labels, inputs.
        tasks: what is predicted, in this order; a name is a label column (see
            ``Training.labels``).
        family: metrics of sentiment to report, ``sims``, ``mosi`` or ``mag``.
        device: ``cpu``, ``cuda`` ...
        progress: called after each epoch.
        lengths: input name -> rows kept of each utterance, where a statistic says it already;
            otherwise ``training.length`` is applied here.
        keeper: where the course is kept, to be gone on with after a break; None: nowhere.
        stack: where there is more than one stack of seeds, fit this one alone and leave it with the
            keeper: a fit of all then finds it there.
        parent: whose weights all seeds start from; None: they start from random ones.

    Raises:
        Parted: a stack was left with the keeper.
        BadCall: model, inputs and tasks do not fit each other.
        TrainingError: an empty split, a task without labels, features that are not finite; a loss
            that is no longer finite (``Diverged``).
        BadInput: the parent's weights are not such that the model could start from them.
    """
    tasks = tuple(tasks)
    model.check({given.name: given.modality for given in dataset.inputs}, tasks)
    truth = truth_for(dataset, training, tasks, family)
    data = prepare(model, training, dataset, lengths or {})
    by_split = {split: dataset.rows(split) for split in SPLITS}

    def part(
        chosen: Array,
        readings: Mapping[str, Reading | MappedReading] = data.readings,
        domains: Domains | None = None,
    ) -> Part:
        kept = {name: reading.select(chosen) for name, reading in readings.items()}
        return Part(kept, truth.values[chosen], device, truth.importance[chosen], domains)

    def scored(subset: Sequence[str]) -> Array:
        return _predict(nets, truth.targets, part(by_split["test"], only(data.readings, subset)))

    learned = by_split["train"]
    if not model.unlabelled:  # they would only thin out its batches
        learned = learned[np.isfinite(truth.values[learned]).any(axis=1)]
    with denormals_flushed(), freed_memory_kept():
        of_each = domains_of(model, dataset, learned)
        parts = (part(learned, domains=of_each), part(by_split["valid"]))
        curves, nets, begun = _fit_seeds(
            model, training, data, truth, parts, device, progress, keeper, stack, parent
        )
        predictions = {
            split: _predict(nets, truth.targets, part(rows)) for split, rows in by_split.items()
        }
        absent = _absent(data, truth, by_split["test"], family, scored)
    weights = _weights(nets, data.scalers)
    meta = {
        **_about(model, training, data, truth, family),
        "sizes": {split: len(chosen) for split, chosen in by_split.items()},
        "masked": _masked(dataset, by_split),
        "parameters": sum(int(v[0].size) for n, v in weights.items() if n.startswith("net.")),
        "device": device,
        "absent": absent,
        "notes": [*truth.notes, *begun, *_notes(curves, training)],
        **_outcome(
            curves, predictions, {s: truth.values[by_split[s]] for s in SPLITS}, truth, family
        ),
    }
    return Fitted(
        weights,
        meta,
        table(dataset, by_split, truth.values, training.seeds, truth.targets, predictions),
    )


def _about(
    model: ModelSettings, training: Training, data: Prepared, truth: Truth, family: str
) -> dict[str, Any]:
    """What was fitted, and by what."""
    tasks = [target.task for target in truth.targets]
    return {
        "model": model.name,
        "version": model.version,
        "settings": settings_of(model),
        "training": settings_of(training),
        "inputs": [dataclasses.asdict(spec) for spec in data.specs],
        "tasks": tasks,
        "targets": as_meta(truth.targets),
        "primary": primary_task(tasks),
        "family": family,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }


def seeds_together(alone: Model) -> int:
    """How many seeds are fitted side by side, in one stack, of a network of a single seed."""
    if not alone.stackable:
        return 1
    return max(1, alone.stack_more * STACK // sum(p.numel() for p in alone.parameters()))


def _fit_seeds(
    model: ModelSettings,
    training: Training,
    data: Prepared,
    truth: Truth,
    parts: tuple[Part, Part],
    device: str,
    progress: Progress | None,
    keeper: Keeper | None,
    stack: int | None,
    parent: Parent | None,
) -> tuple[list[Curve], list[Model], list[str]]:
    """Each seed's course; networks (one a stack of seeds) with the best weights; how they began.

    Raises:
        Parted: see ``fit``.
    """
    kind = network_class(model.name)
    tasks = [target.task for target in truth.targets]
    sizes = [target.size for target in truth.targets]
    together = 1
    if len(training.seeds) > 1 and kind.stackable and training.stackable:
        together = seeds_together(
            kind(model, data.specs, tasks, Streams(training.seeds[:1]), sizes)
        )
    starts = list(range(0, len(training.seeds), together))
    if len(starts) == 1:
        stack = None
    curves: list[Curve] = []
    nets: list[Model] = []
    begun: dict[str, None] = {}
    for start in starts if stack is None else [starts[stack]]:
        streams = Streams(training.seeds[start : start + together], device)
        net: Model = kind(model, data.specs, tasks, streams, sizes, data.encoders).to(device)
        if parent is not None:
            begun[start_from(net, parent)] = None
        primary = primary_task(tasks)
        loop = Loop(net, training, streams, *parts, truth.targets, primary, keeper, truth.family)
        curves += loop.run(progress)
        if stack is not None:
            loop.keep()
            raise Parted(len(starts))
        net.load_weights(loop.best)
        nets.append(net)
    return curves, nets, list(begun)


@torch.no_grad()
def _predict(nets: Sequence[Model], targets: Sequence[Target], part: Part) -> Array:
    """Predictions of every seed, (S, n, columns of all targets) float32."""
    seeds = [len(next(net.parameters())) for net in nets]
    if not part.n:
        return np.empty((sum(seeds), 0, part.truth.shape[1]), np.float32)
    done = [run_net(net, part.in_order(n)).predictions for net, n in zip(nets, seeds, strict=True)]
    return as_predictions(targets, torch.cat(done)).cpu().numpy()


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


def _masked(dataset: Dataset, by_split: Mapping[str, Array]) -> dict[str, dict[str, int]]:
    """Utterances of each split that lack each input."""
    return {
        split: {g.name: int((~g.table.present[chosen]).sum()) for g in dataset.inputs}
        for split, chosen in by_split.items()
    }


def _absent(
    data: Prepared,
    truth: Truth,
    test: Array,
    family: str,
    scored: Callable[[Sequence[str]], Array],
) -> dict[str, Any]:
    """Test scores with only some of the inputs there, mean and deviation over seeds, by subset."""
    if not len(test):
        return {}
    return {
        label: summary(all_scores(truth.targets, family, scored(names), truth.values[test]))
        for label, names in subsets(data.specs).items()
    }


def _notes(curves: Sequence[Curve], training: Training) -> list[str]:
    """What a user should know of how the fit went."""
    stuck = [str(c.seed) for c in curves if c.best_epoch == 1 and len(c.train_loss) > 1]
    if not stuck:
        return []
    return [
        f"the validation error of seed(s) {', '.join(stuck)} never got better than after the "
        f"first epoch (lr {training.lr:g}): what is kept has hardly learned; try another lr"
    ]


def _outcome(
    curves: Sequence[Curve],
    predictions: Mapping[str, Array],
    truth: Mapping[str, Array],
    labels: Truth,
    family: str,
) -> dict[str, Any]:
    """Scores by seed, split, task and metric; their mean and deviation; the seed chosen."""
    found = {
        split: all_scores(labels.targets, family, predictions[split], truth[split])
        for split in SPLITS
    }
    return {
        "seeds": [
            {
                **dataclasses.asdict(curve),
                "epochs": len(curve.train_loss),
                "scores": {split: found[split][i] for split in SPLITS},
            }
            for i, curve in enumerate(curves)
        ],
        "chosen": min(curves, key=lambda curve: curve.best).seed,
        "summary": {split: summary(found[split]) for split in SPLITS},
        "rows": {split: rows(labels.targets, family, truth[split]) for split in SPLITS},
    }
