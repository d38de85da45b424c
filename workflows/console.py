"""What a terminal shows: progress bars, tables, one line for an error. Only door to rich.

Results go to stdout, talk to stderr. Off a terminal, progress is a line a minute.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TaskID, TextColumn
from rich.progress import TimeRemainingColumn as TimeLeft
from rich.table import Table
from rich.text import Text

from ..cache.audit import NodeSummary
from ..cache.validation import SHOWN, count
from .node_state import NodeState
from .nodes import Fit
from .result import Reporter, Run, seconds
from .reuse import reused, saved

#: Seconds between two lines of progress where nobody can see a bar.
LINE_EVERY = 60.0
#: Failures printed before the rest is only counted; the records hold all of them.
FAILURES_SHOWN = 20
#: Different warnings of a node printed, and utterances named with each.
WARNINGS_SHOWN, WARNED_NAMED = 5, 3
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


def show_plan(states: Sequence[NodeState]) -> None:
    """Table of a plan: what is cached, what is to be made, and why."""
    table = Table("node", "what", "cached", "to do", "failed", "why", box=None, pad_edge=False)
    for state in states:
        cached = f"{state.n_cached}" if not state.waits_for else "-"
        todo = f"{len(state.todo)}" if not state.waits_for else "?"
        failed = f"{len(state.failed)}" if state.failed else ""
        table.add_row(state.node.name, state.node.what, cached, todo, failed, state.why)
    OUT.print(table)
    _show_statistics(states)


def _show_statistics(states: Sequence[NodeState]) -> None:
    """Rows kept of each input, and the statistic that says so; one that fits share stands once."""
    found = {
        one.fingerprint: (name, one)
        for state in states
        for name, one in state.statistics.items()
        if one is not None
    }
    if not found:
        return
    columns = ("rows kept", "of", "mean", "deviation", "utterances", "longer", "statistic")
    table = Table(*columns, box=None, pad_edge=False)
    for mark, (name, one) in found.items():
        v = one.values
        factor = one.description["settings"]["factor"]
        mean, deviation = f"{v['mean']:.1f}", f"{factor:g} x {v['std']:.1f}"
        numbers = (f"{v['n']:.0f}", f"{v['longer']:.0f}", mark[:12])
        table.add_row(f"{v['rows']:.0f}", name, mean, deviation, *numbers)
    OUT.print()
    OUT.print(table)


def show_run(run: Run) -> None:
    """What a run came to: features, scores, failures, one closing line."""
    if run.corpus.note:
        OUT.print(run.corpus.note, style="italic")
    _show_features(run)
    show_reused(run)
    if any(state.checkpoint for state in run.states.values()):
        _show_scores(run)
    show_warnings(run)
    show_failures(run)
    OUT.print(f"{run.n_features_made} features made, {run.n_fits_made} models trained")


def _show_features(run: Run) -> None:
    table = Table("features", "extractor", "stored", "made now", "failed", box=None, pad_edge=False)
    for state in run.states.values():
        if isinstance(state.node, Fit) or state.waits_for:
            continue
        made = str(run.made.get(state.node.name, 0))
        stored = f"{state.n_cached} of {state.n}"
        table.add_row(state.node.name, state.node.what, stored, made, str(len(state.failed) or ""))
    OUT.print(table)
    OUT.print()


def show_reused(run: Run) -> None:
    """What other runs had made of this one's nodes, and the computing that this saved."""
    parts = reused(run)
    if not parts:
        return
    table = Table(
        "from the cache", "what", "features", "made by", "saved", box=None, pad_edge=False
    )
    for one in parts:
        time = "unknown" if one.seconds is None else seconds(one.seconds)
        table.add_row(one.node, one.what, str(one.n), ", ".join(one.recipes), time)
    OUT.print(table)
    total, unknown = saved(parts)
    rest = f", and more: the time of {count(unknown, 'node')} is unknown" if unknown else ""
    OUT.print(f"Made by other runs and not made again: {seconds(total)} of computing saved{rest}.")
    OUT.print()


def _show_scores(run: Run) -> None:
    """Mean and deviation over seeds on the test split, a table for each task that fits share."""
    for scores in run.test_scores():
        table = Table(f"{scores.task}, test", "seeds", *scores.metrics, box=None, pad_edge=False)
        for row in scores.rows:
            table.add_row(row.fit, str(row.seeds), *row.cells)
        OUT.print(table)
        OUT.print()
    families = ", ".join(run.corpus.every_family)
    OUT.print(
        f"Mean±standard deviation (n - 1) over seeds; metrics as of '{families}'.",
        style="dim",
    )


def show_warnings(run: Run) -> None:
    """Warnings by node, the first few of each in full; the report and the records hold the rest."""
    if not run.warnings:
        return
    ERR.print(f"{count(len(run.warnings), 'warning')} about features that were made all the same:")
    shown: Counter[str] = Counter()
    hidden: Counter[str] = Counter()
    for group in run.warning_groups:
        if shown[group.node] == WARNINGS_SHOWN:
            hidden[group.node] += len(group.utterances)
            continue
        shown[group.node] += 1
        names = ", ".join(group.utterances[:WARNED_NAMED])
        more = len(group.utterances) - WARNED_NAMED
        rest = f" and {more} more" if more > 0 else ""
        ERR.print(f"  {group.node}: {names}{rest}: {group.message}")
    for node, n in hidden.items():
        ERR.print(f"  {node}: {count(n, 'other warning')}, see the report")


def show_failures(run: Run) -> None:
    """Failures of utterances and fits, as far as a screen holds them."""
    for name, message in run.errors.items():
        ERR.print(f"{name}: {message}", style="red")
    failures = run.failures
    if not failures:
        return
    table = Table("failed", "at", "reason", box=None, pad_edge=False)
    for failure in failures[:FAILURES_SHOWN]:
        table.add_row(failure.utterance, failure.node, failure.message)
    ERR.print(table)
    if len(failures) > FAILURES_SHOWN:
        ERR.print(f"... and {len(failures) - FAILURES_SHOWN} more")
    ERR.print(
        f"{len(failures)} failed; these modalities are masked, the rest went on. "
        "Try them again with --retry-failed."
    )


def show_nodes(nodes: Sequence[NodeSummary]) -> None:
    """What a store holds: a line a node."""
    rows = [
        (
            node.fingerprint[:12],
            node.name,
            ", ".join(f"{key}={value}" for key, value in node.settings.items()),
            node.utterances,
            node.rows,
            f"{node.bytes / 1e6:.2f} MB",
            node.shards,
            f"{node.damaged} damaged" if node.damaged else "",
        )
        for node in nodes
    ]
    show_rows(("node", "what", "settings", "utterances", "rows", "size", "shards", ""), rows)


def show_rows(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A plain table on stdout."""
    table = Table(*heads, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*[str(cell) for cell in row])
    OUT.print(table)


def show_table(heads: Sequence[str], rows: Iterable[Sequence[tuple[str, bool]]]) -> None:
    """A table on stdout of cells that may stand in bold."""
    table = Table(*heads, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*[Text(visible(cell), "bold" if bold else "") for cell, bold in row])
    OUT.print(table)


def show_note(text: str) -> None:
    """A line on stderr."""
    ERR.print(f"note: {text}", style="dim")


def show_error(error: BaseException) -> None:
    """One of our own errors: its message, no traceback."""
    ERR.print(f"error: {error}", style="red", highlight=False)
    sys.stderr.flush()
