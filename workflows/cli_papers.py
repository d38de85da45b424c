"""Commands about papers: what recipes there are, and a published table next to ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .cli_options import (
    PACK_OPTIONS,
    RECIPE_OPTIONS,
    RUN_OPTIONS,
    RecipeName,
    complete,
    with_options,
)

if TYPE_CHECKING:
    from .measured import Reproduction


def _papers(_: click.Context) -> Iterable[str]:
    from .published_tables import papers

    return papers()


def _tables(ctx: click.Context) -> Iterable[str]:
    from .published_tables import tables_of

    paper = ctx.params.get("paper") or next(iter(ctx.args), "")
    return tables_of(paper) if paper else ()


#: As for a run, without --until: the table says which nodes are wanted.
OPTIONS = (*PACK_OPTIONS, *RUN_OPTIONS[len(RECIPE_OPTIONS) :])


@click.command()
@click.argument("paper", shell_complete=complete(_papers))
@click.argument("table", required=False, shell_complete=complete(_tables))
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    help="Seeds of each fit in the table.  [default: those of the recipe]",
)
@click.option(
    "--out",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write .csv, .tex or .html. Repeatable.",
)
@with_options(OPTIONS)
def reproduce(
    paper: str, table: str | None, seeds: int | None, out: tuple[Path, ...], **options: Any
) -> None:
    """Run what measures TABLE of PAPER, and print it in the paper's layout with ours below.

    Without TABLE: list the tables. Each variant is run once, what they share is made once, and
    what is cached is not made again. A --variant is put beneath those of each row: the
    hyper-parameters of another corpus, or models on frozen features.

    \b
      affectflow reproduce fmlmsn
      affectflow reproduce fmlmsn 6 --corpus CH-SIMS --out table6.tex
      affectflow reproduce fmlmsn 6 --seeds 1 --set text.model=FOLDER
    """  # noqa: D301  # click reads the \b
    from .console import ConsoleReporter
    from .reproduce import reproduce as start
    from .reproduced_files import write_reproduction, writer

    if table is None:
        _list_tables(paper)
        return
    for path in out:
        writer(path)  # a wrong suffix is told before anything is run
    with ConsoleReporter() as reporter:
        found = start(paper, table, seeds=seeds, reporter=reporter, **options)
    _show(found)
    for path in out:
        click.echo(f"wrote {write_reproduction(found, path)}")
    if any(line.row.node and not line.fit for line in found.lines):
        raise SystemExit(1)


def _list_tables(paper: str) -> None:
    from .console import show_rows
    from .published_tables import tables_of

    show_rows(
        ("table", "what", "measured on", "rows", "ours"),
        [
            (number, table.title, table.corpus, len(table.rows), len(table.ours))
            for number, table in tables_of(paper).items()
        ],
    )


def _show(found: Reproduction) -> None:
    from .console import show_table
    from .measured import told
    from .reproduced_files import rows_of

    click.echo(f"{found.paper}, Table {found.number}: {found.table.title}")
    show_table((f"published on {found.table.corpus}", *found.table.metrics), rows_of(found))
    for line in told(found):
        click.echo(line)


@click.command()
@click.argument("name", required=False, type=RecipeName(), metavar="[RECIPE]")
def recipes(name: str | None) -> None:
    """List the recipes that come with affectflow, or one with its nodes, variants and tables."""
    from .console import show_rows
    from .recipe import plain, shipped
    from .variants import variants_of

    if name is not None:
        _show_recipe(name, plain(name))
        return
    rows = []
    for each in shipped():
        source, tables = plain(each), expected(each)
        rows.append(
            (
                each,
                ", ".join(dict.fromkeys(found.table.corpus for found in tables)),
                len(source["nodes"]),
                len(variants_of(source)) or "",
                ", ".join(dict.fromkeys(found.number for found in tables)),
                _first_score(tables),
                " ".join(str(source.get("paper") or source["about"]).split()),
            )
        )
    heads = ("recipe", "corpora", "nodes", "variants", "tables", "expected", "about")
    show_rows(heads, rows)
    click.echo("\nOne with all it has: affectflow recipes RECIPE")


def expected(recipe: str) -> list[Reproduction]:
    """Rows of published tables that a recipe measures, a table each."""
    from .measured import Line, Reproduction
    from .published_tables import papers, tables_of

    return [
        Reproduction(paper, number, table, [Line(row) for row in mine])
        for paper in papers()
        for number, table in tables_of(paper).items()
        if (mine := [row for row in table.ours if row.recipe == recipe])
    ]


def _first_score(tables: Sequence[Reproduction]) -> str:
    """The published score of the first table's last row, where a paper's own model stands."""
    from .measured import published_cell

    for found in tables:
        line, heading = found.lines[-1], next(iter(found.table.metrics))
        cell = published_cell(found, line, heading)
        return f"{heading} {cell} (Table {found.number})"
    return ""


def _show_recipe(name: str, source: Mapping[str, Any]) -> None:
    """Paper, nodes, variants, and the published numbers that its nodes are to reach."""
    from .console import OUT, show_rows, show_table
    from .reproduced_files import rows_of
    from .variants import variants_of

    for what in ("paper", "about"):
        if what in source:
            OUT.print(f"{' '.join(str(source[what]).split())}\n", highlight=False, markup=False)
    show_rows(("node", "kind", "what", "reads"), [_told(*node) for node in source["nodes"].items()])
    known = variants_of(source)
    if known:
        OUT.print()
        show_rows(("variant", "what"), [(one, own.get("about", "")) for one, own in known.items()])
        click.echo(f"Run one: affectflow run {name} --variant {next(iter(known))}")
    for found in expected(name):
        OUT.print()
        heads = (f"Table {found.number}, {found.table.corpus}", *found.table.metrics)
        show_table(heads, rows_of(found))
        click.echo(f"{found.table.title}: affectflow reproduce {found.paper} {found.number}")


def _told(name: str, node: Any) -> tuple[str, str, str, str]:
    """A node as it is written: name, kind, what runs there, what it reads."""
    from .recipe_nodes import KINDS

    settings = node if isinstance(node, dict) else {}
    kind = next((kind for kind in KINDS if kind in settings), "")
    on = settings.get("on", [])
    read = list(on.values()) if isinstance(on, dict) else on if isinstance(on, list) else [on]
    return name, kind, str(settings.get(kind, "")), ", ".join(map(str, read))
