"""Who is at work on a store: a driver's lease with a heartbeat, and its claims of batches.

Two drivers on one store share the work by claims. A dead driver's lease is taken over: its
heartbeat is a minute old, or it ran on this host and its process is gone.
"""

from __future__ import annotations

import os
import secrets
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from .names import alive, host
from .publish import make_folder, store_errors

#: Seconds between two heartbeats, and after which silence means death.
BEAT, DEAD = 10.0, 60.0


class Lease:
    """A driver's lease on a store; a context manager.

    While it is held, a thread touches its file every ten seconds, and nobody prunes temporary
    files.

    Args:
        root: folder of the store.

    Raises:
        StoreFull: the file system has no room.
        StoreReadOnly: the file system refuses to be written to.
    """

    def __init__(self, root: str | Path) -> None:
        self._folder = Path(root) / "leases"
        self._claims: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)
        self.name = f"{host()}-{os.getpid()}-{secrets.token_hex(8)}"
        self._path = self._folder / f"{self.name}.lease"

    def __enter__(self) -> Self:
        with store_errors(self._path):
            make_folder(self._folder / "claims")
            self._path.touch()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        for batch in list(self._claims):
            self.release(batch)
        self._path.unlink(missing_ok=True)

    def claim(self, batch: str) -> bool:
        """Take a batch of work; False where a living driver has it.

        Args:
            batch: its name, hex digits and hyphens.
        """
        path = self._claim_path(batch)
        if batch in self._claims or self._take(path):
            self._claims.add(batch)
            return True
        if self._is_held(path):
            return False
        # Two drivers that take over the same dead claim at once may both get here. Then both make
        # the batch and one of their shards wins: work is lost, nothing else.
        path.unlink(missing_ok=True)
        if not self._take(path):
            return False
        self._claims.add(batch)
        return True

    def release(self, batch: str) -> None:
        """Give a batch back."""
        if batch in self._claims:
            self._claims.remove(batch)
            self._claim_path(batch).unlink(missing_ok=True)

    def others(self) -> list[str]:
        """Names of other living drivers' leases."""
        return [name for name in live_leases(self._folder.parent, self.now()) if name != self.name]

    def _claim_path(self, batch: str) -> Path:
        if not batch or not batch.replace("-", "").isalnum():
            raise ValueError(f"a batch's name has letters, digits and hyphens, got {batch!r}")
        return self._folder / "claims" / batch

    def _take(self, path: Path) -> bool:
        with store_errors(path):
            try:
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            except FileExistsError:
                return False
            try:
                os.write(handle, self.name.encode())
            except OSError:
                path.unlink(missing_ok=True)
                raise
            finally:
                os.close(handle)
        return True

    def _is_held(self, path: Path) -> bool:
        try:
            owner = path.read_text()
            if not owner:  # made a moment ago and not written yet, or by one that died in between
                return self.now() - path.stat().st_mtime < DEAD
        except FileNotFoundError:
            return False
        return _is_live(self._folder / f"{owner}.lease", self.now())

    def now(self) -> float:
        """The file system's time: hosts' clocks may differ by more than a minute."""
        self._path.touch()
        return self._path.stat().st_mtime

    def _beat(self) -> None:
        while not self._stop.wait(BEAT):
            try:
                self._path.touch()
            except OSError:
                continue  # a full or absent disk for a moment; the next beat tries again


def live_leases(root: Path, now: float) -> list[str]:
    """Names of the leases whose drivers live; ``now`` is the file system's time in seconds."""
    paths = sorted((root / "leases").glob("*.lease"))
    return [path.stem for path in paths if _is_live(path, now)]


def dead_files(root: Path, now: float) -> list[Path]:
    """Leases and claims of drivers that are gone."""
    live = set(live_leases(root, now))
    dead = [path for path in (root / "leases").glob("*.lease") if path.stem not in live]
    for path in (root / "leases" / "claims").glob("*"):
        try:
            owner, age = path.read_text(), now - path.stat().st_mtime
        except FileNotFoundError:
            continue
        if owner not in live and (owner or age > DEAD):
            dead.append(path)
    return sorted(dead)


def _is_live(path: Path, now: float) -> bool:
    try:
        beat = path.stat().st_mtime
        owner_host, pid, _ = path.stem.rsplit("-", 2)
    except (FileNotFoundError, ValueError):
        return False
    return now - beat <= DEAD and alive(owner_host, int(pid))
