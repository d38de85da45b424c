"""How a run shows itself in a notebook."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from .nodes import Fit

if TYPE_CHECKING:
    from .result import Run


def as_html(run: Run) -> str:
    """Note of the corpus, test scores on the main task, features by node, failures, the report.

    Colours are those of the page, so that it reads in light and dark.
    """
    parts = [f"<p><b>Run {html.escape(run.id)}</b></p>"]
    if run.corpus.note:
        parts.append(f"<p><b>Note:</b> {html.escape(run.corpus.note)}</p>")
    parts += [_scores(run), _features(run)]
    path = run.folder / "report.html"
    where = str(path) if path.is_file() else f"run.report() writes {path}"
    told = f"failures: {run.n_failures:,}; warnings: {len(run.warnings):,}; report"
    parts.append(f"<p>{told}: <code>{html.escape(where)}</code></p>")
    return "".join(parts)


def _scores(run: Run) -> str:
    """Mean and deviation over seeds of each fit that learns the main task; empty without one."""
    tables = {table.task: table for table in run.test_scores()}
    if not tables:
        return ""
    table = tables.get("M") or list(tables.values())[-1]
    heads = (f"{table.task}, test", "seeds", *table.metrics)
    rows = [(row.fit, str(row.seeds), *row.cells) for row in table.rows]
    families = ", ".join(run.corpus.every_family)
    foot = f"Mean±standard deviation (n - 1) over seeds; metrics as of '{families}'."
    return f"{_table(heads, rows)}<p>{html.escape(foot)}</p>"


def _features(run: Run) -> str:
    rows = []
    for name, state in run.states.items():
        if isinstance(state.node, Fit):
            continue
        stored = f"{state.n_cached:,} of {state.n:,}"
        if state.waits_for:
            stored = f"waits for {', '.join(state.waits_for)}"
        rows.append((name, stored, f"{run.made.get(name, 0):,}", f"{len(state.failed):,}"))
    return _table(("features", "stored", "made now", "failed"), rows)


def _table(heads: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in heads)
    body = "".join(
        f"<tr><th>{html.escape(first)}</th>"
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
