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
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .errors import BadCall
from .index import DigestMemory, cache_folder
from .records import Array

_MARK = "<3Q2q"  # device, inode, size, mtime_ns, ctime_ns
_MARK_BYTES = struct.calcsize(_MARK)
_DIGEST_BYTES = 32
_BLOCK = 1 << 24  # bytes read at once: a thread that digests seldom waits for Python's lock
_FRESH = 2_000_000_000  # ns
_KEPT = 256  # digests remembered at once: a call that is killed loses no more
_WAVE = 8192  # files that are asked for together


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
    columns = digest_columns(names, memory, threads, progress)
    found: dict[str, Digested | OSError] = {}
    for i, name in enumerate(names):
        digest, look = columns.digest(i), columns.look(i)
        if digest is None or look is None:
            found[name] = columns.errors[i]
        else:
            found[name] = Digested(digest, look)
    return found


class FileDigests:
    """Digests of files and how they looked, as columns: 73 bytes a file, whatever its path.

    Args:
        digests: (n, 32) uint8, SHA-256.
        marks: (n, 40) uint8, what the file system said of each.
        there: (n,) bool, the file could be digested.
        errors: number of the file -> the error met, where it could not be.
    """

    def __init__(
        self, digests: Array, marks: Array, there: Array, errors: dict[int, OSError]
    ) -> None:
        self.digests, self.marks, self.there, self.errors = digests, marks, there, errors

    @classmethod
    def none(cls, n: int = 0) -> FileDigests:
        """Columns of n files of which nothing is known yet."""
        empty = np.zeros((n, _DIGEST_BYTES), np.uint8), np.zeros((n, _MARK_BYTES), np.uint8)
        return cls(*empty, np.zeros(n, bool), {})

    def set(self, i: int, digest: bytes, mark: bytes) -> None:
        """Enter a file."""
        self.digests[i] = np.frombuffer(digest, np.uint8)
        self.marks[i] = np.frombuffer(mark, np.uint8)
        self.there[i] = True

    def digest(self, i: int) -> bytes | None:
        """SHA-256 of file i; None where it could not be digested, or there is no such file."""
        if not 0 <= i < len(self.there) or not self.there[i]:
            return None
        digest: bytes = self.digests[i].tobytes()
        return digest

    def look(self, i: int) -> Look | None:
        """What file i looked like; None where its digest is None."""
        if not 0 <= i < len(self.there) or not self.there[i]:
            return None
        *_, size, mtime_ns, _ = struct.unpack(_MARK, self.marks[i].tobytes())
        return Look(size, mtime_ns)


def digest_columns(
    paths: Sequence[str],
    memory: Path | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> FileDigests:
    """The digests of ``digest_and_look`` in the order of the paths, each of which stands once.

    They are gone through in waves, so that there are never Python objects for all of them.
    """
    found = FileDigests.none(len(paths))
    missing: list[int] = []
    memorable: list[tuple[bytes, bytes]] = []
    database = None if memory is None else DigestMemory(memory)
    try:
        for wave in _waves(range(len(paths))):
            missing += _remembered(paths, wave, database, found)
        n = 0
        with ThreadPoolExecutor(threads or min(8, os.cpu_count() or 1)) as pool:
            for part in _waves(missing):
                answers = pool.map(_digest_or_error, [str(paths[i]) for i in part])
                for i, (digest, mark) in zip(part, answers, strict=True):
                    if isinstance(digest, OSError):
                        found.errors[i] = digest
                    else:
                        found.set(i, digest, mark)
                        if not _is_fresh(mark):
                            memorable.append((mark, digest))
                    if database is not None and len(memorable) >= _KEPT:
                        database.put(memorable)
                        memorable.clear()
                    n += 1
                    if progress is not None:
                        progress(n, len(missing))
    finally:
        if database is not None:
            database.put(memorable)  # also of a call that was interrupted
            database.close()
    return found


def _waves(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    return (numbers[at : at + _WAVE] for at in range(0, len(numbers), _WAVE))


def _remembered(
    paths: Sequence[str], wave: Sequence[int], database: DigestMemory | None, found: FileDigests
) -> list[int]:
    """Enter the files of a wave that are remembered or cannot be asked for; numbers of the rest."""
    marks: dict[int, bytes] = {}
    for i in wave:
        name = str(paths[i])  # paths may be a column of another library's strings
        try:
            marks[i] = _mark(os.stat(name))
        except OSError as error:
            found.errors[i] = error
        except ValueError as error:  # a zero byte inside the path
            found.errors[i] = OSError(errno.EINVAL, str(error), name)
    known = {} if database is None else database.get(list(marks.values()))
    for i, mark in marks.items():
        if mark in known:
            found.set(i, known[mark], mark)
    return [i for i, mark in marks.items() if mark not in known]


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
