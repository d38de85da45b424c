"""What a fitted model makes of utterances it did not learn from: its last hidden layer, seen.

The only part of the report that applies a model; all else is read from what the fit left behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...cache.errors import CacheError, TrainingError
from ...cache.records import Array
from ...train.metrics import SIMS_3, sims_bins
from ...train.targets import Target
from ..blocks import fits_of, main_blocks
from ..encoding import EncodeTask
from ..fit_view import FitView, labelled
from ..fitting import InputRef, must_map, read_inputs
from ..nodes import Fit
from ..result import Run, places
from .fits import chosen

if TYPE_CHECKING:
    import pandas as pd

    from ...train.attention_maps import AttentionMap
    from ...train.dataset import Input

#: Utterances drawn at most, and those without which there is no picture.
MOST, LEAST = 300, 12
HELD_OUT = ("valid", "test")
SIGNS = ("negative", "neutral", "positive")


@dataclass(frozen=True, eq=False)
class Cloud:
    """Held-out utterances in the plane, near each other where the model sees them alike.

    Args:
        places: (n, 2) without unit.
        groups: (n,) number of each one's name.
        names: of the groups.
        of: utterances there are, of which n are drawn.
    """

    places: Array
    groups: Array
    names: tuple[str, ...]
    of: int


@dataclass(frozen=True, eq=False)
class Inside:
    """Pictures of the chosen fit; what it has not is None or empty.

    ``problem`` says why there are none, though there should be.
    """

    fit: FitView
    cloud: Cloud | None = None
    utterance: str = ""
    maps: Sequence[AttentionMap] = ()
    problem: str = ""


def look_inside(run: Run) -> list[Inside]:
    """Apply the chosen fit of each block to held-out utterances; empty where there is none."""
    found = []
    for block in main_blocks(fits_of(run)):
        own = chosen(block.fits, block.task, "many") or chosen(block.fits, block.task, "one")
        fit = own.parts[0] if own else None  # of several folds, the first one's network
        table = fit.checkpoint.predictions() if fit else None
        if fit is None or table is None:
            continue
        try:
            found.append(_look(run, fit, table, block.task))
        except (CacheError, TrainingError) as error:  # features went away since it was trained
            found.append(Inside(fit, problem=str(error)))
    return found


def _look(run: Run, fit: FitView, table: pd.DataFrame, task: str) -> Inside:
    target = fit.target(task)
    splits = [split for split in HELD_OUT if fit.metrics(task, split)]
    found = [labelled(table, target, split) for split in splits]
    truth = {name: y for ids, _, ys in found for name, y in zip(ids, ys, strict=True)}
    ids = [name for name in run.corpus.ids if name in truth]
    drawn = ids
    if len(ids) > MOST:
        kept = np.random.default_rng(0).choice(len(ids), MOST, replace=False)
        drawn = [ids[i] for i in sorted(kept)]
    cloud = None
    if target.kind == "class" or target.is_sentiment:
        cloud = _cloud(run, fit, target, drawn, truth, len(ids))
    first = _first(run, fit, set(found[-1][0]))
    return Inside(fit, cloud, first, _maps(run, fit, [first]) if first else ())


def _cloud(
    run: Run,
    fit: FitView,
    target: Target,
    ids: Sequence[str],
    truth: dict[str, Array],
    of: int,
) -> Cloud | None:
    from ...train import fit as training

    if len(ids) < LEAST:
        return None
    inputs = _inputs(run, fit, ids)
    checkpoint = fit.checkpoint
    hidden = training.encode(checkpoint.weights(), checkpoint.meta, inputs)
    seen = [name for name in ids if name in hidden]
    if len(seen) < LEAST:
        return None
    places = embedded(np.stack([hidden[name] for name in seen]).astype(np.float64))
    names, groups = _groups(target, fit.family, np.stack([truth[name] for name in seen]))
    return None if places is None else Cloud(places, groups, names, of)


def _groups(target: Target, family: str, truth: Array) -> tuple[tuple[str, ...], Array]:
    """Names of groups and the number of each utterance's, of truth (n, size)."""
    if target.names:
        return target.names, truth.argmax(axis=1)
    if family == "sims":
        return SIGNS, sims_bins(truth[:, 0], SIMS_3)
    return SIGNS, np.sign(truth[:, 0]).astype(np.int64) + 1


def embedded(hidden: Array) -> Array | None:
    """T-SNE of hidden activations (n, H) in the plane, (n, 2); None where they are all the same.

    Source:
        van der Maaten and Hinton (2008), "Visualizing Data using t-SNE", JMLR 9; scikit-learn's,
        from the first two principal components, at perplexity 30 or a third of n.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    if hidden.shape[1] < 2 or np.ptp(hidden, axis=0).max() < 1e-9:
        return None
    perplexity = min(30.0, (len(hidden) - 1) / 3)
    with threadpool_limits(1):  # the same picture whatever else runs
        made: Array = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(hidden)
    return made


def _maps(run: Run, fit: FitView, ids: Sequence[str]) -> Sequence[AttentionMap]:
    from ...train.attention_maps import attention_maps

    return attention_maps(fit.checkpoint.weights(), fit.checkpoint.meta, _inputs(run, fit, ids))


def _first(run: Run, fit: FitView, among: set[str]) -> str:
    """The first utterance that has every input of a fit; empty: none has."""
    there = np.all([run.states[name].cached for name in run.workflow[fit.name].on], axis=0)
    whole = (name for name, has in zip(run.corpus.ids, there, strict=True) if has)
    return next((name for name in whole if name in among), "")


def _inputs(run: Run, fit: FitView, ids: Sequence[str]) -> list[Input]:
    """A fit's inputs for some utterances, in their order."""
    number = {name: i for i, name in enumerate(run.corpus.ids)}
    node = run.workflow[fit.name]
    assert isinstance(node, Fit)
    refs = []
    for name in node.on:
        there: list[Any] = places(run.store, run.states[name])
        kept = tuple(there[number[one]] for one in ids)
        encoder = run.workflow.encoder(node, name)
        refs.append(InputRef(name, run.workflow.modality(name), kept, encoder))
    task = EncodeTask(
        str(run.store.root), fit.name, "", fit.checkpoint.fingerprint, {}, tuple(ids), (),
        tuple(refs), allow_mixed=True,
    )  # fmt: skip
    widths = {known["name"]: known["width"] for known in fit.checkpoint.meta["inputs"]}
    return read_inputs(task, run.store, widths, mapped=bool(must_map(task, run.store)))
