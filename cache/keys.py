"""What a node's output was made from, as one fingerprint; what an utterance gave it, as one key.

A key is an origin: the same bytes of media, the same settings and the same weights give the same
key in every corpus and on every machine. Not in it: paths, dates, device, batch size, workers;
an utterance's name only where an extractor looks up by it what others made (``name_digest``).
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import BadInput

#: Bytes of a feature key. 16 random bytes collide once in 10^19 pairs of a billion utterances.
KEY_BYTES = 16
#: Metadata of a dataclass field added after the first release of its class: hashed only when it
#: differs from its default, so that older caches stay valid. Its default is the old behaviour.
ADDED_LATER = {"added_later": True}
#: Made once: a corpus has millions of small values to be said.
_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)
#: Metadata of a field that only says where weights lie (a path, a name on a hub): not hashed,
#: because their content is.
WHERE = {"where": True}


def canonical(value: object) -> bytes:
    """Canonical JSON: sorted keys, no spaces, UTF-8; the same value is always the same bytes.

    Raises:
        BadInput: the value holds something that JSON cannot say exactly (NaN, a set, an object).
    """
    try:
        text = _ENCODER.encode(value)
    except (TypeError, ValueError) as error:
        raise BadInput(f"not expressible as canonical JSON: {error}") from error
    return text.encode()


def settings_of(instance: Any) -> dict[str, Any]:
    """Fields of a frozen dataclass that count towards its fingerprint, as plain JSON values."""
    settings = {}
    for field in dataclasses.fields(instance):
        value = getattr(instance, field.name)
        if field.metadata.get("where"):
            continue
        if field.metadata.get("added_later") and value == field.default:
            continue
        settings[field.name] = _plain(value)
    return settings


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return settings_of(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def fingerprint(description: Mapping[str, Any]) -> str:
    """SHA-256, 64 hex digits, of a node's description.

    The description of an extract holds ``kind``, ``name``, ``version``, ``settings``, ``weights``
    (name to digest) and ``inputs`` (role to fingerprint); those of fits and encodes stand in
    ``workflows/graph.py``.
    """
    return hashlib.sha256(canonical(description)).hexdigest()


def text_digest(text: str) -> bytes:
    """SHA-256 of a transcript."""
    return hashlib.sha256(b"text\0" + text.encode()).digest()


def name_digest(id: str, media: str | None) -> bytes:
    """SHA-256 of what an utterance and its media file (with its folder) are called."""
    path = Path(media or "")
    return hashlib.sha256(b"name\0" + canonical([id, path.parent.name, path.stem])).digest()


def segment_digest(media: bytes, start: float | None, end: float | None) -> bytes:
    """SHA-256 of a media file's digest and the segment used of it.

    No start is the same as a start of 0; no end is the end of the file.
    """
    return hashlib.sha256(b"media\0" + media + _span(start, end)).digest()


@functools.lru_cache(maxsize=1)  # most corpora cut no file into segments
def _span(start: float | None, end: float | None) -> bytes:
    return canonical([float(start or 0.0), None if end is None else float(end)])


def feature_key(node: str, contents: Sequence[bytes]) -> bytes:
    """Key of one utterance's features at one node: 16 bytes.

    Args:
        node: the node's fingerprint, 64 hex digits.
        contents: digests of what the utterance gives the node, in a fixed order (media segment
            before transcript before name; for an encode, its inputs' keys).
    """
    hasher = hashlib.sha256(bytes.fromhex(node))
    for content in contents:
        hasher.update(len(content).to_bytes(2, "big") + content)
    return hasher.digest()[:KEY_BYTES]
