"""What a worker trains: one fit."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..cache import checkpoints, statistics
from ..cache.address import folder_of
from ..cache.checkpoints import Checkpoint
from ..cache.courses import Course
from ..cache.errors import CacheError, TrainingError
from ..cache.records import ArraySpec
from ..cache.statistics import Statistic
from ..cache.store import FeatureStore, Place
from ..cache.table import concat
from ..train.course import Parted
from ..train.training import Training
from .code_version import code_version
from .machine import memory, n_threads
from .made_labels import made_labels
from .news import EpochNews
from .spending import most_memory

if TYPE_CHECKING:
    from ..extract.base import Extractor
    from ..train.dataset import Dataset
    from ..train.starting import Parent
    from .encoding import EncodeTask

#: Features stay on the disk, and are read batch by batch, where a task's tables would together
#: take more than memory / MAPPED_FROM: copied, made float32, padded and split they take several
#: times that, and other workers want some too. Pictures count as float16, for a copy of either
#: takes as much.
MAPPED_FROM, LEAST = 16, 2


@dataclass(frozen=True)
class InputRef:
    """Features of one input for all utterances of a table: where each lies, None where missing.

    Args:
        name: the node's.
        modality: what a model takes it for.
        places: of each utterance.
        encoder: what made it, where the model trains the layers above (``Workflow.encoder``).
    """

    name: str
    modality: str
    places: tuple[Place | None, ...]
    encoder: Extractor | None = None


@dataclass(frozen=True)
class FitTask:
    """One fit: everything it learns from, by place.

    Args:
        statistics: input name -> what the statistic is made from that says how many rows of it
            are kept; an input without one goes by ``training.length`` alone.
        stack: the stack of seeds that is to be fitted alone, where there are several: see
            ``train.fit.fit``. None: all.
        start: name and fingerprint of the fit that it starts from; None: of none.
        domains: which of several corpora each utterance is from; None: all are of one.
        made: the node whose columns those tasks are that have no labels here; None: there is none.
        maker: what made them.
    """

    root: str
    node: str
    fingerprint: str
    description: Mapping[str, Any]
    settings: Any
    training: Training
    tasks: tuple[str, ...]
    family: str
    ids: tuple[str, ...]
    splits: tuple[str, ...]
    labels: Mapping[str, np.ndarray[Any, Any]]
    inputs: tuple[InputRef, ...]
    statistics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    device: str = "cpu"
    allow_mixed: bool = False
    stack: int | None = None
    start: tuple[str, str] | None = None
    domains: tuple[str, ...] | None = None
    made: InputRef | None = None
    maker: Extractor | None = None

    @property
    def name(self) -> str:
        """Name of its claim."""
        return self.fingerprint[:32] + (f"-{self.stack}" if self.stack else "")

    @property
    def wants_gpu(self) -> bool:
        """Whether it computes on a GPU."""
        return self.device.startswith("cuda")

    @property
    def n(self) -> int:
        """One checkpoint is to be made."""
        return 1


@dataclass(frozen=True)
class Begun:
    """One of several stacks of seeds of a fit is done: the others can be fitted beside each other.

    Args:
        stacks: how many there are.
    """

    stacks: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trained:
    """What a fit came to: digest of its checkpoint, and what a user should know of how.

    Also the bytes of memory that its worker held at most so far.
    """

    digest: str
    notes: tuple[str, ...] = ()
    memory: int = 0


def must_map(task: FitTask | EncodeTask, store: FeatureStore) -> str:
    """Why a task's features are to stay on the disk, in a sentence; empty: they fit into memory."""
    limit = memory() // MAPPED_FROM
    if sum(store.table_bytes(ref.places, least=LEAST) for ref in task.inputs) <= limit:
        return ""
    return (
        f"'{task.node}' reads its features from the disk, batch by batch: as tables they would "
        f"take more than {limit / 1e9:.3g} GB, 1/{MAPPED_FROM} of this machine's memory"
    )


def read_inputs(
    task: FitTask | EncodeTask, store: FeatureStore, widths: Mapping[str, int], mapped: bool
) -> list[Any]:
    """Bulk-read what a model reads, as ``train.dataset.Input``.

    Args:
        task: the fit or encode.
        store: where its features lie.
        widths: columns of each input as far as a checkpoint knows them: an input that none of
            these utterances has is then a masked one.
        mapped: leave the features on the disk; see ``must_map``.

    Raises:
        TrainingError: none of the utterances has an input whose width is not known.
    """
    from ..extract.cut import upper_of
    from ..train.dataset import Input

    inputs = []
    for ref in task.inputs:
        if any(ref.places):
            table = store.table(task.ids, ref.places, allow_mixed=task.allow_mixed, mapped=mapped)
        elif ref.name in widths:
            table = concat(task.ids, [None] * len(task.ids), ArraySpec((widths[ref.name],)))
        else:
            raise TrainingError(
                f"node '{task.node}' cannot learn from '{ref.name}': it could not be made for any "
                f"of {len(task.ids)} utterances. See its failures, or leave it out of 'on'"
            )
        encoder = upper_of(ref.encoder) if ref.encoder else None
        inputs.append(Input(ref.name, ref.modality, table, encoder))
    return inputs


def length_statistics(task: FitTask, data: Dataset) -> dict[str, Statistic]:
    """The length rule's statistic of each input: read where another fit made it, else made."""
    from ..train.dataset import length_statistic

    found: dict[str, Statistic] = {}
    train = data.rows("train")
    for given in data.inputs:
        if given.name not in task.statistics:
            continue
        description = task.statistics[given.name]
        made = statistics.load(folder_of(task.root), description)
        if made is None:
            lengths = given.table.lengths[train]
            values = length_statistic(lengths, float(description["settings"]["factor"]))
            made = Statistic(description, values)
            statistics.publish(folder_of(task.root), made)
        found[given.name] = made
    return found


def checkpoint_for(task: FitTask | EncodeTask, fingerprint: str) -> Checkpoint:
    """The checkpoint of another fit, which a task goes on from.

    Raises:
        CacheError: it was there when the run was planned, and is no more.
    """
    found = checkpoints.load(folder_of(task.root), fingerprint)
    if found is None:
        raise CacheError(
            f"node '{task.node}': the checkpoint {fingerprint[:12]} is gone; run again"
        )
    return found


def parent_of(task: FitTask) -> Parent | None:
    """The fit that a task starts from; None: it starts from random weights."""
    from ..train.starting import Parent

    if task.start is None:
        return None
    name, fingerprint = task.start
    found = checkpoint_for(task, fingerprint)
    return Parent(name, found.weights(), found.meta)


def make_fit(task: FitTask, progress: Callable[..., None] | None = None) -> Trained | Begun:
    """Train, publish the checkpoint (or find that another won); of a part, leave it to be found.

    After epochs, news of it is told (``news``).

    Args:
        task: the fit.
        progress: called after each epoch too (``train.course.Progress``).
    """
    from ..train import fit as training
    from ..train.dataset import join

    begin = time.perf_counter()
    store = FeatureStore(task.root)
    course = Course(folder_of(task.root), task.fingerprint)
    note = must_map(task, store)
    inputs = read_inputs(task, store, {}, mapped=bool(note))
    labels = {**task.labels, **made_labels(task, store)}
    data = join(task.ids, task.splits, labels, inputs, task.domains)
    found = length_statistics(task, data)
    news = EpochNews(task.node, len(task.training.seeds))

    def told(*epoch: Any) -> None:
        news(*epoch)
        if progress is not None:
            progress(*epoch)

    try:
        fitted = training.fit(
            task.settings,
            task.training,
            data,
            task.tasks,
            task.family,
            device=task.device,
            lengths={name: int(one.values["rows"]) for name, one in found.items()},
            keeper=course,
            progress=told,
            stack=task.stack,
            parent=parent_of(task),
        )
    except Parted as parted:
        return Begun(parted.stacks)
    meta = {
        **fitted.meta,
        "statistics": {
            name: {"fingerprint": one.fingerprint, **one.values} for name, one in found.items()
        },
        "description": dict(task.description),
        "seconds": time.perf_counter() - begin,
        "threads": n_threads(),
        "code": code_version(),
        "mapped": bool(note),
    }
    published = checkpoints.publish(
        folder_of(task.root), task.fingerprint, fitted.weights, meta, fitted.predictions
    )
    course.forget()
    notes = [f"'{task.node}': {told}" for told in fitted.meta["notes"]]
    return Trained(published.digest, (*([note] if note else []), *notes), most_memory())
