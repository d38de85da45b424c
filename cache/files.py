"""Files of the store that are open for reading: opened on demand, a bounded number at once.

A corpus larger than memory lies in thousands of shards, and a process may hold some hundred open.
"""

from __future__ import annotations

import mmap
import os
import threading
from functools import cached_property
from pathlib import Path
from weakref import WeakKeyDictionary

from .away import here, stand_in
from .errors import Damaged, NotCached
from .mirror import mirror_of

_TRIES = 5  # to open a file before it is sent away again: the bound is very small then
_OPEN = 256  # files open at most, each perhaps twice: a map has a descriptor of its own
#: What tells a file from every other that lies or lay at its path: path, device, inode, bytes, ns.
Mark = tuple[str, int, int, int, int]
_UNKNOWN: Mark = ("", 0, 0, 0, 0)


class OpenFile:
    """A descriptor, closed when nobody holds it any more; so no reader is ever cut off."""

    def __init__(self, path: Path, is_away: bool = False) -> None:
        self.is_away = is_away
        self.number = -1
        self.number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        found = os.fstat(self.number)
        self.size = found.st_size
        self.mark: Mark = (str(path), found.st_dev, found.st_ino, self.size, found.st_mtime_ns)

    def __del__(self) -> None:
        if self.number >= 0:
            os.close(self.number)

    @cached_property
    def map(self) -> mmap.mmap:
        """The whole file as memory that is read from the disk where it is touched."""
        return mmap.mmap(self.number, 0, access=mmap.ACCESS_READ)


class LazyFile:
    """A file that is opened whenever it is needed, and may be closed when others are.

    In the working folder of an object store it may be away; it is brought when its rows are read.

    Raises:
        NotCached: there is no such file (any more).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held: OpenFile | None = None
        self._is_mirrored = mirror_of(path) is not None
        self.mark = _UNKNOWN
        self.mark = self._mark(self._reopen(rows=False))

    @property
    def file(self) -> OpenFile:
        """The open file; it stays open as long as it is held.

        Raises:
            NotCached: it is gone.
            Damaged: another one lies in its place now, or what the object store has is damaged.
        """
        held = self._held
        return self._reopen(rows=True) if held is None or held.is_away else held

    @property
    def head(self) -> OpenFile:
        """The same, or what stands for it, which has all but its rows."""
        return self._held or self._reopen(rows=False)

    def _mark(self, found: OpenFile) -> Mark:
        """A copy of an object is the same whenever it was brought: it is checked when it comes."""
        return (str(self.path), 0, 0, found.size, 0) if self._is_mirrored else found.mark

    def _open(self, rows: bool) -> OpenFile:
        if not self._is_mirrored:
            return OpenFile(self.path)
        for _ in range(_TRIES):
            try:
                if not rows and not self.path.exists() and stand_in(self.path).exists():
                    return OpenFile(stand_in(self.path), is_away=True)
                return OpenFile(here(self.path))
            except FileNotFoundError:
                continue  # sent away between being brought and being opened
        raise FileNotFoundError(self.path)

    def _reopen(self, rows: bool) -> OpenFile:
        try:
            found = self._open(rows)
        except FileNotFoundError as error:
            raise NotCached(
                f"shard {self.path} is gone; run 'affectflow cache reindex', then the workflow "
                "again"
            ) from error
        if self.mark not in (_UNKNOWN, self._mark(found)):
            raise Damaged(f"shard {self.path} was changed or replaced while it was read: run again")
        with _lock:
            self._held = found
            _held[self] = None
            if len(_held) > _OPEN:
                oldest = next(iter(_held))
                oldest._held = None
                del _held[oldest]
        return found


_held: WeakKeyDictionary[LazyFile, None] = WeakKeyDictionary()  # in the order of opening
_lock = threading.Lock()
