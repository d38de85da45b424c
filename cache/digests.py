"""Digests of media and weights by their content, remembered while the file system says "unchanged".

A file is known again by device, inode, size and the times of its last change. One that changed in
the last two seconds is not trusted: it may change again within one tick of the clock.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import struct
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from .errors import BadCall
from .index import DigestMemory, cache_folder

_MARK = "<3Q2q"  # device, inode, size, mtime_ns, ctime_ns
_BLOCK = 1 << 24  # bytes read at once: a thread that digests seldom waits for Python's lock
_FRESH = 2_000_000_000  # ns
_KEPT = 256  # digests remembered at once: a call that is killed loses no more


class Look(NamedTuple):
    """What a file looks like from outside, on every machine that sees it: bytes and time of change.

    Device and inode differ between machines, and the time of the last change of status moves when a
    file is only linked or given other permissions; so neither is in it.
    """

    size: int
    mtime_ns: int


class Digested(NamedTuple):
    """A file's SHA-256, 32 bytes, and what the file looked like when it was digested."""

    digest: bytes
    look: Look


def look_at(path: str | Path) -> Look:
    """What a file looks like now.

    Raises:
        OSError: it is not there, or cannot be asked for.
    """
    status = os.stat(path)
    return Look(status.st_size, status.st_mtime_ns)


def default_memory() -> Path:
    """The file in the user's cache folder that remembers digests."""
    return cache_folder() / "digests.sqlite"


def digest_files(
    paths: Iterable[str | Path],
    memory: Path | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, bytes | OSError]:
    """SHA-256 of many files' contents, in parallel.

    Args:
        paths: plain files; a path that stands twice is digested once.
        memory: file that remembers digests from call to call; None: none are remembered.
        threads: files digested at once; default: the number of cores, 8 at most.
        progress: called with (files digested, files to digest) after each file.

    Returns:
        For each path as it was given: 32 bytes, or the error met (missing, not a plain file).
    """
    found = digest_and_look(paths, memory, threads, progress)
    return {path: f.digest if isinstance(f, Digested) else f for path, f in found.items()}


def digest_and_look(
    paths: Iterable[str | Path],
    memory: Path | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Digested | OSError]:
    """The digests of ``digest_files``, each with what its file looked like at that moment."""
    names = list(dict.fromkeys(os.fspath(path) for path in paths))
    found: dict[str, bytes | OSError] = {}
    memorable: list[tuple[bytes, bytes]] = []
    marks: dict[str, bytes] = {}
    for name in names:
        try:
            marks[name] = _mark(os.stat(name))
        except OSError as error:
            found[name] = error
        except ValueError as error:  # a zero byte inside the path
            found[name] = OSError(errno.EINVAL, str(error), name)
    database = None if memory is None else DigestMemory(memory)
    try:
        known = {} if database is None else database.get(list(marks.values()))
        found.update({name: known[mark] for name, mark in marks.items() if mark in known})
        missing = [name for name in names if name not in found]
        with ThreadPoolExecutor(threads or min(8, os.cpu_count() or 1)) as pool:
            answers = pool.map(_digest_or_error, missing)
            for n, (name, (digest, mark)) in enumerate(zip(missing, answers, strict=True), 1):
                found[name] = digest
                if isinstance(digest, bytes):
                    marks[name] = mark
                    if not _is_fresh(mark):
                        memorable.append((mark, digest))
                if database is not None and len(memorable) >= _KEPT:
                    database.put(memorable)
                    memorable.clear()
                if progress is not None:
                    progress(n, len(missing))
    finally:
        if database is not None:
            database.put(memorable)  # also of a call that was interrupted
            database.close()
    return {name: _with_look(found[name], marks.get(name, b"")) for name in names}


def _with_look(digest: bytes | OSError, mark: bytes) -> Digested | OSError:
    if isinstance(digest, OSError):
        return digest
    *_, size, mtime_ns, _ = struct.unpack(_MARK, mark)
    return Digested(digest, Look(size, mtime_ns))


def digest_weights(path: str | Path, memory: Path | None = None) -> str:
    """SHA-256 of a file of weights, or of a folder's files and their names; 64 hex digits.

    In a folder, hidden files do not count; links are followed.

    Raises:
        BadCall: there is no such file or folder, or it cannot be read.
    """
    path = Path(path)
    files = {path: ""}
    if path.is_dir():
        inside = sorted(p.relative_to(path) for p in path.rglob("*") if p.is_file())
        shown = [p for p in inside if not any(part.startswith(".") for part in p.parts)]
        files = {path / name: name.as_posix() for name in shown}
    if not files:
        raise BadCall(f"the folder of weights {path} holds no files")
    digests = digest_files(files, memory)
    hasher = hashlib.sha256()
    for file, name in files.items():
        digest = digests[str(file)]
        if isinstance(digest, OSError):
            raise BadCall(f"weights {file} cannot be read: {digest.strerror}") from digest
        if not name:
            return digest.hex()
        hasher.update(hashlib.sha256(name.encode()).digest() + digest)
    return hasher.hexdigest()


def _mark(status: os.stat_result) -> bytes:
    """What tells a file from another and from its own past, 40 bytes."""
    numbers = (status.st_dev, status.st_ino, status.st_size)
    return struct.pack(_MARK, *numbers, status.st_mtime_ns, status.st_ctime_ns)


def _is_fresh(mark: bytes) -> bool:
    *_, changed, status_changed = struct.unpack(_MARK, mark)
    result: bool = time.time_ns() - max(changed, status_changed) < _FRESH
    return result


def _digest_or_error(name: str) -> tuple[bytes | OSError, bytes]:
    try:
        return _digest(name)
    except OSError as error:
        return error, b""


def _digest(name: str) -> tuple[bytes, bytes]:
    # O_NONBLOCK: opening a named pipe would wait for its writer for ever
    with open(os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb", buffering=0) as file:
        before = os.fstat(file.fileno())
        if not stat.S_ISREG(before.st_mode):
            raise OSError(errno.EINVAL, "not a plain file", name)
        hasher = hashlib.sha256()
        block = memoryview(bytearray(min(_BLOCK, before.st_size + 1)))
        while n := file.readinto(block):
            hasher.update(block[:n])
        if _mark(os.fstat(file.fileno())) != _mark(before):
            raise OSError(errno.EBUSY, "it changes while it is being read", name)
    return hasher.digest(), _mark(before)
