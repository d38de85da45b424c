"""The four kinds of node; nothing is run here.

``Extract`` makes features of one utterance and never sees a label. ``Fit`` trains on cached
features and labels. ``Encode`` applies a fitted checkpoint to cached features. ``Reduce`` makes
fewer columns of cached features, by what the training split's are like; it sees no label either.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import metadata

from ..cache.errors import BadCall, unknown
from ..cache.folds import Fold
from ..cache.labels import CLASSES, DIMENSIONS, SENTIMENT
from ..extract.base import Extractor
from ..train.settings.base import FUSED, LETTERS, SOFT, ModelSettings
from ..train.training import GIVES, Training, task_faults
from .retrain_rule import Retrain
from .search import Space

#: What an utterance can give a node, in the order in which it enters a key.
CONTENTS = ("media", "text", "name")
STREAM_CONTENT = {"audio": "media", "frames": "media", "text": "text", "name": "name"}
#: The one way to reduce features, as recipes call it.
PCA = "pca"
#: In which an encode's features may be stored.
STORED = ("float32", "float16")
#: Settings of a fit that name nodes which it needs to be trained, and not to predict.
FOR_TRAINING = {
    "start": "the fit from whose weights it starts",
    "labels_from": "the node that makes its labels",
}
#: Distributions that make a stream of a media file.
STREAM_LIBRARIES = {"audio": ("av", "soxr"), "frames": ("av",)}


@dataclass(frozen=True)
class Extract:
    """Media, text or upstream features in, features out; one utterance at a time.

    Args:
        name: the node's name in its recipe.
        extractor: what is computed, with its settings.
        on: role that the extractor asks for -> name of the node that fills it.
        corpora: of several that a recipe runs on, the names of those whose utterances it is run on;
            of others they are masked. Empty: all.
    """

    name: str
    extractor: Extractor
    on: Mapping[str, str] = field(default_factory=dict)
    corpora: tuple[str, ...] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the nodes this one reads."""
        return tuple(self.on.values())

    @property
    def what(self) -> str:
        """Registry name of what runs here."""
        return self.extractor.name

    def libraries(self) -> dict[str, str]:
        """Versions of the libraries that compute; recorded beside features, not in their key.

        Those that decode and resample the media that it reads are among them.
        """
        names = set(self.extractor.used_libraries())
        for stream in self.extractor.needs.streams:
            names.update(STREAM_LIBRARIES.get(stream, ()))
        return {name: _version(name) for name in sorted(names)}


@cache  # asked for each shard; the version that was imported does not change
def _version(library: str) -> str:
    return metadata.version(library)


@dataclass(frozen=True)
class Fit:
    """Cached features and labels in; a checkpoint, predictions and metrics out.

    Args:
        name: the node's name in its recipe.
        model: registry name of the model.
        settings: the model's own settings (a frozen dataclass with a ``version``).
        training: how it is trained; all of it counts towards the fingerprint.
        on: names of the nodes whose features it reads.
        tasks: label columns that it learns; the last one is the main one.
        search: settings that a sweep tries; a run takes those above as they stand.
        retrain: when the fits whose encodings it reads are trained again; None: never.
        start: name of the fit from whose weights it starts (``train.starting``); empty: from
            random ones.
        corpora: of several that a recipe runs on, the names of those that it learns from; empty:
            all.
        labels_from: name of an extract with a row an utterance, whose columns its tasks are where
            they are no label columns of corpora (``made_tasks``); empty: all are those.
        fold: whose splits it is trained and tested on; None: the corpus' own.

    Raises:
        BadCall: it reads a node twice, or its training does not go with its tasks.
    """

    name: str
    model: str
    settings: ModelSettings
    training: Training
    on: tuple[str, ...]
    tasks: tuple[str, ...]
    modality: str = "model"
    search: Space = field(default_factory=dict)
    retrain: Retrain | None = None
    start: str = ""
    corpora: tuple[str, ...] = ()
    labels_from: str = ""
    fold: Fold | None = None

    def __post_init__(self) -> None:
        twice = [name for name, n in Counter(self.on).items() if n > 1]
        faults = [f"'on' names {', '.join(twice)} twice: once is enough"] if twice else []
        again = [name for name, n in Counter(self.corpora).items() if n > 1]
        faults += [f"'corpora' names {', '.join(again)} twice: once is enough"] if again else []
        faults += task_faults(self.training, self.tasks)
        if faults:
            raise BadCall("\n".join(faults))

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the nodes this one reads, those that it needs to be trained last."""
        return (*self.on, *filter(None, (getattr(self, name) for name in FOR_TRAINING)))

    def predicting(self) -> Fit:
        """The fit without the nodes that it needs to be trained, and not to predict."""
        return replace(self, start="", labels_from="")

    @property
    def made_tasks(self) -> tuple[str, ...]:
        """Tasks whose labels the node ``labels_from`` makes: those that no corpus has labels of."""
        known = (*SENTIMENT, *DIMENSIONS, *CLASSES)
        return tuple(task for task in self.tasks if self.labels_from and task not in known)

    @property
    def what(self) -> str:
        """Registry name of what runs here."""
        return self.model


@dataclass(frozen=True)
class Encode:
    """What a fitted model makes of each utterance, as features of their own.

    Args:
        name: the node's name in its recipe.
        of: the fit whose winning checkpoint is applied, by its seed that validation chose.
        on: the features it is applied to: those that the fit was trained on.
        gives: ``hidden``, the last hidden layer; ``scores``, what the fit predicts (a column a
            value, or the probability of a class: ``emotion=happy``); ``rows``, the model's own
            rows, with the times of the input that they follow. See ``train.encoding.encoded``.
        dtype: ``float32`` or ``float16``, in which they are stored.
        fold: that of its fit.

    Raises:
        UnknownName: there is no such thing to give, or no such dtype.
    """

    name: str
    of: str
    on: tuple[str, ...]
    gives: str = "hidden"
    dtype: str = "float32"
    fold: Fold | None = None

    def __post_init__(self) -> None:
        if self.gives not in GIVES:
            raise unknown("thing that an encode gives", str(self.gives), GIVES)
        if self.dtype not in STORED:
            raise unknown("dtype of an encode", str(self.dtype), STORED)

    def modality_on(self, given: Collection[str]) -> str:
        """What its features are for a fusion model, by the modalities that its fit reads.

        Those of a single text, audio or vision input are still that; what is predicted is ``soft``.
        """
        if self.gives == "scores":
            return SOFT
        (first, *others) = {*given} or {FUSED}
        return first if first in LETTERS and not others else FUSED

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the nodes this one reads."""
        return (self.of, *self.on)

    @property
    def what(self) -> str:
        """What runs here."""
        return f"encode {self.of}"


@dataclass(frozen=True)
class Reduce:
    """Features with fewer columns and the same rows: their principal components.

    The components are a statistic of the training split's real rows, fitted without labels;
    they are then applied to all utterances.

    Args:
        name: the node's name in its recipe.
        on: the extract whose features are reduced, alone.
        columns: principal components that are kept.
        fold: whose training split they are of; None: the corpus' own.
    """

    name: str
    on: tuple[str, ...]
    columns: int
    fold: Fold | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the nodes this one reads."""
        return self.on

    @property
    def what(self) -> str:
        """What runs here."""
        return PCA


Node = Extract | Fit | Encode | Reduce


def kind_of(node: Node) -> str:
    """What recipes call its kind: ``extract``, ``fit``, ``encode`` or ``reduce``."""
    return type(node).__name__.lower()


def stage_of(node: Node) -> str:
    """With which kind of node it is made: what needs no labels is made with the extracts."""
    return "extract" if isinstance(node, Reduce) else kind_of(node)
