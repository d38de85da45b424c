"""The four kinds of node, and what the output of each was made from; nothing is run here.

``Extract`` makes features of one utterance and never sees a label. ``Fit`` trains on cached
features and labels. ``Encode`` applies a fitted checkpoint to cached features. ``Reduce`` makes
fewer columns of cached features, by what the training split's are like; it sees no label either.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from typing import Any

from ..cache.errors import BadCall
from ..cache.keys import feature_key, name_digest, segment_digest, settings_of, text_digest
from ..cache.records import Utterance
from ..cache.statistics import describe
from ..extract.base import Extractor, Needs
from ..train.pca import PCA_VERSION
from ..train.settings.base import ModelSettings
from ..train.training import LOOP_VERSION, Training, task_faults
from .search import Space

#: What an utterance can give a node, in the order in which it enters a key.
CONTENTS = ("media", "text", "name")
STREAM_CONTENT = {"audio": "media", "frames": "media", "text": "text", "name": "name"}
#: The one way to reduce features, as recipes call it.
PCA = "pca"
#: Of how a stream is decoded, where it is not the first way: raise it when a file gives others.
STREAM_VERSIONS = {"frames": 2}
#: Distributions that make a stream of a media file.
STREAM_LIBRARIES = {"audio": ("av", "soxr"), "frames": ("av",)}


@dataclass(frozen=True)
class Extract:
    """Media, text or upstream features in, features out; one utterance at a time.

    Args:
        name: the node's name in its recipe.
        extractor: what is computed, with its settings.
        on: role that the extractor asks for -> name of the node that fills it.
    """

    name: str
    extractor: Extractor
    on: Mapping[str, str] = field(default_factory=dict)

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

    def __post_init__(self) -> None:
        twice = [name for name, n in Counter(self.on).items() if n > 1]
        faults = [f"'on' names {', '.join(twice)} twice: once is enough"] if twice else []
        faults += task_faults(self.training, self.tasks)
        if faults:
            raise BadCall("\n".join(faults))

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the nodes this one reads."""
        return self.on

    @property
    def what(self) -> str:
        """Registry name of what runs here."""
        return self.model


@dataclass(frozen=True)
class Encode:
    """Hidden activations of a fitted model, as features of their own.

    Args:
        name: the node's name in its recipe.
        of: the fit whose winning checkpoint is applied.
        on: the features it is applied to: those that the fit was trained on.
    """

    name: str
    of: str
    on: tuple[str, ...]
    modality: str = "fused"

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
    """

    name: str
    on: tuple[str]
    columns: int

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


def basis_description(node: Reduce, features: str, keys: Iterable[bytes]) -> dict[str, Any]:
    """What a reduction's components are made from.

    Args:
        node: the reduction.
        features: fingerprint of the node that it reads.
        keys: of the training split's features there.
    """
    return describe(PCA, PCA_VERSION, {"columns": node.columns}, features, keys)


def reduce_description(node: Reduce, digest: str, inputs: Mapping[str, str]) -> dict[str, Any]:
    """What a reduction's output is made from: as of an encode, the content of its components.

    Args:
        node: the reduction.
        digest: of the components' checkpoint.
        inputs: input name -> fingerprint.
    """
    return {
        "kind": "reduce",
        "name": PCA,
        "version": PCA_VERSION,
        "settings": {"columns": node.columns},
        "checkpoint": digest,
        "inputs": dict(inputs),
    }


def encode_description(digest: str, inputs: Mapping[str, str]) -> dict[str, Any]:
    """What an encode's output is made from: the content of a checkpoint, not how it came to be.

    Args:
        digest: of the checkpoint: its fit's fingerprint and its weights.
        inputs: input name -> fingerprint.
    """
    return {"kind": "encode", "checkpoint": digest, "inputs": dict(inputs)}


def fit_description(
    node: Fit, inputs: Mapping[str, str], table: str, family: str
) -> dict[str, Any]:
    """What a fit is made from.

    Args:
        node: the fit.
        inputs: input name -> fingerprint.
        table: digest of its joined table: utterances, splits, labels, feature keys present.
        family: metric family; early stopping looks at it.
    """
    return {
        "kind": "fit",
        "name": node.model,
        "version": node.settings.version,
        "loop": LOOP_VERSION,
        "settings": settings_of(node.settings),
        "training": settings_of(node.training),
        "tasks": list(node.tasks),
        "inputs": dict(inputs),
        "table": table,
        "family": family,
    }


def decoding_of(needs: Needs) -> dict[str, Any]:
    """What a description says of how the streams that an extractor reads are decoded."""
    found = {name: n for name, n in STREAM_VERSIONS.items() if name in needs.streams}
    return {"decoding": found} if found else {}


def content_digests(
    utterance: Utterance, media: bytes | None, reads: Collection[str]
) -> dict[str, bytes]:
    """Digests of what is read of an utterance; without its media where that file has none."""
    found = {}
    if "media" in reads and media is not None:
        found["media"] = segment_digest(media, utterance.start, utterance.end)
    if "text" in reads:
        found["text"] = text_digest(utterance.text)
    if "name" in reads:
        found["name"] = name_digest(utterance.id, utterance.media)
    return found


def extract_key(node: str, digests: Mapping[str, bytes], contents: Sequence[str]) -> bytes:
    """Key of an utterance's features at an extract node, from the digests of what it reads."""
    return feature_key(node, [digests[content] for content in contents])


def encode_key(node: str, inputs: Sequence[bytes | None]) -> bytes:
    """Key of an utterance's hidden features: changes when an input appears that was missing."""
    return feature_key(node, [b"missing" if key is None else key for key in inputs])
