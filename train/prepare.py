"""What a fit learns from, of a joined dataset: truth of its tasks, what the model reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..cache.emotions import as_nine
from ..cache.errors import BadCall, TrainingError, unknown
from ..cache.labels import CLASSES, NO_CLASS, SENTIMENT, names_of
from .dataset import SPLITS, Array, Dataset, Input, InputSpec, check_aligned, known, rows_to_keep
from .metrics import FAMILIES
from .normalize import Scaler, identity
from .reading import MappedReading, Reading, check_finite, checked_when_read, read, scaler_of
from .settings.base import MARKS, SOFT, ModelSettings
from .targets import Target, importance, targets_of, truth_of
from .training import Training, label_columns, task_faults


@dataclass(frozen=True, eq=False)
class Truth:
    """The labels that a fit learns and is scored by.

    Args:
        targets: what each task is.
        values: (n, columns of all targets) float64, NaN where there is no label.
        importance: (n, columns), how much each counts in the loss.
        notes: what a user should know of the labels.
        family: metrics of sentiment that tasks are scored by.
    """

    targets: tuple[Target, ...]
    values: Array
    importance: Array
    notes: tuple[str, ...] = ()
    family: str = ""


def truth_for(dataset: Dataset, training: Training, tasks: Sequence[str], family: str) -> Truth:
    """Truth of each task.

    Raises:
        TrainingError: an empty split, settings that do not go with the tasks, a task without
            labels or with a single class in the training split.
        UnknownName: a task is scored by the corpus' metric family, which is none.
    """
    for split in ("train", "valid"):
        if not len(dataset.rows(split)):
            sizes = ", ".join(f"{name}: {len(dataset.rows(name))}" for name in SPLITS)
            raise TrainingError(f"split '{split}' has no utterances ({sizes})")
    for fault in task_faults(training, tasks):
        raise TrainingError(fault)
    columns = label_columns(training, tasks)
    dataset, notes = _marked_alone(dataset, columns)
    _check_labels(dataset, training, columns)
    if {*columns.values()} & {*SENTIMENT} and family not in FAMILIES:
        raise unknown("metric family", family, FAMILIES)
    if training.emotions == "nine":
        merged = as_nine(dataset.labels["emotion"], dataset.ids)
        dataset = replace(dataset, labels={**dataset.labels, "emotion": merged})
    train = dataset.rows("train")
    targets = targets_of(tasks, training, dataset.labels, train)
    values: list[Array] = []
    counts: list[Array] = []
    for target in targets:
        own = truth_of(target, dataset.labels[columns[target.task]], dataset.ids)
        values.append(own)
        counts.append(np.isfinite(own).astype(np.float64))
        counts[-1][train] = importance(target, own[train], training.class_weights)
        notes += _one_answer(target, dataset, own)
        if not training.classes:
            notes += _unseen(target, dataset, dataset.labels[columns[target.task]])
        for split in ("train", "valid"):
            if not np.isfinite(own[dataset.rows(split)]).any():
                raise TrainingError(
                    f"task '{target.task}': no utterance of split '{split}' is one of "
                    f"{', '.join(target.names)}. Choose other 'classes'"
                )
    whole = (np.concatenate(values, axis=1), np.concatenate(counts, axis=1))
    return Truth(targets, *whole, tuple(notes), family)


def _marked_alone(dataset: Dataset, columns: Mapping[str, str]) -> tuple[Dataset, list[str]]:
    """Where an input marks the row that is to be predicted: no labels without such a row."""
    marked = np.ones(len(dataset.ids), bool)
    for given in dataset.inputs:
        if given.modality == MARKS:
            n_marks = np.cumsum(np.append(0, np.asarray(given.table.values)[:, 0] > 0))
            marked &= np.diff(n_marks[given.table.offsets]) > 0
    labels = {column: dataset.labels[column] for column in {*columns.values()} & {*dataset.labels}}
    unmarked = {column: known(own) & ~marked for column, own in labels.items()}
    n = max((int(rows.sum()) for rows in unmarked.values()), default=0)
    if not n:
        return dataset, []
    for column, rows in unmarked.items():
        none = "" if labels[column].dtype.kind == "U" else np.nan
        labels[column] = np.where(rows, none, labels[column])
    return replace(dataset, labels={**dataset.labels, **labels}), [
        f"{n} utterances have a label and no marked row to predict it from (their text was cut "
        "before it): they are neither learned from nor scored"
    ]


def _one_answer(target: Target, dataset: Dataset, truth: Array) -> Iterator[str]:
    """Say where all labels of a task are the same: its scores mean little there."""
    for split in SPLITS:
        own = truth[dataset.rows(split)]
        own = own[np.isfinite(own).all(axis=1)]
        if len(own) > 1 and (own == own[0]).all():
            names = [n for n, there in zip(target.names, own[0], strict=False) if there]
            label = f"{own[0, 0]:g}" if target.kind == "value" else ";".join(names) or NO_CLASS
            yield (
                f"all {len(own)} labels of task '{target.task}' in split '{split}' are {label}: "
                + ("there is nothing to learn" if split == "train" else "its scores say little")
            )


def _unseen(target: Target, dataset: Dataset, labels: Array) -> Iterator[str]:
    """Say how many utterances have a class that is not scored: training has no example of it.

    Of one class out of several, the whole label is not; of any number, the others of it are.
    """
    scored = {
        "class": "that label is not scored",
        "several": "those are neither predicted nor scored, the other classes are",
    }
    for split in SPLITS[1:] if target.names else ():
        named = [set(names_of(str(label))) - {NO_CLASS} for label in labels[dataset.rows(split)]]
        other = [names - {*target.names} for names in named]
        n = sum(map(bool, other))
        if n:
            yield (
                f"{n} of {sum(map(bool, named))} utterances of split '{split}' have a class of "
                f"task '{target.task}' that training has no example of "
                f"({', '.join(sorted(set().union(*other)))}): {scored[target.kind]}"
            )


def _check_labels(dataset: Dataset, training: Training, columns: Mapping[str, str]) -> None:
    there = dataset.labelled("train", "valid")
    for task, column in columns.items():
        if column in there:
            continue
        hint = ""
        if "M" in there and training.labels == "own" and task not in CLASSES:
            hint = "; or set 'labels: M' to train every task on the multimodal label"
        gap = "train" if column not in dataset.labelled("train") else "valid"
        raise TrainingError(
            f"task '{task}' has no label '{column}' in split '{gap}'. Columns with labels in "
            f"train and valid: {', '.join(sorted(there)) or 'none'}. Choose tasks among them{hint}"
        )


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a model reads of each input, by its name.

    Args:
        specs: what the network must know of them, in order.
        scalers: the normaliser that the training split gives.
        readings: values of all utterances, normalised.
        encoders: see ``Input.encoder``.
    """

    specs: list[InputSpec]
    scalers: dict[str, Scaler]
    readings: dict[str, Reading | MappedReading]
    encoders: dict[str, Any]


def prepare(
    model: ModelSettings, training: Training, dataset: Dataset, lengths: Mapping[str, int]
) -> Prepared:
    """Read what a model wants of each input; see ``fit`` for the arguments.

    Raises:
        TrainingError: features are not finite, or not aligned where the model needs that.
        BadCall: the model cannot be trained like this, or lacks the encoder that it trains.
    """
    model.check_training(training)
    train = dataset.rows("train")
    done = Prepared([], {}, {}, encoders_of(model, dataset.inputs))
    kept = {
        given.name: lengths.get(given.name)
        or rows_to_keep(given, train, training.length, training.length_factor)
        for given in dataset.inputs
    }
    if model.aligned:
        check_aligned(dataset.inputs)
        kept = dict.fromkeys(kept, max(kept.values()))
    for given in dataset.inputs:
        length, reads = kept[given.name], model.reads(given.modality)
        as_it_is = given.name in done.encoders or given.modality in (SOFT, MARKS)
        scaled = training.normalize == "rows" and not as_it_is
        if scaled or not checked_when_read(given, reads):
            check_finite(given)
        scaler = scaler_of(given, length, train) if scaled else identity(given.width)
        names = given.table.columns if given.modality == SOFT else ()
        done.specs.append(InputSpec(given.name, given.modality, given.width, reads, length, names))
        done.scalers[given.name] = scaler
        done.readings[given.name] = read(given, reads, length, scaler)
    return done


def encoders_of(model: ModelSettings, inputs: Sequence[Input]) -> dict[str, Any]:
    """Input name -> the layers that the model trains above its rows; of most models none.

    Raises:
        BadCall: the input comes without them.
    """
    named = [given for given in inputs if given.modality in model.encoder]
    for given in named:
        if given.encoder is None and model.every_encoder:
            raise BadCall(
                f"model '{model.name}' trains the layers above those whose states '{given.name}' "
                "holds, and they were not handed in with it"
            )
    found = {given.name: given.encoder for given in named if given.encoder is not None}
    model.check_encoders(list(found), [given.name for given in inputs])
    return found
