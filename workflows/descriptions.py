"""What the output of each node was made from, and the keys that follow: nothing is read here.

The digest of a description is the node's fingerprint.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ..cache.keys import feature_key, name_digest, segment_digest, settings_of, text_digest
from ..cache.records import Utterance
from ..cache.statistics import describe
from ..extract.base import Needs
from ..train.pca import PCA_VERSION
from ..train.training import LOOP_VERSION
from .nodes import PCA, Encode, Fit, Reduce

#: Of how a stream is decoded, where it is not the first way: raise it when a file gives others.
STREAM_VERSIONS = {"frames": 2}


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


def encode_description(node: Encode, digest: str, inputs: Mapping[str, str]) -> dict[str, Any]:
    """What an encode's output is made from: the content of a checkpoint, not how it came to be.

    What it gives, and in which dtype, was added later: the first ways are not told.

    Args:
        node: the encode.
        digest: of the checkpoint: its fit's fingerprint and its weights.
        inputs: input name -> fingerprint.
    """
    later = {"gives": Encode.gives, "dtype": Encode.dtype}
    told = {name: getattr(node, name) for name, first in later.items()}
    return {
        "kind": "encode",
        "checkpoint": digest,
        "inputs": dict(inputs),
        **{name: value for name, value in told.items() if value != later[name]},
    }


def fit_description(
    node: Fit,
    inputs: Mapping[str, str],
    table: str,
    family: str,
    modalities: Mapping[str, str],
    start: str = "",
    labels: str = "",
) -> dict[str, Any]:
    """What a fit is made from.

    Args:
        node: the fit.
        inputs: input name -> fingerprint.
        table: digest of its joined table: utterances, splits, labels, feature keys present.
        family: metric family; early stopping looks at it.
        modalities: of inputs that a fit has encoded, where they are not ``fused`` as all once were.
        start: digest of the checkpoint that it starts from; empty: of none.
        labels: fingerprint of the node that makes its labels; empty: they are the corpus'.
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
        **({"modalities": dict(modalities)} if modalities else {}),
        **({"start": start} if start else {}),
        **({"labels": labels} if labels else {}),
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
