"""Where one utterance's features lie, what they were made from, or why they are not there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import AffectflowError, BadCall
from .layout import existing
from .records import Features
from .runs import Failure, read_failures, read_warnings
from .store import FeatureStore, Place

#: Digits of a key that are asked for at least: fewer would fit to many.
DIGITS = 4


@dataclass(frozen=True)
class Stored:
    """Features that are stored.

    Args:
        node: fingerprint of what made them.
        key: of the features, hex.
        place: shard and row.
        origin: what the shard says that it was made from: description and library versions.
        features: as they are read; None where they are damaged.
        damage: what is wrong with them; empty where nothing is.
        warnings: what was said of the utterance when they were made.
    """

    node: str
    key: str
    place: Place
    origin: Mapping[str, Any]
    features: Features | None
    damage: str
    warnings: tuple[str, ...]


def stored_as(root: Path, digits: str) -> list[Stored]:
    """Features whose key begins with these hex digits, read and checked.

    Raises:
        BadCall: these are no digits of a key.
    """
    if not re.fullmatch(f"[0-9a-f]{{{DIGITS},32}}", digits):
        raise BadCall(
            f"a key has 32 hex digits, of which at least the first {DIGITS} are needed, got "
            f"'{digits}'; an utterance is found by its id with --recipe"
        )
    store = FeatureStore(existing(root))
    try:
        store.adopt()
        return [_stored(store, key, place) for _, key, place in store.beginning(digits)]
    finally:
        store.close()


def failed_as(root: Path, digits: str) -> list[Failure]:
    """The latest failure of each node at keys that begin with these hex digits."""
    found = read_failures(existing(root)).values()
    return [failure for failure in found if failure.key.startswith(digits)]


def _stored(store: FeatureStore, key: bytes, place: Place) -> Stored:
    node, origin = store.made_as(place)
    features, damage = None, ""
    try:
        features = store.read_at(place)
    except AffectflowError as error:
        damage = str(error)
    warned = read_warnings(store.root, node).get(key, ())
    return Stored(
        node, key.hex(), place, origin, features, damage, tuple(one.message for one in warned)
    )
