"""What happened in a run: immutable JSON records under ``runs/<run>/``, written like shards.

A record is never changed: a second one under another name supersedes it. Numbers may be NaN or
infinite and come back as they were (Python's JSON says ``NaN``).
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from .errors import BadCall, BadInput, CacheError, Damaged
from .publish import publish

_FAILURES = "failures"
_WARNINGS = "warnings"


@dataclass(frozen=True)
class Failure:
    """An utterance whose features could not be made.

    Args:
        utterance: its id.
        node: the node's name in the recipe.
        fingerprint: the node's fingerprint.
        key: key of the features that are missing, hex.
        error: type of the error.
        message: what it said.
        traceback: where it happened; empty for errors that explain themselves.
        transient: trying again may help (a full disk, a lost worker).
    """

    utterance: str
    node: str
    fingerprint: str
    key: str
    error: str
    message: str
    traceback: str = ""
    transient: bool = False


@dataclass(frozen=True)
class Warned:
    """Something a user should know of an utterance's features, though they could be made.

    Args:
        utterance: its id.
        node: the node's name in the recipe.
        fingerprint: the node's fingerprint.
        key: key of the features, hex.
        message: what the extractor said.
    """

    utterance: str
    node: str
    fingerprint: str
    key: str
    message: str


def write_record(root: Path, run: str, name: str, record: Mapping[str, Any]) -> Path:
    """Write one record of a run.

    Raises:
        BadInput: the record holds something that JSON cannot say.
        CacheError: the run has another record of this name; records are never changed.
        StoreFull: the file system has no room.
        StoreReadOnly: the file system refuses to be written to.
    """
    path = run_folder(root, run) / f"{_escape(name)}.json"
    try:
        text = json.dumps(record, sort_keys=True, ensure_ascii=False, indent=1)
    except (TypeError, ValueError) as error:
        raise BadInput(f"record '{name}' cannot be written as JSON: {error}") from error
    image = text.encode() + b"\n"
    if not publish(path, image) and path.read_bytes() != image:
        raise CacheError(f"{path} is written already, and a run's records are never changed")
    return path


def read_records(root: Path, run: str, prefix: str = "") -> dict[str, dict[str, Any]]:
    """Records of a run whose name begins with ``prefix``, by name, sorted by name.

    Raises:
        Damaged: a record is not JSON.
    """
    found = {}
    for path in record_paths(root, run):
        name = unquote(path.name.removesuffix(".json"))
        if name.startswith(prefix):
            found[name] = _read(path)
    return found


def record_paths(root: Path, run: str) -> list[Path]:
    """Files of a run's records, sorted."""
    return sorted(run_folder(root, run).glob("[!.]*.json"))


def run_names(root: Path) -> list[str]:
    """Runs that have records, sorted by name."""
    folders = (root / "runs").glob("[!.]*")
    return sorted(unquote(path.name) for path in folders if path.is_dir())


def write_failures(root: Path, run: str, failures: Iterable[Failure]) -> Path | None:
    """Record failures of a run; None where there are none. May be called many times in a run."""
    rows = [asdict(failure) for failure in failures]
    if not rows:
        return None
    name = f"{_FAILURES}-{time.time_ns():020d}-{secrets.token_hex(4)}"
    return write_record(root, run, name, {"failures": rows})


def read_failures(root: Path) -> dict[tuple[str, bytes], Failure]:
    """The latest failure of each (node fingerprint, key) over all runs.

    A key that was made since stays in here: ask the store whether it is cached.

    Raises:
        Damaged: a record cannot be read.
    """
    found: dict[tuple[str, bytes], Failure] = {}
    paths = (root / "runs").glob(f"[!.]*/{_FAILURES}-*.json")
    for path in sorted(paths, key=lambda path: path.name):  # the name begins with the time
        try:
            for row in _read(path)["failures"]:
                failure = Failure(**row)
                found[failure.fingerprint, bytes.fromhex(failure.key)] = failure
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(path, error) from error
    return found


def write_warnings(root: Path, run: str, node: str, warnings: Iterable[Warned]) -> Path | None:
    """Record warnings of a run about features of one node; None where there are none.

    Args:
        root: folder of the store.
        run: name of the run.
        node: the node's fingerprint, 64 hex digits; it stands in the record's name, so that a run
            reads the records of its own nodes only.
        warnings: all those of a key together: a later record of the key supersedes this one.
    """
    rows = [asdict(warned) for warned in warnings]
    if not rows:
        return None
    name = f"{_WARNINGS}-{node[:16]}-{time.time_ns():020d}-{secrets.token_hex(4)}"
    return write_record(root, run, name, {"warnings": rows})


def read_warnings(root: Path, node: str) -> dict[bytes, list[Warned]]:
    """Warnings about the features of one node by key, over all runs.

    Raises:
        Damaged: a record cannot be read.
    """
    found: dict[bytes, list[Warned]] = {}
    paths = (root / "runs").glob(f"[!.]*/{_WARNINGS}-{node[:16]}-*.json")
    for path in sorted(paths, key=lambda path: path.name):
        latest: dict[bytes, list[Warned]] = {}
        try:
            for row in _read(path)["warnings"]:
                warned = Warned(**row)
                if warned.fingerprint == node:
                    latest.setdefault(bytes.fromhex(warned.key), []).append(warned)
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(path, error) from error
        found.update(latest)
    return found


def run_folder(root: Path, run: str) -> Path:
    """Where a run's records lie."""
    return root / "runs" / _escape(run)


def _escape(name: str) -> str:
    """A name as a file name: no separators, no leading dot."""
    if not name:
        raise BadCall("a run and its records need a name, got an empty one")
    return re.sub(r"^\.", "%2E", quote(name, safe=" "))


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_bytes())
        if not isinstance(record, dict):
            raise ValueError(f"holds {type(record).__name__}, not an object")
    except ValueError as error:
        raise _damaged(path, error) from error
    return record


def _damaged(path: Path, error: Exception) -> Damaged:
    return Damaged(f"record {path} is damaged ({error!r}): delete it; features are not affected")
