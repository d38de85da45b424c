"""How a run shows itself in a notebook."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from .nodes import Fit

if TYPE_CHECKING:
    from .result import Run

#: Text, or text and whether it stands in bold.
Cell = str | tuple[str, bool]


def as_html(run: Run) -> str:
    """Note of the corpus, test scores, features by node, failures, the report.

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
    """Mean and deviation over seeds, a table for each block of fits; empty without one."""
    from .score_tables import LEGEND

    parts = []
    for scores in run.test_scores():
        rows: list[list[Cell]] = [[r.name, r.seeds, r.n, *r.cells] for r in scores.rows]
        parts.append(f"{_table(scores.heads, rows)}<p>{html.escape(scores.note)}</p>")
    return "".join([*parts, f"<p>{html.escape(LEGEND)}</p>"]) if parts else ""


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


def _table(heads: Iterable[str], rows: Iterable[Sequence[Cell]]) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in heads)
    body = "".join(
        f"<tr><th>{_cell(first)}</th>"
        + "".join(f"<td>{_cell(cell)}</td>" for cell in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(cell: Cell) -> str:
    text, bold = (cell, False) if isinstance(cell, str) else cell
    return f"<b>{html.escape(text)}</b>" if bold else html.escape(text)
