"""What others put into an object store, as stand-ins and records in the working folder."""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from .away import is_there, keep, leave_stand_in, named, stand_in, stat_of
from .errors import CacheError
from .mirror import BULKY, CHECKPOINT, IDENTITY, Mirror, mirror_at
from .names import NAMES
from .remote import Entry, each

_log = logging.getLogger(__name__)
#: Bytes of a record, and of any object, at most: nothing that was written here is larger.
RECORD, OBJECT = 1 << 28, 1 << 40


def pull(root: Path, shards: Collection[str] | None = None) -> None:
    """Bring a working folder in line with its object store; any other folder stays as it is.

    Records come whole, of shards and models what stands for them. What is gone there goes here.

    Args:
        root: the folder.
        shards: folders below ``shards/``: only what is in these; None: everything.

    Raises:
        StoreUnreachable: the object store refuses, or does not answer.
    """
    mirror = mirror_at(root)
    if mirror is None:
        return
    folders = [""] if shards is None else [f"shards/{name}" for name in shards]
    for folder in folders:
        known = set(_local(root, folder))  # first: whatever is here is there already
        _align(mirror, known, mirror.remote.listing(folder))


def _local(root: Path, folder: str) -> Iterator[str]:
    """Names of files here that belong into the object store, here or away."""
    for place, _, files in os.walk(root / folder):
        for path in named(Path(place) / name for name in files):
            name = path.relative_to(root).as_posix()
            if NAMES.fullmatch(name):
                yield name


def _align(mirror: Mirror, known: set[str], there: Mapping[str, Entry]) -> None:
    """Take what is new there, drop what is gone there."""
    for name in known:
        record = name.rpartition("/")[0] + f"/{CHECKPOINT}"
        if name not in there and not (name.rpartition("/")[2] in BULKY and record in there):
            (mirror.root / name).unlink(missing_ok=True)
            stand_in(mirror.root / name).unlink(missing_ok=True)
            if name == record:  # nothing is left of the checkpoint
                shutil.rmtree((mirror.root / name).parent, ignore_errors=True)
    new = [name for name, entry in there.items() if _is_new(mirror, known, name, entry)]
    each(lambda name: _take(mirror, name, there[name]), [n for n in new if not _is_part(n)])
    for name in filter(_is_part, new):  # after the records that say whether they count
        _take_part(mirror, name, there[name])


def _is_new(mirror: Mirror, known: set[str], name: str, entry: Entry) -> bool:
    if name == IDENTITY:
        return not (mirror.root / name).exists()
    ours = NAMES.fullmatch(name) and name.rpartition("/")[2] not in BULKY
    if not ours and not _is_part(name):
        return False  # nothing that was written here
    if entry.bytes > (RECORD if name.endswith(".json") else OBJECT):
        _log.warning("passed over: '%s' of '%s' has %d bytes", name, mirror.remote.url, entry.bytes)
        return False
    if name.endswith(".h5") and name in known:
        return stat_of(mirror.root / name).st_size != entry.bytes  # a damaged one was replaced
    return name not in known


def _is_part(name: str) -> bool:
    """Whether an object is a checkpoint's file whose name ends with its digest."""
    path, _, digest = name.rpartition(".")
    bulky = path.rpartition("/")[2] in BULKY and NAMES.fullmatch(path)
    return bool(bulky and re.fullmatch("[0-9a-f]{64}", digest))


def _take(mirror: Mirror, name: str, entry: Entry) -> None:
    path = mirror.root / name

    def read(at: int, n: int) -> bytes:
        return mirror.remote.read(name, at, at + n)

    try:
        if name.endswith(".json"):
            image = mirror.remote.read(name)
            keep(path, lambda part: part.write_bytes(image), entry.made)
        else:
            leave_stand_in(path, entry.bytes, read, entry.made)
    except FileNotFoundError:
        return  # removed a moment ago
    if path.name == CHECKPOINT:
        os.utime(path.parent, (entry.made, entry.made))


def _take_part(mirror: Mirror, name: str, entry: Entry) -> None:
    """Leave a stand-in for a checkpoint's file, if the checkpoint's record names it."""
    path = mirror.root / name.rpartition(".")[0]
    try:
        counts = mirror.digest_of(path) == name.rpartition(".")[2]
    except (CacheError, FileNotFoundError):
        return  # damaged, which `verify` says; or the rest of one that was never finished
    if counts and not is_there(path):
        leave_stand_in(path, entry.bytes, lambda at, n: b"", entry.made)
        os.utime(path.parent, (entry.made, entry.made))
