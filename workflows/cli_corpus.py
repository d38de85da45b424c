"""The commands under ``affectflow corpus``: take a corpus in as it lies on disk."""

from __future__ import annotations

from pathlib import Path

import click

from .cli_options import CommandGroup


@click.group(name="corpus", cls=CommandGroup)
def corpus_group() -> None:
    """Take corpora in, as they lie on disk."""


@corpus_group.command(name="import")
@click.argument("kind")
@click.argument("root", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder or .parquet file to write.  [default: KIND]",
)
def corpus_import(kind: str, root: Path, out: Path | None) -> None:
    """Read the corpus of KIND that lies at ROOT, and write it as a table any recipe takes.

    What had to be repaired on the way is printed, and stands in the table. Media stay where they
    are.

    \b
      affectflow corpus import ch-sims CH-SIMS --out sims
      affectflow run demo --corpus sims
    """  # noqa: D301  # click reads the \b
    from ..extract.corpora import read_corpus
    from .console import show_note

    corpus = read_corpus(kind, root)
    written = corpus.write(out or Path(kind))
    faults = corpus.check()
    for line in (*corpus.notes, *faults.errors, *faults.warnings):
        show_note(line)
    click.echo(f"{corpus!r}")
    click.echo(f"wrote {written}; train on it: affectflow run RECIPE --corpus {written}")
