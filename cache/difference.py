"""What tells two nodes or fits apart; why something is not cached.

The answer to the second is how the nearest thing that is cached differs from it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .checkpoints import checkpoint_names
from .errors import BadCall, Damaged, unknown
from .layout import node_name, node_names

#: Descriptions that this process has read, by path; none ever changes.
_read: dict[Path, Mapping[str, Any]] = {}
_ABSENT = "(absent)"
#: Digests that say nothing to a reader: what it means that they differ.
_WORDS = {
    "table": "the labels, splits or features at hand have changed",
    "checkpoint": "the fit has changed",
    "start": "the weights that it starts from have changed",
    "labels": "the node that makes its labels has changed",
}


def why(
    root: Path,
    description: Mapping[str, Any],
    planned: Mapping[str, Mapping[str, Any]] | None = None,
) -> str:
    """Why nothing is cached under a node's description: how the nearest cached one differs.

    ``"rate: 5.0 -> 10.0"``: cached with 5, asked for with 10. Empty where the very same is cached.

    Args:
        root: folder of the store.
        description: what the node's fingerprint is made from; of an extract, encode or fit.
        planned: descriptions by fingerprint of inputs that may not be cached yet.

    Raises:
        Damaged: a stored description cannot be read.
    """
    kind, name = description.get("kind"), description.get("name")
    stored = descriptions(root)
    cached = {*node_names(root), *checkpoint_names(root)}
    alike = [
        other
        for mark, other in stored.items()
        if (other.get("kind"), other.get("name")) == (kind, name)
        and not cached.isdisjoint((mark, node_name(mark)))
    ]
    if not alike:
        return f"nothing of '{name or kind}' is cached"
    known = {**stored, **(planned or {})}
    lists = [_differences(other, description, known) for other in alike]
    nearest = sorted(lists, key=lambda found: (len(found), found))[0]
    return ", ".join(nearest)


def between(root: Path, one: str, other: str) -> list[str]:
    """In what two nodes or fits differ, in words: ``"rate: 5.0 -> 10.0"``; empty where in nothing.

    Args:
        root: folder of the store.
        one: beginning of a fingerprint.
        other: beginning of another one.

    Raises:
        UnknownName: nothing was ever made here whose fingerprint begins so.
        BadCall: several things were, or the two are not of one kind.
        Damaged: a stored description cannot be read.
    """
    known = descriptions(root)
    old, new = known[one_of(known, one)], known[one_of(known, other)]
    if old.get("kind") != new.get("kind"):
        told = [f"'{d.get('name', '')}' is of kind '{d.get('kind')}'" for d in (old, new)]
        raise BadCall(f"these have no settings in common: {', '.join(told)}")
    return _differences(old, new, known)


def descriptions(root: Path) -> dict[str, Mapping[str, Any]]:
    """What each node and fit is made from, by fingerprint; also where what it made is gone."""
    found: dict[str, Mapping[str, Any]] = {}
    for path in sorted((root / "nodes").glob("[0-9a-f]*.json")):
        if path not in _read:
            try:
                _read[path] = json.loads(path.read_bytes())
            except ValueError as error:
                raise Damaged(
                    f"{path} is damaged ({error}): delete it; the features are not affected"
                ) from error
        found[path.stem] = _read[path]
    return found


def _differences(
    cached: Mapping[str, Any], asked: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Each leaf in which two descriptions differ, in words."""
    old, new = dict(_leaves(cached)), dict(_leaves(asked))
    found = []
    for path in sorted(set(old) | set(new)):
        before, after = old.get(path, _ABSENT), new.get(path, _ABSENT)
        if before == after and type(before) is type(after):
            continue
        kind, *rest = path
        if kind == "inputs" and rest:
            found += _input(".".join(rest), before, after, known)
        elif kind in _WORDS:
            found.append(_WORDS[kind])
        else:
            prefix = "weights " if kind == "weights" else ""
            found.append(f"{prefix}{'.'.join(rest) or kind}: {_short(before)} -> {_short(after)}")
    return found


def _input(name: str, before: str, after: str, known: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """How one input changed, from its fingerprints: in its settings where both are known."""
    if before == _ABSENT:
        return [f"input {name} is new"]
    if after == _ABSENT:
        return [f"input {name} is gone"]
    if before in known and after in known:
        return [f"input {name}: {how}" for how in _differences(known[before], known[after], known)]
    return [f"input {name} has changed"]


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _leaves(item, (*path, str(name)))
    else:
        yield path, value


def one_of(fingerprints: Iterable[str], prefix: str) -> str:
    """The one fingerprint that begins with ``prefix``.

    Raises:
        UnknownName: none does.
        BadCall: several do.
    """
    known = sorted(fingerprints)
    found = [fingerprint for fingerprint in known if fingerprint.startswith(prefix)]
    if not found:
        raise unknown("node", prefix, [fingerprint[:12] for fingerprint in known])
    if len(found) > 1:
        raise BadCall(f"'{prefix}' begins {len(found)} fingerprints: give more digits")
    return found[0]


def _short(value: Any) -> str:
    is_digest = isinstance(value, str) and re.fullmatch(r"[0-9a-f]{40,}", value)
    return value[:12] if is_digest else str(value)
