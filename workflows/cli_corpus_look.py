"""Commands that look at corpora and put them together: show, check, merge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .cli_options import WORKERS

if TYPE_CHECKING:
    from ..cache.corpus import Corpus

CORPUS = click.argument("corpus", type=click.Path(path_type=Path))


@click.command(name="show")
@CORPUS
@click.option(
    "--hours/--no-hours",
    default=True,
    help="Ask each file how long it is, where segments have no end.  [default: hours]",
)
def corpus_show(corpus: Path, hours: bool) -> None:
    """Say what CORPUS holds: utterances, speakers, hours, labels by split, missing media.

    CORPUS is what 'corpus import' wrote, a folder in the layout of CH-SIMS, or a table. Nothing is
    decoded; see 'corpus check' for that.

    \b
      affectflow corpus show mosi
    """  # noqa: D301  # click reads the \b
    from .console import OUT, ConsoleReporter, show_note, show_rows
    from .corpus_summary import class_columns, class_table, label_table, lengths_of, split_table
    from .result import staged

    found = _open(corpus)
    with ConsoleReporter() as reporter:
        seconds = lengths_of(found, staged(reporter, "files")) if hours else {}
    click.echo(f"{found!r}")
    for heads, rows in (
        split_table(found, seconds),
        *([label_table(found)] if found.tasks else []),
        *(class_table(found, column) for column in class_columns(found)),
    ):
        OUT.print()
        show_rows(heads, rows)
    for line in found.notes:
        show_note(line)


@click.command(name="check")
@CORPUS
@click.option("--faces/--no-faces", default=True,
              help="Look for a face in one picture a second.  [default: faces]")  # fmt: skip
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default="corpus.html",
              show_default=True, help="Page to write.")  # fmt: skip
@click.option("--scheduler", default="processes", show_default=True,
              help="sync, processes, or a dask scheduler's address (tcp://host:port).")  # fmt: skip
@WORKERS
def corpus_check(corpus: Path, faces: bool, out: Path, scheduler: str, workers: int | None) -> None:
    """Decode every clip of CORPUS and write a page on what is odd.

    It finds what cannot be decoded, silence, clipped sound, pictures without a face, odd lengths,
    faults of the table, and what two splits share: a speaker, a video, or the same recording under
    another name. Exit code 1: something forbids the corpus' use.

    \b
      affectflow corpus check mosi --out mosi.html
      affectflow corpus check voxceleb --no-faces --workers 8
    """  # noqa: D301  # click reads the \b
    from .console import ERR, ConsoleReporter, show_note, show_rows
    from .corpus_check import check_corpus, closing, summary
    from .report.corpus_page import write_check

    found = _open(corpus)
    with ConsoleReporter() as reporter:
        done = check_corpus(
            found, faces=faces, scheduler=scheduler, workers=workers, reporter=reporter
        )
    if rows := summary(done):
        show_rows(("what", "clips", "it means that"), rows)
    for line in (*done.notes, *done.warnings):
        show_note(line)
    for line in done.errors:
        ERR.print(f"fault: {line}", style="yellow", highlight=False)
    click.echo(closing(done))
    click.echo(f"wrote {write_check(done, out)}")
    if not done.ok:
        raise SystemExit(1)


@click.command(name="merge")
@click.argument("corpora", nargs=-1, required=True, metavar="CORPUS...")
@click.option("--out", type=click.Path(path_type=Path), required=True,
              help="Folder or .parquet file to write.")  # fmt: skip
def corpus_merge(corpora: tuple[str, ...], out: Path) -> None:
    """Write several CORPUS as one, whose utterances know which of them they are from.

    Ids, speakers and dialogues get the corpus' name before them; NAME=CORPUS gives it another one
    than it has. Media stay where they are.

    \b
      affectflow corpus merge mosi mosei --out both
      affectflow corpus merge ours=table.parquet theirs=/data/mosi --out both
    """  # noqa: D301  # click reads the \b
    from ..cache.errors import BadCall
    from ..cache.joined import joined
    from .console import show_note

    parts: dict[str, Corpus] = {}
    for word in corpora:
        name, equals, place = word.rpartition("=")
        one = _open(Path(place))
        name = name if equals else one.name
        if name in parts:
            raise BadCall(
                f"two corpora are called '{name}': give one of them another name, {name}2={place}"
            )
        parts[name] = one
    whole = joined(parts)
    written = whole.write(out)
    for line in (*whole.notes, *whole.check(media=False).warnings):
        show_note(line)
    click.echo(f"{whole!r}")
    click.echo(f"wrote {written}; train on it: affectflow run RECIPE --corpus {written}")


def _open(place: Path) -> Corpus:
    """The corpus that lies at a path, whichever kind it is."""
    from .corpora import CorpusSpec

    return CorpusSpec(str(place)).open()
