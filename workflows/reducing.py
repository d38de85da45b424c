"""What a worker does for a reduction: fit its components, or apply them to many utterances."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..cache import checkpoints
from ..cache.address import folder_of
from ..cache.errors import BadCall, TrainingError
from ..cache.records import Array, ArraySpec, Features, FeatureSpec
from ..cache.store import FeatureStore
from ..cache.table import BLOCK, FeatureTable
from ..train.pca import fit_components, project
from .batch import Made
from .code_version import code_version
from .encoding import EncodeTask
from .fitting import InputRef, Trained, checkpoint_for
from .machine import n_threads
from .nodes import PCA, Extract, Reduce
from .output import write_shards

if TYPE_CHECKING:
    from .graph import Workflow


@dataclass(frozen=True)
class BasisTask:
    """Principal components: of whose rows, by place.

    Args:
        ids: utterances of the training split that have the features, and no others.
        inputs: the one input, of these utterances.
    """

    root: str
    node: str
    fingerprint: str
    description: Mapping[str, Any]
    columns: int
    ids: tuple[str, ...]
    inputs: tuple[InputRef, ...]
    allow_mixed: bool = False

    @property
    def name(self) -> str:
        """Name of its claim."""
        return self.fingerprint[:32]

    @property
    def n(self) -> int:
        """One set of components is to be made."""
        return 1


@dataclass(frozen=True)
class ReduceTask(EncodeTask):
    """Components, ``fit`` their fingerprint, and the utterances they are applied to."""


def check_reductions(workflow: Workflow) -> None:
    """Refuse, before anything runs, a reduction that no rows of what it reads can give.

    Raises:
        BadCall: a row is not one of numbers, or has fewer columns than are asked for.
    """
    for node in workflow:
        if not isinstance(node, Reduce):
            continue
        upstream = workflow[node.on[0]]
        assert isinstance(upstream, Extract)  # checked when the workflow was made
        shape = workflow.spec(upstream)["values"].shape
        if len(shape) != 1:
            raise BadCall(
                f"node '{node.name}': principal components are taken of rows of numbers, a row of "
                f"'{upstream.name}' ({upstream.what}) has the shape {shape}"
            )
        if node.columns > shape[0]:
            raise BadCall(
                f"node '{node.name}': {node.columns} principal components were asked for of "
                f"'{upstream.name}' ({upstream.what}), which has {shape[0]} columns: set 'columns' "
                f"to {shape[0]} at most"
            )


def make_basis(task: BasisTask) -> Trained:
    """Fit components to the training split's real rows and publish them.

    Raises:
        TrainingError: there are no rows to fit them to, or too few.
    """
    begin = time.perf_counter()
    (ref,) = task.inputs
    if not task.ids:
        raise TrainingError(
            f"node '{task.node}': principal components are fitted on the training split, and none "
            f"of its utterances has '{ref.name}'. Give the corpus a split column with 'train' in "
            "it, or see the failures of that node"
        )
    store = FeatureStore(task.root)
    table = store.table(task.ids, ref.places, allow_mixed=task.allow_mixed, mapped=True)
    try:
        found = fit_components(_real_rows(table), table.values.shape[1], task.columns)
    except TrainingError as error:
        raise TrainingError(f"node '{task.node}' on '{ref.name}': {error}") from error
    weights = {
        "mean": found.mean,
        "directions": found.directions,
        "variances": found.variances,
    }
    meta = {
        "description": dict(task.description),
        "rows": found.n,
        "utterances": len(task.ids),
        "share": found.share,
        "seconds": time.perf_counter() - begin,
        "threads": n_threads(),
        "code": code_version(),
    }
    made = checkpoints.publish(folder_of(task.root), task.fingerprint, weights, meta)
    told = (
        f"'{task.node}': {task.columns} principal components hold {found.share:.1%} of the "
        f"variance of '{ref.name}' in the training split ({found.n} rows of "
        f"{len(task.ids)} utterances)"
    )
    return Trained(made.digest, (told,))


def make_reduced(task: ReduceTask) -> Made:
    """Apply components to utterances, each alone, and publish what comes out."""
    store = FeatureStore(task.root)
    whole = store.published(task.fingerprint, task.keys)
    if whole:
        return Made((whole,))
    weights = checkpoint_for(task, task.fit).weights()
    begin = time.perf_counter()
    (ref,) = task.inputs
    table = store.table(task.ids, ref.places, allow_mixed=task.allow_mixed, mapped=True)
    made = ((key, reduced(weights, table[i])) for i, key in enumerate(task.keys))
    spec = spec_of(len(weights["directions"]))
    shards = write_shards(store, task.fingerprint, made, lambda _: spec, task.origin)
    return Made(tuple(shards), seconds={task.node: time.perf_counter() - begin})


def reduced(weights: Mapping[str, Array], features: Features) -> Features:
    """An utterance's features along the components: the same rows, times and mask."""
    values = project(weights["mean"], weights["directions"], features.values, features.mask)
    columns = spec_of(values.shape[1])["values"].columns
    return Features(values, features.times, columns, features.mask)


def spec_of(columns: int) -> FeatureSpec:
    """The arrays of a reduction to so many columns."""
    names = tuple(f"{PCA}_{i}" for i in range(columns))
    return {"values": ArraySpec((columns,), "float32", names)}


def _real_rows(table: FeatureTable) -> Iterator[Array]:
    """The table's real rows, some megabytes of float64 at a time."""
    step = max(1, BLOCK // (8 * table.values.shape[1]))
    for start in range(0, len(table.values), step):
        rows = slice(start, start + step)
        yield np.asarray(table.values[rows], np.float64)[table.mask[rows]]
