"""What a terminal shows: progress bars, tables, one line for an error. See ``console_run``.

Results go to stdout, talk to stderr. Off a terminal, progress is a line a minute.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TaskID, TextColumn
from rich.progress import TimeRemainingColumn as TimeLeft
from rich.table import Table
from rich.text import Text

from ..cache.validation import SHOWN
from .result import Reporter

#: Seconds between two lines of progress where nobody can see a bar.
LINE_EVERY = 60.0
#: Columns of a table that goes to a file or a pipe, where nobody says how wide it may be.
WIDE = 160
#: What a terminal obeys instead of showing it: control characters, and marks of direction that
#: turn what follows them around.
_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    r"""Text from strangers as it can be printed: what a terminal would obey stands escaped.

    >>> print(visible("\x1b[2Jgone"))
    \x1b[2Jgone
    """
    return _OBEYED.sub(lambda found: ascii(found[0])[1:-1], text)


class _Plain(Console):
    """Ids, paths and messages come from strangers: nothing in them is markup or a command."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(visible(text), **{**options, "markup": False, "emoji": False})


OUT = _Plain(soft_wrap=True, width=None if sys.stdout.isatty() else WIDE)
ERR = _Plain(soft_wrap=True, stderr=True, width=None if sys.stderr.isatty() else WIDE)


class ConsoleReporter(Reporter):
    """Draws a bar a stage on a terminal, or writes a line a minute elsewhere.

    The line says what has moved since the last one; where nothing has, what is waited for.
    """

    def __init__(self) -> None:
        self._tasks: dict[str, TaskID] = {}
        self._failed: dict[str, int] = {}
        self._words: dict[str, str] = {}
        self._last = time.monotonic()
        self._moved: dict[str, float] = {}  # stage -> when it last did
        self._lock = threading.RLock()  # the clock's thread, and the one that brings news
        self._over = threading.Event()
        self._notes: set[str] = set()
        self._bars = Progress(
            TextColumn("{task.description:>12}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeLeft(),
            TextColumn("[red]{task.fields[failed]}"),
            console=ERR,
            disable=not ERR.is_terminal,
        )

    def __enter__(self) -> ConsoleReporter:
        self._bars.start()
        self._clock = threading.Thread(target=self._tick, daemon=True)
        if self._bars.disable:
            self._clock.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()
        self._over.set()
        if self._bars.disable:
            self._clock.join()

    def start(self, stage: str, total: int) -> None:
        """A bar for a stage; a stage that is taken up again grows its bar."""
        with self._lock:
            if stage in self._tasks:
                task = self._task(stage)
                left = int(task.total or 0) - int(task.completed)
                self._bars.update(task.id, total=(task.total or 0) + total - left)
                return
            told = visible(stage)
            self._tasks[stage] = self._bars.add_task(told, total=total, failed="", rate="")
            self._failed[stage] = 0

    def advance(self, stage: str, done: int, failed: int = 0) -> None:
        """Move a stage's bar."""
        if stage not in self._tasks:
            return
        with self._lock:
            self._failed[stage] += failed
            self._words.pop(stage, None)
            task = self._task(stage)
            self._bars.update(task.id, advance=done + failed, failed=self._lost(stage))
            if task.elapsed:
                self._bars.update(task.id, rate=f"{task.completed / task.elapsed:.1f}/s")
            self._moved[stage] = time.monotonic()
            self._line()

    def working(self, node: str, words: str) -> None:
        """How a node stands, beside its bar or in the next line."""
        with self._lock:
            if node in self._tasks:
                if self._task(node).finished:
                    return  # news that was overtaken
                self._bars.update(self._tasks[node], rate=visible(words))
            self._words[node] = words
            self._moved[node] = time.monotonic()
            self._line()

    def _tick(self) -> None:
        while not self._over.wait(LINE_EVERY / 12):
            with self._lock:
                self._line()

    def _line(self) -> None:
        """Say how things stand, where nobody sees a bar and a line is due."""
        before, now = self._last, time.monotonic()
        if not self._bars.disable or now - before < LINE_EVERY:
            return
        moved = [stage for stage, when in self._moved.items() if when >= before]
        waits = [stage for stage in self._tasks if not self._task(stage).finished]
        if moved or waits:
            self._last = now
            told = [self._told(stage) for stage in moved or waits]
            rest = f"; and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
            quiet = "" if moved else " (no news since the last line)"
            ERR.print("; ".join(told[:SHOWN]) + rest + quiet)

    def _told(self, stage: str) -> str:
        parts = [self._words.get(stage, "")]
        if stage in self._tasks:
            task = self._task(stage)
            parts = [f"{int(task.completed)} of {int(task.total or 0)}", self._lost(stage), *parts]
        return f"{stage}: {', '.join(part for part in parts if part)}"

    def _lost(self, stage: str) -> str:
        return f"{self._failed[stage]} failed" if self._failed[stage] else ""

    def _task(self, stage: str) -> Task:
        return self._bars.tasks[self._bars.task_ids.index(self._tasks[stage])]

    def note(self, text: str) -> None:
        """A line on stderr, once."""
        if text not in self._notes:
            self._notes.add(text)
            show_note(text)


def show_rows(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A plain table on stdout."""
    table = Table(*heads, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*[str(cell) for cell in row])
    OUT.print(table)


def show_table(heads: Sequence[str], rows: Iterable[Sequence[Sequence[tuple[str, bool]]]]) -> None:
    """A table on stdout of cells whose pieces may stand in bold."""
    table = Table(*heads, box=None, pad_edge=False)
    for row in rows:
        cells = [
            Text.assemble(*((visible(text), "bold" if bold else "") for text, bold in cell))
            for cell in row
        ]
        table.add_row(*cells)
    OUT.print(table)


def show_facts(facts: Mapping[str, str]) -> None:
    """Facts below each other, what they are before them; those that are empty are left out."""
    table = Table.grid(padding=(0, 2))
    for what, fact in facts.items():
        if fact:
            table.add_row(Text(f"  {what}", "dim"), visible(fact))
    OUT.print(table)


def show_note(text: str) -> None:
    """A line on stderr."""
    ERR.print(f"note: {text}", style="dim")


def show_error(error: BaseException) -> None:
    """One of our own errors: its message, no traceback."""
    ERR.print(f"error: {error}", style="red", highlight=False)
    sys.stderr.flush()
