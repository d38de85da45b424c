"""A working folder of a store whose place of record is an object store.

All of affectflow works on a folder. One with a ``remote.json`` is a working folder: index, leases
and work in progress are its own, and each file that others need (``names.NAMES``) is put into the
object store before it gets its name here. So what an index names is in the object store, whenever
a process is killed. What others put there comes by ``pull.py``, and its bytes by ``away.py``.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from .errors import Damaged
from .names import NAMES
from .remote import Remote

#: What makes a folder a working folder: address of the object store, and bytes of copies at most.
SETTINGS = "remote.json"
IDENTITY = "cache.json"
#: Files of a checkpoint whose names in the object store end with their digests: of two machines
#: that fit the same at once, each may put its own there, and ``checkpoint.json`` says whose counts.
CHECKPOINT = "checkpoint.json"
BULKY = ("weights.safetensors", "predictions.parquet")
_LOCKS = 64


@dataclass(frozen=True)
class Mirror:
    """A working folder and its object store.

    Args:
        root: the folder.
        remote: the object store.
        local_bytes: that copies of what lies there take here at most.
    """

    root: Path
    remote: Remote
    local_bytes: int

    def name_of(self, path: Path) -> str | None:
        """Name in the object store of a file here; None of what stays here.

        Raises:
            Damaged: it is part of a checkpoint whose record cannot be read.
        """
        name = path.relative_to(self.root).as_posix()
        if name == IDENTITY:
            return name
        if not NAMES.fullmatch(name):
            return None
        return f"{name}.{self.digest_of(path)}" if path.name in BULKY else name

    def digest_of(self, path: Path) -> str:
        """SHA-256 that the record beside it promises of a checkpoint's file."""
        record = path.with_name(CHECKPOINT)
        try:
            body = record.read_bytes().partition(b"\n")[2]
            return str(json.loads(body)["files"][path.name])
        except (ValueError, KeyError, TypeError) as error:
            raise Damaged(
                f"{record} of '{self.remote.url}' is damaged ({error!r}): 'affectflow cache prune "
                "--damaged' removes it, and the next run fits it again"
            ) from error

    def offer(self, part: Path, path: Path, replace: bool) -> bool:
        """Put a file where others find it, before it gets its name here.

        Args:
            part: the file, under a temporary name.
            path: its name to be.
            replace: take the place of what is there.

        Returns:
            False where another one's is there, which stays. Shards are named by what they hold, so
            theirs is the same, or damaged: they are always put there.
        """
        name = self.name_of(path)
        if name is None:
            return True
        if replace or path.suffix == ".h5":
            self.remote.upload(part, name)
            return True
        return self.remote.create(name, part.read_bytes())

    def offer_checkpoint(self, part: Path, folder: Path) -> bool:
        """Put a fit's files where others find them, its record last; False: another's is there."""
        name = folder.relative_to(self.root).as_posix()
        for file in (part / one for one in BULKY):
            if file.is_file():
                digest = hashlib.sha256(file.read_bytes()).hexdigest()
                self.remote.upload(file, f"{name}/{file.name}.{digest}")
        return self.remote.create(f"{name}/{CHECKPOINT}", (part / CHECKPOINT).read_bytes())

    def remove(self, path: Path) -> None:
        """Remove a file, or a checkpoint's folder, from the object store."""
        name = path.relative_to(self.root).as_posix()
        if NAMES.fullmatch(f"{name}/{CHECKPOINT}"):
            # The record goes first: without it, nobody asks for the rest.
            self.remote.remove([f"{name}/{CHECKPOINT}"])
            self.remote.remove([f"{name}/{one}" for one in self.remote.listing(name)])
        elif NAMES.fullmatch(name):
            self.remote.remove([name])

    @contextmanager
    def alone(self, path: Path) -> Iterator[None]:
        """Have nobody else of this machine bring the same file meanwhile."""
        folder = self.root / "locks"
        folder.mkdir(exist_ok=True)
        number = int.from_bytes(hashlib.sha256(path.name.encode()).digest()[:2], "big") % _LOCKS
        with open(folder / f"{number:02d}", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def mirror_of(path: Path) -> Mirror | None:
    """The working folder that a path lies in; None where it is in none."""
    return _mirror_of(path.parent)


@lru_cache(maxsize=1 << 14)
def _mirror_of(folder: Path) -> Mirror | None:
    for root in (folder, *list(folder.parents)[:3]):
        if (found := mirror_at(root)) is not None:
            return found
    return None


def mirror_at(root: Path) -> Mirror | None:
    """The working folder that a folder is; None where it is none."""
    try:
        told = json.loads((root / SETTINGS).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Mirror(root, _remote(told["url"]), int(told["local_bytes"]))


def forget_folders() -> None:
    """Look again which folders are working folders: one was made."""
    _mirror_of.cache_clear()


@lru_cache(maxsize=16)
def _remote(url: str) -> Remote:
    return Remote(url)  # its connections are kept
