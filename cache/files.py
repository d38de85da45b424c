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

from .errors import Damaged, NotCached

_OPEN = 256  # files open at most, each perhaps twice: a map has a descriptor of its own
#: What tells a file from every other that lies or lay at its path: path, device, inode, bytes, ns.
Mark = tuple[str, int, int, int, int]


class OpenFile:
    """A descriptor, closed when nobody holds it any more; so no reader is ever cut off."""

    def __init__(self, path: Path) -> None:
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

    Raises:
        NotCached: there is no such file (any more).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held: OpenFile | None = None
        self.mark = self._reopen(None).mark

    @property
    def file(self) -> OpenFile:
        """The open file; it stays open as long as it is held.

        Raises:
            NotCached: it is gone.
            Damaged: another one lies in its place now.
        """
        return self._held or self._reopen(self.mark)

    def _reopen(self, mark: Mark | None) -> OpenFile:
        try:
            found = OpenFile(self.path)
        except FileNotFoundError as error:
            raise NotCached(
                f"shard {self.path} is gone; run 'affectflow cache reindex', then the workflow "
                "again"
            ) from error
        if mark is not None and found.mark != mark:
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
