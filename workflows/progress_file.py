"""How a run stands, in a file that ``affectflow status`` reads from another terminal.

The file is replaced whole every few seconds, also where nothing moves: its age tells whether the
driver lives. It stays when the run ends, however that is.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..cache.errors import CacheError, Damaged
from ..cache.names import alive, host
from ..cache.publish import publish
from ..cache.runs import run_folder
from .result import Reporter

#: Seconds between two writings, and after which silence means that the driver is gone.
BEAT, DEAD = 2.0, 60.0
ENDING = ".progress"


@dataclass
class Stage:
    """How far one stage is: features (or files, or fits) done and failed, in all, and in words."""

    total: int = 0
    done: int = 0
    failed: int = 0
    words: str = ""


@dataclass
class Standing:
    """How a run stands; times in seconds since 1970.

    Args:
        run: its name.
        recipe: what is run.
        host: where its driver runs.
        pid: of the driver.
        begun: when it began.
        beat: when this was written.
        state: ``running``, ``done``, ``failures`` (it went to its end, something failed),
            ``stopped`` (by Ctrl-C) or ``error``.
        message: of the error.
        stages: how far each is, in the order in which they began.
        pool: what tasks run on: scheduler, workers, dashboard.
        spent: seconds by node, bytes, slowest utterances, memory; known at the end.
    """

    run: str
    recipe: str
    host: str = field(default_factory=host)
    pid: int = field(default_factory=os.getpid)
    begun: float = field(default_factory=time.time)
    beat: float = 0.0
    state: str = "running"
    message: str = ""
    stages: dict[str, Stage] = field(default_factory=dict)
    pool: dict[str, Any] = field(default_factory=dict)
    spent: dict[str, Any] = field(default_factory=dict)

    @property
    def is_alive(self) -> bool:
        """Whether its driver still runs, as far as this machine can tell."""
        fresh = time.time() - self.beat < DEAD
        return self.state == "running" and fresh and alive(self.host, self.pid)


class ProgressFile(Reporter):
    """Keeps the standing of a run in its folder; a context manager.

    Where the folder cannot be written, that is said once, and the run goes on.

    Args:
        root: folder of the store.
        run: name of the run.
        recipe: what is run.
        tell: takes the line that says that it cannot be written.
    """

    def __init__(self, root: Path, run: str, recipe: str, tell: Reporter) -> None:
        self.standing = Standing(run, recipe)
        self._folder, self._tell = run_folder(root, run), tell
        self._path = self._folder / f"{time.time_ns():020d}{ENDING}"
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._broken = False
        self._thread = threading.Thread(target=self._beat, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        if error is not None:
            self.standing.state = "stopped" if kind is KeyboardInterrupt else "error"
            self.standing.message = str(error)
        elif self.standing.state == "running":
            self.standing.state = "done"
        if self.standing.stages or error is not None:  # else nothing was to do
            self._write()

    def start(self, stage: str, total: int) -> None:
        """A stage begins, or is taken up again."""
        with self._lock:
            known = self.standing.stages.setdefault(stage, Stage())
            known.total = known.done + known.failed + total

    def advance(self, stage: str, done: int, failed: int = 0) -> None:
        """A stage goes on."""
        with self._lock:
            if stage in self.standing.stages:
                self.standing.stages[stage].done += done
                self.standing.stages[stage].failed += failed
                self.standing.stages[stage].words = ""

    def working(self, node: str, words: str) -> None:
        """How a node stands, in words."""
        with self._lock:
            if node in self.standing.stages:
                self.standing.stages[node].words = words

    def event(self, name: str, facts: Mapping[str, Any]) -> None:
        """What tasks run on; what the run came to."""
        with self._lock:
            if name == "pool":
                self.standing.pool = dict(facts)
            elif name == "end":
                self.standing.state = str(facts["state"])
                self.standing.spent = dict(facts["spent"])

    def _beat(self) -> None:
        while not self._over.wait(BEAT):
            if self.standing.stages:
                self._write()

    def _write(self) -> None:
        with self._lock:
            self.standing.beat = time.time()
            image = json.dumps(asdict(self.standing)).encode()
        try:
            if not self._broken:
                first = not self._path.exists()
                publish(self._path, image, replace=True)
                for old, one in list(read_standings(self._folder).items())[:-1] if first else ():
                    if not one.is_alive:
                        old.unlink(missing_ok=True)
        except (CacheError, OSError) as error:
            self._broken = True
            self._tell.note(f"'affectflow status' will not show how this run goes on: {error}")


def standing_files(folder: Path) -> list[Path]:
    """Files of a run's standing, oldest first."""
    return sorted(folder.glob(f"[0-9]*{ENDING}"))


def read_standings(folder: Path) -> dict[Path, Standing]:
    """Standings of a run by their files, oldest first; one removed a moment ago is passed over.

    Raises:
        Damaged: a file is not one that was written.
    """
    found: dict[Path, Standing] = {}
    for path in standing_files(folder):
        with suppress(FileNotFoundError):  # another driver has begun the run anew
            found[path] = read_standing(path)
    return found


def read_standing(path: Path) -> Standing:
    """How a run stands, from its file.

    Raises:
        Damaged: it is not one that was written.
    """
    try:
        told = json.loads(path.read_bytes())
        stages = {name: Stage(**stage) for name, stage in told.pop("stages").items()}
        return Standing(**told, stages=stages)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Damaged(f"{path} is damaged ({error!r}): delete it; nothing else is") from error
