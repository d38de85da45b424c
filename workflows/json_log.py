"""What happens in a run as a file of JSON lines, for programs that watch runs."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..cache.errors import CacheError
from ..cache.publish import store_errors
from .result import Reporter


class JsonLog(Reporter):
    """Appends a line for each thing that happens: ``time`` (UTC), ``event``, and what it says.

    Lines are written at once, so that a killed run's log ends with what it did last. Events:
    ``start`` and ``advance`` (a stage's features), ``working``, ``note``, ``run``, ``pool``,
    ``shard``, ``failure``, ``end``.

    Where it cannot be written any more, that is said once, and the run goes on.

    Args:
        path: the file; made if missing, with the folders above it.
        tell: takes the line that says that it cannot be written.

    Raises:
        StoreFull, StoreReadOnly: it cannot be begun.
    """

    def __init__(self, path: Path, tell: Reporter) -> None:
        self._path, self._tell = path, tell
        self._broken = False
        self._lock = threading.Lock()  # news of tasks comes from another thread
        with store_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def start(self, stage: str, total: int) -> None:
        """A stage begins."""
        self._line("start", {"stage": stage, "total": total})

    def advance(self, stage: str, done: int, failed: int = 0) -> None:
        """A stage goes on."""
        self._line("advance", {"stage": stage, "done": done, "failed": failed})

    def working(self, node: str, words: str) -> None:
        """How a node stands."""
        self._line("working", {"node": node, "words": words})

    def note(self, text: str) -> None:
        """A line for people."""
        self._line("note", {"text": text})

    def event(self, name: str, facts: Mapping[str, Any]) -> None:
        """What happened, for programs."""
        self._line(name, facts)

    def _line(self, event: str, facts: Mapping[str, Any]) -> None:
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        told = json.dumps({"time": time, "event": event, **facts}, ensure_ascii=False)
        with self._lock:
            if self._broken or self._file.closed:  # news that was overtaken
                return
            try:
                with store_errors(self._path):
                    self._file.write(told + "\n")
            except (CacheError, OSError) as error:
                self._broken = True
                with suppress(OSError):
                    self._file.close()  # what it still holds cannot be written either
                self._tell.note(f"'{self._path}' ends here: {error}")
