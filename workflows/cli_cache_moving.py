"""Commands under ``affectflow cache`` that carry features and models from one store to another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .cli_options import CACHE, PACK_OPTIONS, CacheRoot, RecipeName, with_options

if TYPE_CHECKING:
    from ..cache.merge import Taken


@click.command(name="export")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--recipe", type=RecipeName(), help="What is cached of this recipe on its corpus.")
@click.option(
    "--node",
    "nodes",
    multiple=True,
    metavar="FINGERPRINT",
    help="This node or fit, whole ('cache du' prints them). Repeatable.",
)
@with_options(PACK_OPTIONS)
def cache_export(
    file: Path, recipe: str | None, nodes: Sequence[str], cache: Path, **options: Any
) -> None:
    """Write a part of the cache, or all of it, to FILE: a tar to carry to another lab.

    With --corpus alone it is what the latest run of each recipe on that corpus has cached. Of a
    recipe or corpus only its own utterances' features go along, though shards may hold others'.

    \b
      affectflow cache export mosi.tar --recipe fmlmsn --corpus MOSI
      affectflow cache import mosi.tar --cache features
    """  # noqa: D301  # click reads the \b
    from ..cache.archive import export_archive
    from ..cache.validation import count
    from .carrying import select
    from .console import ConsoleReporter
    from .result import staged

    with ConsoleReporter() as reporter:
        chosen = select(cache, recipe, nodes=nodes, reporter=reporter, **options)
        sizes = export_archive(cache, chosen, file, staged(reporter, "export"))
    click.echo(f"wrote {file}: {count(len(sizes), 'file')}, {sum(sizes.values()) / 1e6:.1f} MB")


@click.command(name="import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@CACHE
def cache_import(file: Path, cache: Path) -> None:
    """Take FILE, made by 'cache export', into the cache; what is there already stays.

    Nothing of FILE is taken unless all of it is as it was written. What its features say cannot be
    checked without making them again: import what you trust the sender of.
    """
    from ..cache.archive import import_archive
    from .console import ConsoleReporter
    from .result import staged

    with ConsoleReporter() as reporter:
        found = import_archive(cache, file, staged(reporter, "import"))
    _show_taken(found, str(file))


@click.command(name="merge")
@click.argument("other", type=CacheRoot(exists=True))
@CACHE
def cache_merge(other: Path, cache: Path) -> None:
    """Take all that the cache in folder OTHER holds into this one; OTHER is left as it is."""
    from ..cache.address import called
    from ..cache.merge import merge
    from .console import ConsoleReporter
    from .result import staged

    with ConsoleReporter() as reporter:
        found = merge(cache, other, staged(reporter, "merge"))
    _show_taken(found, called(other))


def _show_taken(found: Taken, source: str) -> None:
    from .console import show_note, show_rows

    for note in found.notes:
        show_note(note)
    if found.faults:
        show_rows(("damaged", "how"), [(fault.path, fault.message) for fault in found.faults])
    told = ", ".join(f"{n} of {folder}" for folder, n in sorted(found.new.items())) or "nothing new"
    rest = f"; {found.known} were here" if found.known else ""
    click.echo(f"from {source}: {told} ({found.bytes / 1e6:.1f} MB){rest}")
    if found.faults:
        click.echo(f"{len(found.faults)} damaged file(s) were left out")
        raise SystemExit(1)
