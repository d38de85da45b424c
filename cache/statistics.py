"""Statistics of a corpus: fits without labels, on the training split; small immutable records.

A statistic is found again by what it was made from: its rule and settings, the node whose features
it looked at, and the keys of the training split's features. Fits that read the same features by
the same rule share it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import Damaged
from .keys import canonical, fingerprint
from .layout import node_name
from .publish import publish as publish_file


@dataclass(frozen=True)
class Statistic:
    """A few numbers about the training split's features of one node.

    Args:
        description: what it was made from; see ``describe``.
        values: the numbers, by name.
    """

    description: Mapping[str, Any]
    values: Mapping[str, float]

    @property
    def fingerprint(self) -> str:
        """Digest of what it was made from, 64 hex digits."""
        return fingerprint(self.description)


def describe(
    name: str, version: int, settings: Mapping[str, Any], node: str, keys: Iterable[bytes]
) -> dict[str, Any]:
    """What a statistic is made from; its digest is the statistic's fingerprint.

    Args:
        name: of the rule, such as ``length``.
        version: raised when the same settings and features give other numbers.
        settings: of the rule.
        node: fingerprint of the node whose features are looked at.
        keys: of the training split's features, in any order; one that stands twice counts twice.
    """
    table = hashlib.sha256(b"".join(sorted(keys))).hexdigest()
    return {
        "kind": "statistic",
        "name": name,
        "version": version,
        "settings": dict(settings),
        "inputs": {"features": node},
        "table": table,
    }


def load(root: Path, description: Mapping[str, Any]) -> Statistic | None:
    """The statistic that was made from this, or None.

    Raises:
        Damaged: its record cannot be read, or is another's.
    """
    path = _path(root, fingerprint(description))
    try:
        record = json.loads(path.read_bytes())
        found = Statistic(record["description"], dict(record["values"]))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise Damaged(f"{path} is damaged ({error!r}): delete it, it is made anew") from error
    if canonical(found.description) != canonical(dict(description)):
        raise Damaged(f"{path} holds another statistic: delete it, it is made anew")
    return found


def publish(root: Path, made: Statistic) -> None:
    """Write a statistic, unless it is written.

    Raises:
        StoreFull: the file system has no room.
        StoreReadOnly: the file system refuses to be written to.
    """
    record = {"description": dict(made.description), "values": dict(made.values)}
    publish_file(_path(root, made.fingerprint), canonical(record) + b"\n")


def _path(root: Path, mark: str) -> Path:
    return root / "statistics" / f"{node_name(mark)}.json"
