"""What plans, runs and stores say in a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from ..cache.contents import NodeSummary
from ..cache.validation import count
from .blocks import left_out
from .console import ERR, OUT, show_rows, show_table, visible
from .node_state import NodeState
from .nodes import Fit
from .result import Run, seconds
from .reuse import reused, saved
from .score_tables import LEGEND
from .spending import costs

#: Failures printed before the rest is only counted; the records hold all of them.
FAILURES_SHOWN = 20
#: Slowest utterances that are printed; the record and the log hold some more.
SLOW_SHOWN = 3
#: Different warnings of a node printed, and utterances named with each.
WARNINGS_SHOWN, WARNED_NAMED = 5, 3


def show_plan(states: Sequence[NodeState]) -> None:
    """Table of a plan: what is cached, what is to be made, and why.

    What several nodes need is to be made for the first of them.
    """
    table = Table("node", "what", "cached", "to do", "failed", "why", box=None, pad_edge=False)
    makers: dict[tuple[str, bytes | None], str] = {}  # what is to be made -> the node it is for
    for state in states:
        name, why = state.node.name, state.why
        own = [(state.fingerprint, state.keys[i] if state.keys else None) for i in state.todo]
        shared = {makers.setdefault(one, name) for one in own} - {name}
        cached, todo = f"{state.n_cached}", f"{sum(makers[one] == name for one in own)}"
        if state.waits_for:
            cached, todo = "-", "?"
        elif shared:
            why = f"the same as '{min(shared)}'"
        failed = f"{len(state.failed)}" if state.failed else ""
        table.add_row(name, state.node.what, cached, todo, failed, why)
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
    show_spent(run.made, costs(run))
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


def show_spent(made: Mapping[str, int], spent: Mapping[str, Any]) -> None:
    """What a run cost: time and bytes by node, the costliest first; slowest utterances; memory."""
    times = spent["seconds"]
    if not times and not spent["bytes"]:
        return  # everything was cached
    table = Table("spent on", "time", "a feature", "written", box=None, pad_edge=False)
    for node in sorted({*times, *spent["bytes"]}, key=lambda node: -times.get(node, 0.0)):
        n, took = made.get(node, 0), times.get(node, 0.0)
        each = f"{took / n * 1e3:.1f} ms" if n else ""
        table.add_row(node, seconds(took), each, f"{spent['bytes'].get(node, 0) / 1e6:.2f} MB")
    OUT.print(table)
    slow = [f"{s['utterance']} ({s['node']}, {s['seconds']:.2f} s)" for s in spent["slowest"]]
    if slow:
        OUT.print(f"slowest: {', '.join(slow[:SLOW_SHOWN])}")
    most = [(who, spent[who] / 1e9) for who in ("workers", "driver") if spent[who]]
    OUT.print("memory at most: " + ", ".join(f"{who} {gb:.2f} GB" for who, gb in most))
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
    """Mean and deviation over seeds on the test split, a table for each block of fits."""
    tables = run.test_scores()
    for scores in tables:
        rows = [
            [[cell] for cell in ((row.name, False), (row.seeds, False), (row.n, False), *row.cells)]
            for row in scores.rows
        ]
        show_table(scores.heads, rows)
        OUT.print(scores.note, style="dim")
        OUT.print()
    for told in left_out(run):
        OUT.print(visible(told), style="yellow")
    if tables:
        OUT.print(LEGEND, style="dim")


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
    for name, fit in run.skipped.items():
        ERR.print(f"{name}: skipped, for it needs '{fit}', which failed", style="red")
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
