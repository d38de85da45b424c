"""The commands that take in features that others made, and hand out ours for others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..cache.errors import BadCall
from .cli_options import CACHE, PACK_OPTIONS, RECIPE, complete, nodes, with_options


@click.command(name="import")
@click.argument("file", type=click.Path(path_type=Path))
@CACHE
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the corpus table and a recipe.  [default: FILE without its ending]",
)
@click.option("--format", "kind", default="", help="Of FILE.  [default: told from its content]")
@click.option(
    "--corpus",
    type=click.Path(path_type=Path),
    help="Whose utterances they are, if not FILE's own.",
)
@click.option("--name", default="", help="Of the corpus that is written.  [default: FILE's]")
@click.option("--family", default="", help="Metric family of its labels: sims, mosi or mag.")
@click.option("--array", default="", help="What to call the array, where FILE does not say.")
@click.option(
    "--modality", default="", help="text, audio or vision, where nothing in FILE tells it."
)
def features_import(
    file: Path,
    cache: Path,
    out: Path | None,
    kind: str,
    corpus: Path | None,
    name: str,
    family: str,
    array: str,
    modality: str,
) -> None:
    """Take in features that another program made; any recipe can read them then.

    FILE is a feature pickle (the community's, MulT's, MAG-BERT's) or another of the formats that
    the documentation lists; pickles are read without running anything that is in them. A corpus
    table is written where FILE holds ids, splits and labels, and a recipe to go on with. Of a
    folder of computational sequences (.csd), the labels' segments become the utterances, and the
    recipe aligns the features to the words.

    \b
      affectflow features import unaligned_50.pkl --out mosi
      affectflow features import FOLDER_OF_CSD --out mosi
      affectflow run mosi/recipe.yaml
    """  # noqa: D301  # click reads the \b
    from .console import ConsoleReporter, show_note, show_rows
    from .importing import import_features

    with ConsoleReporter() as reporter:
        done = import_features(
            file,
            out or Path(file.stem),
            cache,
            kind=kind,
            corpus=corpus,
            name=name,
            family=family,
            options={"array": array, "modality": modality},
            reporter=reporter,
        )
    show_rows(
        ("array", "modality", "columns", "dtype", "utterances", "rows", "cached before"),
        [
            (a.name, a.modality, a.columns, a.dtype, f"{a.utterances:,}", f"{a.rows:,}", a.cached)
            for a in done.arrays
        ],
    )
    for line in done.notes:
        show_note(line)
    click.echo(f"{done.corpus!r}")
    click.echo(f"run it: affectflow run {done.recipe} --cache {cache}")


@click.command(name="export")
@RECIPE
@click.argument("out", type=click.Path(path_type=Path))
@with_options(PACK_OPTIONS)
@click.option("--format", "kind", default="", help="Of OUT.  [default: told by its ending]")
@click.option(
    "--node",
    "chosen",
    multiple=True,
    metavar="[NAME=]NODE",
    shell_complete=complete(nodes),
    help="Write this node, called NAME. Repeatable.  [default: text, audio and vision]",
)
@click.option("--split", "splits", multiple=True, help="Only this split. Repeatable.")
@click.option(
    "--part",
    "parts",
    multiple=True,
    metavar="CORPUS",
    help="Of several corpora that RECIPE joins, only this one. Repeatable.",
)
@click.option(
    "--rows",
    multiple=True,
    metavar="NAME=N",
    help="Pad or cut an array to N rows. Repeatable.  [default: those of its longest]",
)
@click.option("--allow-mixed", is_flag=True, help="Join features made by different versions.")
def features_export(
    recipe: str,
    out: Path,
    chosen: tuple[str, ...],
    splits: tuple[str, ...],
    parts: tuple[str, ...],
    rows: tuple[str, ...],
    **options: Any,
) -> None:
    """Write cached features of RECIPE to OUT, as other frameworks read them; extracts nothing.

    OUT ending in .pkl becomes the feature pickle that the field's frameworks train on, .csd a
    computational sequence (one node, with times), .npz plain arrays with their table, .parquet
    one table, .hf a folder that Hugging Face 'datasets' loads. All of them can be imported again.

    \b
      affectflow features export demo demo.pkl
      affectflow features export demo audio.pkl --node audio --split test --rows audio=400
      affectflow features export demo demo.parquet --corpus SOME_OF_THEM.csv
    """  # noqa: D301  # click reads the \b
    from .console import ConsoleReporter, show_note
    from .exporting import export_features

    with ConsoleReporter() as reporter:
        done = export_features(
            recipe,
            out,
            nodes=chosen,
            splits=splits,
            parts=parts,
            longest=dict(_rows(given) for given in rows),
            reporter=reporter,
            **options,
        )
    for line in done.notes:
        show_note(line)
    for name, (node, absent) in done.arrays.items():
        if absent:
            show_note(f"'{name}': {absent} of {done.utterances} utterances have no row of '{node}'")
    named = ", ".join(done.arrays)
    click.echo(f"wrote {done.path}: {done.utterances} utterances, {named}")


def _rows(given: str) -> tuple[str, int]:
    name, _, n = given.partition("=")
    if not n.isdecimal() or int(n) < 1:
        raise BadCall(f"--rows is NAME=N with a whole number N of at least 1, not {given!r}")
    return name, int(n)
