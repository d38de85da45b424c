"""The command that makes a table, which any recipe takes, of a corpus as it lies on disk."""

from __future__ import annotations

import inspect
import os
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..cache.errors import BadCorpus
from .cli_options import complete

if TYPE_CHECKING:
    from ..cache.corpus import Corpus
    from ..extract.corpora.kind import Kind

#: Where the words of the command line are kept for its help.
_WORDS = f"{__name__}.words"


def _kinds(_: click.Context | None = None) -> Iterable[str]:
    from ..extract.corpora import KINDS

    return KINDS


class ImportCommand(click.Command):
    """Its help lists the kinds of corpora, or says how those lie on disk that stand before it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_WORDS] = list(args)
        return super().parse_args(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from ..extract.corpora import kind_named

        asked = [word for word in ctx.meta.get(_WORDS, ()) if word in _kinds()]
        if not asked:
            with formatter.section("Kinds (corpus import KIND --help says how one lies on disk)"):
                formatter.write_dl([(name, kind_named(name).about) for name in _kinds()])
        for name in asked:
            kind = kind_named(name)
            said = inspect.cleandoc(kind.read.__doc__ or "").partition("\n\nRaises:")[0]
            _write(formatter, f"{name}: {kind.about}. ROOT holds", kind.layout)
            _write(formatter, "How it is read; of the arguments all but root by --set", said)


def _write(formatter: click.HelpFormatter, head: str, text: str) -> None:
    """Lines as they stand."""
    with formatter.section(head):
        formatter.write(textwrap.indent(text, " " * formatter.current_indent) + "\n")


@click.command(name="import", cls=ImportCommand)
@click.argument("kind", shell_complete=complete(_kinds))
@click.argument("root", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder or .parquet file to write.  [default: KIND]",
)
@click.option(
    "--set",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of the kind's reader, as in a recipe's corpus: --set language=en. Repeatable.",
)
def corpus_import(kind: str, root: Path, out: Path | None, options: tuple[str, ...]) -> None:
    """Read the corpus of KIND that lies at ROOT, and write it as a table that any recipe takes.

    What had to be repaired on the way is said, and stands in the table; so is how the number of
    utterances differs from the official one, and which clips are missing. Media stay where they
    are. Exit code 1: it was written, and something in it has to be looked at.

    \b
      affectflow corpus import mosi MOSI
      affectflow corpus import table data.csv --set columns.id=utt --set family=mosi --out mine
      affectflow corpus import media VIDEOS --set longest=15 --out voxceleb
      affectflow run demo --corpus mosi
    """  # noqa: D301  # click reads the \b
    from ..extract.corpora import kind_named, read_with
    from .console import ConsoleReporter
    from .corpora import CorpusSpec
    from .result import staged
    from .variants import changed

    known = kind_named(kind)
    asked = {"corpus": {"kind": kind, "root": str(root)}}
    overrides = [f"corpus.{option}" for option in options]
    spec = CorpusSpec.from_mapping(changed(asked, "corpus import", (), None, overrides)["corpus"])
    with ConsoleReporter() as reporter:
        corpus = read_with(kind, root, spec.options, staged(reporter, "files")).without(
            spec.without
        )
    if not len(corpus):
        raise BadCorpus(f"nothing was found at '{root}': its tables have no utterance in them")
    written = corpus.write(out or Path(kind))
    sound = _show(corpus, known)
    click.echo(f"wrote {written}")
    click.echo(f"decode every clip: affectflow corpus check {written}")
    click.echo(f"train on it: affectflow run RECIPE --corpus {written}  (affectflow recipes)")
    if not sound:
        raise SystemExit(1)


def _show(corpus: Corpus, kind: Kind) -> bool:
    """Print what a corpus came to; whether it has no faults."""
    from ..extract.corpora import options_of
    from .console import ERR, show_note, show_rows

    faults = corpus.check()
    official = kind.against_official(corpus)
    rows = [(part or "-", f"{n:,}", f"{wanted:,}") for part, (n, wanted) in official.items()]
    rows = rows or [(part or "-", f"{n:,}", "-") for part, n in corpus.sizes.items()]
    show_rows(("part", "utterances", "official"), rows)
    for line in (*corpus.notes, *faults.notes, *faults.warnings):
        show_note(line)
    for line in faults.errors:
        ERR.print(f"fault: {line}", style="yellow", highlight=False)
    media = [path for path in corpus.to_frame()["media"] if path]
    if media and not any(map(os.path.isfile, media)):
        lies = " and give it as --set media_root=FOLDER" if "media_root" in options_of(kind) else ""
        show_note(f"not one of {len(media):,} media files is there: see where they lie{lies}")
    click.echo(f"{corpus!r}")
    return not faults.errors
