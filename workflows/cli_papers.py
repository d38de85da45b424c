"""Commands about papers: what recipes there are, and a published table next to ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    from .reproduced_files import FILES

    if table is None:
        _list_tables(paper)
        return
    for path in out:
        FILES.check(path)  # a wrong suffix is told before anything is run
    with ConsoleReporter() as reporter:
        found = start(paper, table, seeds=seeds, reporter=reporter, **options)
    _show(found)
    for path in out:
        click.echo(f"wrote {FILES.write(found, path)}")
    if any(line.row.node and not line.ours for line in found.lines):
        raise SystemExit(1)


def _list_tables(paper: str) -> None:
    from .console import OUT, show_facts, show_rows
    from .published_tables import elsewhere, tables_of

    show_rows(
        ("table", "what", "measured on", "rows", "ours"),
        [
            (number, table.title, ", ".join(table.corpora), len(table.rows), len(table.ours))
            for number, table in tables_of(paper).items()
        ],
    )
    others = elsewhere(paper)
    if others:
        OUT.print("\nWithout scores:")
        show_facts(others)


def _show(found: Reproduction) -> None:
    from .console import show_table
    from .printed import told
    from .reproduced_files import table_rows

    click.echo(f"{found.paper}, {found.called}: {found.table.title}")
    heads = (f"published on {', '.join(found.corpora_published)}", *found.table.metrics)
    show_table(heads, table_rows(found))
    for line in told(found):
        click.echo(line)


@click.command()
@click.argument("name", required=False, type=RecipeName(), metavar="[RECIPE]")
def recipes(name: str | None) -> None:
    """List the recipes that come with affectflow, or one with its nodes, variants and tables.

    What is expected of a recipe as it stands is what its paper printed; 'affectflow run' puts
    that beside what was measured, in the report.

    \b
      affectflow recipes
      affectflow recipes kebr
    """  # noqa: D301  # click reads the \b
    from .console import OUT, show_facts
    from .recipe import plain, shipped
    from .recipe_list import facts_of

    if name is not None:
        _show_recipe(name, plain(name))
        return
    for each in shipped():
        OUT.print(each, style="bold")
        show_facts(facts_of(each, plain(each)))
        OUT.print()
    click.echo("One with all it has: affectflow recipes RECIPE")


def _show_recipe(name: str, source: Mapping[str, Any]) -> None:
    """Paper, nodes, variants, and the published numbers that its nodes are to reach."""
    from .console import OUT, show_facts, show_rows, show_table
    from .recipe_list import corpora_of, expected, text_of
    from .reproduced_files import table_rows
    from .variants import variants_of

    facts = {key: text_of(source, key) for key in ("paper", "about")}
    show_facts({**facts, "corpora": corpora_of(name, source)})
    OUT.print()
    show_rows(("node", "kind", "what", "reads"), [_told(*node) for node in source["nodes"].items()])
    known = variants_of(source)
    if known:
        OUT.print()
        show_rows(("variant", "what"), [(one, own.get("about", "")) for one, own in known.items()])
        click.echo(f"Run one: affectflow run {name} --variant {next(iter(known))}")
    for found in expected(name):
        OUT.print()
        OUT.print(f"{found.called}: {found.table.title}", style="bold")
        heads = (f"published on {', '.join(found.corpora_published)}", *found.table.metrics)
        show_table(heads, table_rows(found))
        click.echo(f"Ours below: affectflow reproduce {found.paper} {found.number}")


def _told(name: str, node: Any) -> tuple[str, str, str, str]:
    """A node as it is written: name, kind, what runs there, what it reads."""
    from .recipe_nodes import KINDS

    settings = node if isinstance(node, dict) else {}
    kind = next((kind for kind in KINDS if kind in settings), "")
    on = settings.get("on", [])
    read = list(on.values()) if isinstance(on, dict) else on if isinstance(on, list) else [on]
    return name, kind, str(settings.get(kind, "")), ", ".join(map(str, read))
