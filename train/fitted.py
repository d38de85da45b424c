"""What a fit leaves behind; the network as it was fitted, and what it predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..cache.errors import TrainingError
from .batches import Part
from .dataset import Array, Input, InputSpec, check_aligned, join
from .loop import denormals_flushed, run_net
from .models.base import Model
from .normalize import Scaler
from .objectives import as_predictions
from .outcome import long_table
from .prepare import encoders_of
from .reading import MappedReading, Reading, check_finite, checked_when_read, read
from .registry import model_class, model_settings, network_class
from .seeds import Streams
from .targets import from_meta

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fit's outcome, ready to be published as a checkpoint.

    Args:
        weights: ``net.*``: every seed's weights, stacked along dimension 0 in the order of
            ``meta["seeds"]``; ``scaler.<input>.mean`` and ``.scale``: the normaliser.
        meta: everything else needed to rebuild it, and how it went; plain JSON.
        predictions: one row an utterance, seed and task (or class of it): id, split, seed, task,
            truth (NaN where there is no label), prediction.
    """

    weights: dict[str, Array]
    meta: dict[str, Any]
    predictions: pd.DataFrame


def predict(
    weights: Mapping[str, Array],
    meta: Mapping[str, Any],
    inputs: Sequence[Input],
    device: str = "cpu",
) -> pd.DataFrame:
    """Scores of new utterances by every seed: columns id, seed, task, prediction.

    A task of classes has a row for each, ``emotion=happy`` and so on, with its probability.

    Args:
        weights: as in ``Fitted``.
        meta: as in ``Fitted``.
        inputs: the fit's inputs by name, over the same utterances; an utterance that lacks one
            has that modality masked. One utterance is enough.
        device: ``cpu``, ``cuda`` ...

    Raises:
        TrainingError: an input is missing, of another width or modality, or not finite.
    """
    seeds = [seed["seed"] for seed in meta["seeds"]]
    with denormals_flushed(), torch.no_grad():
        net, part = opened(weights, meta, inputs, device, range(len(seeds)))
        out = run_net(net, part.in_order(len(seeds)))
        predictions = as_predictions(from_meta(meta), out.predictions).cpu().numpy()
    columns = [column for target in from_meta(meta) for column in target.columns]
    return long_table(inputs[0].table.ids, seeds, columns, predictions)


def specs_of(meta: Mapping[str, Any]) -> list[InputSpec]:
    """The inputs a fit was made with."""
    return [InputSpec(**spec) for spec in meta["inputs"]]


def rebuild(
    weights: Mapping[str, Array],
    meta: Mapping[str, Any],
    inputs: Sequence[Input],
    chosen: Sequence[int],
    device: str = "cpu",
) -> Model:
    """The network with the weights of the chosen seeds (their places in ``meta["seeds"]``).

    Args:
        weights: as in ``Fitted``.
        meta: as in ``Fitted``.
        inputs: the fit's; only the encoders that they come with are looked at.
        chosen: which seeds.
        device: ``cpu``, ``cuda`` ...

    Raises:
        TrainingError: the model's version has changed since it was fitted.
        BadCall: it trained an encoder, which its input comes without.
    """
    settings = model_settings(meta["model"], **meta["settings"])
    if settings.version != meta["version"]:
        raise TrainingError(
            f"this model was fitted by version {meta['version']} of '{meta['model']}', and here "
            f"is version {settings.version}: fit it again"
        )
    specs, streams = specs_of(meta), Streams([meta["seeds"][i]["seed"] for i in chosen])
    sizes = [target.size for target in from_meta(meta)]
    names = {spec.name for spec in specs}
    encoders = encoders_of(settings, [given for given in inputs if given.name in names])
    net = network_class(meta["model"])(settings, specs, meta["tasks"], streams, sizes, encoders)
    assert isinstance(net, Model)
    rows = list(chosen)
    net.load_state_dict(
        {
            name.removeprefix("net."): torch.from_numpy(np.ascontiguousarray(value[rows]))
            for name, value in weights.items()
            if name.startswith("net.")
        }
    )
    return net.to(device)


def readings_of(
    weights: Mapping[str, Array], specs: Sequence[InputSpec], inputs: Sequence[Input]
) -> dict[str, Reading | MappedReading]:
    """What the model reads of these inputs, normalised as when it was fitted.

    Raises:
        TrainingError: an input is missing, of another width or modality, or not finite.
    """
    by_name = {given.name: given for given in inputs}
    readings = {}
    for spec in specs:
        if spec.name not in by_name:
            raise TrainingError(
                f"the model was fitted on input '{spec.name}', which is missing; got "
                f"{', '.join(sorted(by_name)) or 'none'}"
            )
        given = by_name[spec.name]
        if (given.width, given.modality) != (spec.width, spec.modality):
            raise TrainingError(
                f"the model was fitted on input '{spec.name}' of {spec.width} {spec.modality} "
                f"columns, got {given.width} {given.modality} columns"
            )
        if not checked_when_read(given, spec.reads):
            check_finite(given)
        scaler = Scaler(weights[f"scaler.{spec.name}.mean"], weights[f"scaler.{spec.name}.scale"])
        readings[spec.name] = read(given, spec.reads, spec.length, scaler)
    return readings


def opened(
    weights: Mapping[str, Array],
    meta: Mapping[str, Any],
    inputs: Sequence[Input],
    device: str,
    chosen: Sequence[int],
) -> tuple[Model, Part]:
    """The network of the chosen seeds, and what it reads of all utterances.

    Raises:
        TrainingError: as in ``predict``.
    """
    if not inputs:
        raise TrainingError("nothing to apply the model to: no inputs given")
    ids = inputs[0].table.ids
    lined_up = join(ids, [""] * len(ids), {}, inputs).inputs
    readings = readings_of(weights, specs_of(meta), lined_up)
    if model_class(meta["model"]).aligned:
        check_aligned([given for given in lined_up if given.name in readings])
    net = rebuild(weights, meta, lined_up, chosen, device)
    return net, Part(readings, np.full((len(ids), 0), np.nan), device)
