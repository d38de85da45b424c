"""A fitted model applied to utterances: what it makes of them, as features of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..cache.errors import BadCall, unknown
from ..cache.records import Features, no_times
from ..cache.table import FeatureTable
from .dataset import Array, Input
from .fitted import opened, specs_of
from .loop import denormals_flushed
from .models.base import Output
from .objectives import as_predictions
from .registry import model_settings
from .targets import from_meta
from .training import GIVES


def encode(
    weights: Mapping[str, Array],
    meta: Mapping[str, Any],
    inputs: Sequence[Input],
    device: str = "cpu",
) -> dict[str, Array]:
    """Hidden activations (H,) float32 of each utterance, from the seed chosen by validation.

    An utterance without any of the inputs is left out: there is nothing to encode, and whoever
    reads the encoding sees it masked.

    Raises:
        TrainingError: as in ``predict``.
    """
    return {name: made.values[0] for name, made in encoded(weights, meta, inputs, device)}


def encoded(
    weights: Mapping[str, Array],
    meta: Mapping[str, Any],
    inputs: Sequence[Input],
    device: str = "cpu",
    gives: str = "hidden",
) -> Iterator[tuple[str, Features]]:
    """What the seed chosen by validation makes of each utterance, float32, by its id, in order.

    An utterance without any of the inputs is left out (of ``rows``: one without rows to follow).

    Args:
        weights: as in ``Fitted``.
        meta: as in ``Fitted``.
        inputs: as for ``predict``.
        device: ``cpu``, ``cuda`` ...
        gives: ``hidden``: one row, the last hidden layer. ``scores``: one row, what is predicted: a
            column a value (``M``) or the probability of a class (``emotion=happy``). ``rows``: the
            model's own rows, with the times of those that they follow.

    Raises:
        TrainingError: as in ``predict``.
        UnknownName: there is no such thing to give.
        BadCall: the model has no rows.
    """
    if gives not in GIVES:
        raise unknown("thing that an encode gives", gives, GIVES)
    chosen = [s["seed"] for s in meta["seeds"]].index(meta["chosen"])
    with denormals_flushed():
        net, part = opened(weights, meta, inputs, device, [chosen])
    by_name = {given.name: given for given in inputs}
    read = [by_name[spec.name] for spec in specs_of(meta)]
    present = np.any([given.table.present for given in read], axis=0)
    followed = _followed(meta, read) if gives == "rows" else None
    targets = from_meta(meta)
    start = 0
    for batch in part.in_order(1):
        with denormals_flushed(), torch.no_grad():  # not while others work with what is given
            out = net.eval()(batch)
        numbers = range(start, start + out.predictions.shape[1])
        start = numbers.stop
        made: Iterator[Features | None]
        if followed is not None:
            made = _rows(out, *followed, numbers)
        elif gives == "scores":
            columns = tuple(column for target in targets for column in target.columns)
            made = _one_row(as_predictions(targets, out.predictions), columns)
        else:
            made = _one_row(out.hidden, ())
        for i, features in zip(numbers, made, strict=True):
            if features is not None and present[i]:
                yield inputs[0].table.ids[i], features


def _one_row(values: Tensor, columns: tuple[str, ...]) -> Iterator[Features]:
    """A row without a time for each utterance, of values (1, B, H)."""
    for row in values[0].cpu().numpy().astype(np.float32, copy=False):
        yield Features(row[None], no_times(1), columns)


def _followed(meta: Mapping[str, Any], read: Sequence[Input]) -> tuple[FeatureTable, int]:
    """The rows that the model's own follow, and how many of an utterance's it has read.

    Raises:
        BadCall: it has none.
    """
    settings = model_settings(meta["model"], **meta["settings"])
    name = settings.rows_of({given.name: given.modality for given in read})
    for spec, given in zip(specs_of(meta), read, strict=True):
        if spec.name == name:
            return given.table, spec.length
    raise BadCall(f"model '{meta['model']}' has no rows of its own to give")


def _rows(
    out: Output, table: FeatureTable, length: int, numbers: range
) -> Iterator[Features | None]:
    """The model's rows of each utterance of a batch; None where there are none to follow."""
    assert out.rows is not None  # its settings promise them
    assert out.rows_mask is not None
    values = out.rows[0].cpu().numpy().astype(np.float32, copy=False)
    masks = out.rows_mask[0].cpu().numpy()
    for k, i in enumerate(numbers):
        first = int(table.offsets[i])
        last = first + int(min(table.lengths[i], length))
        starts = np.arange(first, last, out.rows_stride)
        ends = np.minimum(starts + out.rows_stride, last) - 1
        times = np.stack([table.times[starts, 0], table.times[ends, 1]], axis=1)
        n = len(starts)
        yield Features(values[k, :n], times, mask=masks[k, :n]) if n else None
