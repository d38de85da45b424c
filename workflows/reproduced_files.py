"""A published table next to ours as files: CSV for machines, LaTeX for papers, a page."""

from __future__ import annotations

from ..train.metrics import SMALLER_IS_BETTER
from .latex import latex, latex_score, latex_table
from .measured import (
    DASH,
    Line,
    Reproduction,
    measured_on,
    numbers,
    on_same_corpus,
    published_on,
)
from .printed import Cell, Printed, PrintedRow, blocks_of, measured_as, told
from .published_tables import SECONDS
from .table_files import TableFiles


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
    """A table environment in the paper's layout, legend and notes below it."""
    blocks, rows = blocks_of(found), list[str | list[str]]()
    for block in blocks:
        rows += [block.title] if block.title else []
        rows += [_latex_row(row) for row in block.rows]
    about = f"{found.table.title} ({found.paper}, {found.called})."
    heads = ["Model", *(_latex_head(found, heading) for heading in found.table.metrics)]
    label = f"{found.paper}-{found.number}"
    corpora = f"Published on {', '.join(found.corpora_published)}."
    return latex_table(about, label, heads, rows, [corpora, *told(found)])


def _latex_head(found: Reproduction, heading: str) -> str:
    return rf"{latex(heading)} $\{'down' if falls(found, heading) else 'up'}arrow$"


def _latex_row(row: PrintedRow) -> list[str]:
    name = r"\quad ours" if row.ours else latex(row.name)
    return [name, *("/".join(map(_latex_number, cell)) for cell in row.cells)]


def _latex_number(one: Printed) -> str:
    return "--" if one.mean == DASH else latex_score(one.mean, one.std, one.best)


def falls(found: Reproduction, heading: str) -> bool:
    """Whether smaller is better in a column."""
    return found.table.metrics[heading][0] in (*SMALLER_IS_BETTER, SECONDS)


def shown(cell: Cell) -> list[tuple[str, bool]]:
    """A cell as a terminal shows it: pieces of text, and whether each stands in bold."""
    pieces = [(str(one), one.best) for one in cell]
    between = [("/", False)] * len(pieces)
    return [piece for pair in zip(pieces, between, strict=True) for piece in pair][:-1]


def table_rows(found: Reproduction) -> list[list[list[tuple[str, bool]]]]:
    """Rows as a terminal shows them: those of a block below its title, ours below each."""
    rows: list[list[list[tuple[str, bool]]]] = []
    empty: list[list[tuple[str, bool]]] = [[] for _ in found.table.metrics]
    for block in blocks_of(found):
        indent = "  " if block.title else ""
        rows += [[[(block.title, False)], *empty]] if block.title else []
        for row in block.rows:
            name = f"{indent}{'  ' if row.ours else ''}{row.name}"
            rows.append([[(name, False)], *map(shown, row.cells)])
    return rows


def _as_page(found: Reproduction) -> str:
    from .report.template import render_page

    return render_page("reproduced.html", found=found, **said_of(found))


def said_of(found: Reproduction) -> dict[str, object]:
    """What the template of a table asks for, beside the table."""
    return {
        "blocks": blocks_of(found),
        "notes": told(found),
        "falls": {heading: falls(found, heading) for heading in found.table.metrics},
        "measured_as": measured_as,
    }


#: How a reproduced table is written to a file.
FILES = TableFiles("a reproduced table is", {".csv": as_csv, ".tex": as_latex, ".html": _as_page})
