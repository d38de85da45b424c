"""A published table next to ours as files: CSV for machines, LaTeX for papers, a page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..cache.publish import publish
from .measured import (
    DASH,
    Line,
    Reproduction,
    measured_on,
    numbers,
    on_same_corpus,
    our_cell,
    published_cell,
    published_on,
    row_name,
    told,
)
from .tables import by_suffix, latex, latex_table

Cells = list[tuple[str, bool]]


def write_reproduction(found: Reproduction, path: Path) -> Path:
    """Write a table and ours; the suffix says how: .csv, .tex, .html.

    Raises:
        BadCall: another suffix.
        StoreFull: the file system has no room.
        StoreReadOnly: the folder cannot be written to.
    """
    publish(path, writer(path)(found).encode(), replace=True)
    return path


def writer(path: Path) -> Callable[[Reproduction], str]:
    """What makes the text of such a file.

    Raises:
        BadCall: nothing does.
    """
    known = {".csv": as_csv, ".tex": as_latex, ".html": _as_page}
    return by_suffix(path, "a reproduced table", known)


def rows_of(found: Reproduction) -> list[Cells]:
    """Rows in the paper's layout: each as published, below it ours in bold where it was measured.

    The first cell is the row's name, that of its block before it where the paper has blocks.
    """
    rows: list[Cells] = []
    for line in found.lines:
        printed = [published_cell(found, line, heading) for heading in found.table.metrics]
        rows.append([(row_name(line), False), *((cell, False) for cell in printed)])
        if line.fit:
            ours = [our_cell(found, line, heading) for heading in found.table.metrics]
            rows.append([("  ours", True), *((cell, True) for cell in ours)])
    return rows


def as_csv(found: Reproduction) -> str:
    """A row for each row and number of the table: published, ours, and where ours came from."""
    import pandas as pd

    rows = []
    for line in found.lines:
        for heading, metrics in found.table.metrics.items():
            printed = numbers(line.row.published.get(heading))
            ours = line.ours.get(heading, ())
            for i, metric in enumerate(metrics):
                one = ours[i] if ours else None
                rows.append(
                    {
                        "table": f"{found.paper} {found.number}",
                        "group": line.row.group,
                        "row": line.row.name,
                        "heading": heading,
                        "metric": metric,
                        "published": printed[i] if i < len(printed) else None,
                        "published_on": published_on(found.table, line),
                        "mean": one.mean if one else None,
                        "std": one.std if one else None,
                        "seeds": one.n if one else None,
                        **_origin(found, line),
                    }
                )
    return pd.DataFrame(rows).to_csv(index=False)


def _origin(found: Reproduction, line: Line) -> dict[str, object]:
    """Which run of which node a row's numbers are of."""
    if line.fit is None or line.run is None:
        empty = dict.fromkeys(("corpus", "run", "fit", "task", "n", "fit_fingerprint"), "")
        return {"same_corpus": "", **empty, "why": line.why}
    return {
        "same_corpus": on_same_corpus(found.table, line),
        "corpus": measured_on(line),
        "run": line.run.id,
        "fit": line.fit.name,
        "task": line.row.task,
        "n": line.fit.rows(line.row.task).get("labelled", ""),
        "fit_fingerprint": line.fit.checkpoint.fingerprint,
        "why": line.why,
    }


def as_latex(found: Reproduction) -> str:
    """A table environment in the paper's layout; the packages stand above it."""
    title = f"{found.table.title} ({found.paper}, Table {found.number})."
    rows = []
    for name, *cells in rows_of(found):
        ours = name[1]
        first = r"\quad ours" if ours else latex(name[0])
        rows.append([first, *(_latex_cell(text, bold) for text, bold in cells)])
    heads = ["Model", *(latex(heading) for heading in found.table.metrics)]
    return latex_table([title, *told(found)], heads, rows)


def _latex_cell(text: str, bold: bool) -> str:
    if text == DASH:
        return "--"
    text = text.replace("-", "{-}").replace("±", r" \pm ")
    return f"${text}$" if not bold else rf"$\mathbf{{{text}}}$"


def _as_page(found: Reproduction) -> str:
    from .report.template import render_page

    return render_page(
        "reproduced.html",
        found=found,
        said=told(found),
        published=published_cell,
        ours=our_cell,
        called=row_name,
    )
