"""Files that appear whole, under their final name, or not at all.

Everything the cache writes goes through here: a temporary file next to its final place, written
and synced, then linked to its name. Whoever comes second finds the name taken and leaves. In the
working folder of an object store, it is there before it has a name here (``mirror.py``).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .away import came, read_record
from .errors import AffectflowError, CacheError, StoreFull, StoreReadOnly
from .mirror import mirror_of
from .names import temporary

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
#: No folder can be made in /proc, for example, whose answer is that there is none.
_CLOSED = {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR}
#: Bytes from which on a piece is written by a call of its own.
_BLOCK = 1 << 16
#: What file systems without hard links (FAT, some network mounts) answer to ``os.link``.
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


def publish(path: Path, *pieces: bytes | memoryview, replace: bool = False) -> bool:
    """Give a whole file its final name; or leave nothing.

    Args:
        path: the final name; missing folders above it are made.
        pieces: the file's bytes, one after another; they may lie anywhere in memory.
        replace: take the place of what is there (a damaged file).

    Returns:
        False where the name was taken by somebody else, who keeps it.

    Raises:
        StoreFull: the file system has no room.
        StoreReadOnly: the file system refuses to be written to.
        StoreUnreachable: the object store refuses, or does not answer.
    """
    part = temporary(path)
    mirror = mirror_of(path)
    try:
        with store_errors(path):
            make_folder(path.parent)
            _write(part, pieces)
            if mirror is not None and not mirror.offer(part, path, replace):
                read_record(path)
                return False
            made = _move(part, path) if replace else _link(part, path)
            sync_folder(path.parent)
    finally:
        _discard(part)
    if mirror is not None and path.suffix == ".h5":
        came(mirror, path)
    return made


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, so that a crash does not lose them."""
    if folder.is_dir():
        return
    if folder.is_file():
        raise NotADirectoryError(errno.ENOTDIR, "there is a file, and a folder was wanted")
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network mounts cannot
            raise
    finally:
        os.close(handle)


@contextmanager
def store_errors(path: Path) -> Iterator[None]:
    """Raise what the file system says about ``path`` as one of our errors, where we have one.

    An error never becomes its own cause: dask follows causes, and would follow that one for ever.
    """
    try:
        yield
    except OSError as error:
        told = store_error(error, path)
        if told is error:
            raise
        raise told from error


def store_error(error: OSError, path: Path) -> Exception:
    """The error to raise for what the file system said; unknown ones stay as they are."""
    if isinstance(error, CacheError):
        return error
    if error.errno in _FULL:
        return StoreFull(
            f"no room to write {path} ({error.strerror}); nothing was left behind. "
            "Make room, for example with 'affectflow cache prune', and run again: "
            "what is cached stays"
        )
    if error.errno in _CLOSED:
        return StoreReadOnly(
            f"cannot write {path} ({error.strerror}). "
            "Use a folder that you may write to, or change its permissions"
        )
    return error


@contextmanager
def usable(root: object) -> Iterator[None]:
    """Raise what a file system that fails, or went away, says of a store as one of our errors.

    Raises:
        CacheError: the system met an error of its own while the store was read or written.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, AffectflowError):
            raise
        raise CacheError(
            f"the cache '{root}' cannot be used: {error}. What was made is kept: run the same "
            "command again once it can be"
        ) from error


def _write(part: Path, pieces: Iterable[bytes | memoryview]) -> None:
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        for block in _blocks(pieces):
            rest = memoryview(block)
            while rest:
                rest = rest[os.write(handle, rest) :]
        os.fsync(handle)
    finally:
        os.close(handle)


def _blocks(pieces: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    """The same bytes with small pieces joined: each is written by a call of its own."""
    small: list[bytes | memoryview] = []
    size = 0
    for piece in pieces:
        small.append(piece)
        size += len(piece)
        if size >= _BLOCK:
            yield from [b"".join(small[:-1]), piece] if len(piece) >= _BLOCK else [b"".join(small)]
            small, size = [], 0
    yield b"".join(small)


def _link(part: Path, path: Path) -> bool:
    try:
        os.link(part, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # Without links the last one wins instead of the first; under one name both wrote the same.
        return False if path.exists() else _move(part, path)
    return True


def _move(part: Path, path: Path) -> bool:
    os.replace(part, path)
    return True


def _discard(part: Path) -> None:
    try:
        part.unlink(missing_ok=True)
    except OSError as error:
        if error.errno not in _CLOSED:  # on a read-only file system it was never made
            raise
