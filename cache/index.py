"""Key -> shard and row: a disposable SQLite file on the driver's own disk (only door to sqlite3).

Nothing is lost with it: the store makes it anew from the shards. One table a node, 16-byte keys,
integer shard numbers, sorted inserts: 33 bytes a row, where text would cost 195.
The memory of media digests lies in a file of the same kind.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import Damaged
from .keys import KEY_BYTES
from .publish import store_error, store_errors

_SCHEMA = 1  # another one found in a file makes it be begun again
_WAIT = 60.0  # s for another process that writes
_BATCH = 500  # keys asked for at once
_ERRNO = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
    sqlite3.SQLITE_PERM: errno.EACCES,
}
_SHARDS = """
CREATE TABLE IF NOT EXISTS nodes (id INTEGER PRIMARY KEY, fingerprint TEXT UNIQUE NOT NULL);
CREATE TABLE IF NOT EXISTS shards (
    id INTEGER PRIMARY KEY, node INTEGER NOT NULL, path TEXT UNIQUE NOT NULL);
"""
_DIGESTS = """
CREATE TABLE IF NOT EXISTS digests (file BLOB PRIMARY KEY, digest BLOB NOT NULL) WITHOUT ROWID;
"""


def cache_folder() -> Path:
    """Where disposable files of this user lie: ``$XDG_CACHE_HOME/affectflow``."""
    home = os.environ.get("XDG_CACHE_HOME") or ""
    return (Path(home) if os.path.isabs(home) else Path.home() / ".cache") / "affectflow"


class _Database:
    """A disposable SQLite file; a broken one is deleted and begun again."""

    schema = ""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        with store_errors(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._open()
        except Damaged:
            self._discard()
            self._open()

    def _open(self) -> None:
        with self._errors():
            self._connection = sqlite3.connect(
                self.path, timeout=_WAIT, isolation_level=None, check_same_thread=False
            )
            # a connection refers to itself: left alone, its files stay open until Python looks
            weakref.finalize(self, self._connection.close)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            if self._version() not in (0, _SCHEMA):
                raise Damaged(f"{self.path} is of another version of affectflow")
            self._connection.executescript(self.schema)

    def _version(self) -> int:
        return int(self._connection.execute("PRAGMA user_version").fetchone()[0])

    def _discard(self) -> None:
        self._connection.close()
        for ending in ("", "-wal", "-shm"):
            Path(f"{self.path}{ending}").unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file; it can be opened again by making another of these."""
        self._connection.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise Damaged(
                    f"index {self.path} is damaged ({error}): "
                    "make it anew with 'affectflow cache reindex'"
                ) from error
            if code in _ERRNO:
                raise store_error(OSError(_ERRNO[code], str(error)), self.path) from error
            raise

    @contextmanager
    def _transaction(self, kind: str = "IMMEDIATE") -> Iterator[sqlite3.Connection]:
        with self._lock, self._errors():
            self._connection.execute(f"BEGIN {kind}")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _select(
        self, table: str, wanted: str, column: str, keys: Sequence[Any]
    ) -> Iterator[tuple[Any, ...]]:
        """Rows of a table whose ``column`` is one of the keys."""
        ordered = sorted(set(keys))  # neighbours lie on one page
        for i in range(0, len(ordered), _BATCH):
            batch = ordered[i : i + _BATCH]
            marks = ",".join("?" * len(batch))
            yield from self._connection.execute(
                f"SELECT {column}, {wanted} FROM {table} WHERE {column} IN ({marks})", batch
            )


class Index(_Database):
    """Where each key's features lie."""

    schema = _SHARDS

    @property
    def is_whole(self) -> bool:
        """Whether it was filled once; not so where it is new, or its maker died over it."""
        with self._lock, self._errors():
            return self._version() == _SCHEMA

    def mark_whole(self) -> None:
        """Note that all shards there are were entered."""
        with self._lock, self._errors():
            self._connection.execute(f"PRAGMA user_version = {_SCHEMA}")

    def nodes(self) -> list[str]:
        """Fingerprints of all nodes that have an entry."""
        with self._lock, self._errors():
            return [row[0] for row in self._connection.execute("SELECT fingerprint FROM nodes")]

    def shards(self, node: str) -> set[str]:
        """Paths of a node's shards, relative to the root of the store."""
        with self._lock, self._errors():
            number = self._number(node)
            rows = self._connection.execute("SELECT path FROM shards WHERE node = ?", (number,))
            return {row[0] for row in rows}

    def add(self, node: str, shards: Iterable[tuple[str, Sequence[bytes]]]) -> int:
        """Enter shards (path, keys in the order of their rows); those known are left out.

        Where two shards hold one key, the one entered first keeps it. Returns the shards entered.
        """
        with self._transaction():
            return self._enter(node, shards)

    def replace(self, node: str, shards: Iterable[tuple[str, Sequence[bytes]]]) -> int:
        """Forget a node and enter these shards of it, in one step for whoever reads meanwhile."""
        with self._transaction():
            self._drop(node)
            return self._enter(node, shards)

    def forget(self, node: str) -> None:
        """Drop all that is known of a node."""
        with self._transaction():
            self._drop(node)

    def _enter(self, node: str, shards: Iterable[tuple[str, Sequence[bytes]]]) -> int:
        number = self._number(node)
        if number is None:
            self._connection.execute("INSERT INTO nodes (fingerprint) VALUES (?)", (node,))
            number = self._number(node)
            self._connection.execute(
                f"CREATE TABLE keys_{number} (key BLOB PRIMARY KEY, shard INTEGER NOT NULL, "
                "row INTEGER NOT NULL) WITHOUT ROWID"
            )
        rows: list[tuple[bytes, int, int]] = []
        added = 0
        for path, keys in shards:
            cursor = self._connection.execute(
                "INSERT OR IGNORE INTO shards (node, path) VALUES (?, ?)", (number, path)
            )
            if cursor.rowcount:
                added += 1
                shard = int(cursor.lastrowid or 0)
                rows += [(key, shard, row) for row, key in enumerate(keys)]
        rows.sort(key=lambda entry: entry[:2])
        self._connection.executemany(f"INSERT OR IGNORE INTO keys_{number} VALUES (?, ?, ?)", rows)
        return added

    def _drop(self, node: str) -> None:
        number = self._number(node)
        if number is not None:
            self._connection.execute(f"DROP TABLE keys_{number}")
            self._connection.execute("DELETE FROM shards WHERE node = ?", (number,))
            self._connection.execute("DELETE FROM nodes WHERE id = ?", (number,))

    def find(self, node: str, keys: Sequence[bytes]) -> dict[bytes, tuple[str, int]]:
        """Shard path and row of each key that is known."""
        with self._transaction("DEFERRED"):  # its numbers of shards may be another's a moment later
            number = self._number(node)
            if number is None:
                return {}
            rows = list(self._select(f"keys_{number}", "shard, row", "key", keys))
            paths = dict(self._select("shards", "path", "id", [row[1] for row in rows]))
            return {key: (paths[shard], row) for key, shard, row in rows}

    def beginning(self, node: str, digits: str, most: int) -> dict[bytes, tuple[str, int]]:
        """Shard path and row of the first keys that begin with these hex digits."""
        low, high = (bytes.fromhex(digits.ljust(2 * KEY_BYTES, end)) for end in "0f")
        with self._lock, self._errors():
            number = self._number(node)
            if number is None:
                return {}
            rows = self._connection.execute(
                f"SELECT key, path, row FROM keys_{number} JOIN shards ON shards.id = shard "
                "WHERE key BETWEEN ? AND ? ORDER BY key LIMIT ?",
                (low, high, most),
            )
            return {key: (path, row) for key, path, row in rows}

    def _number(self, node: str) -> int | None:
        row = self._connection.execute(
            "SELECT id FROM nodes WHERE fingerprint = ?", (node,)
        ).fetchone()
        return None if row is None else int(row[0])


class DigestMemory(_Database):
    """Digests of files by what the file system says of them; see ``digests.py``."""

    schema = _DIGESTS

    def get(self, files: Sequence[bytes]) -> dict[bytes, bytes]:
        """Digests of those files that are remembered."""
        with self._lock, self._errors():
            return dict(self._select("digests", "digest", "file", files))

    def put(self, digests: Iterable[tuple[bytes, bytes]]) -> None:
        """Remember digests."""
        with self._transaction() as connection:
            connection.executemany("INSERT OR REPLACE INTO digests VALUES (?, ?)", sorted(digests))
