"""The commands under ``affectflow features``: what cached features are worth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .cli_foreign import features_export, features_import
from .cli_options import CACHE, CommandGroup

if TYPE_CHECKING:
    from .comparison import Comparison


@click.group(name="features", cls=CommandGroup)
def features_group() -> None:
    """Look at features that are cached, or lie in files; take in and hand out."""


features_group.add_command(features_import)
features_group.add_command(features_export)


@features_group.command(name="compare")
@click.argument("a")
@click.argument("b")
@CACHE
@click.option(
    "--cache-b",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where B is cached, if in another folder.",
)
@click.option(
    "--corpus", type=click.Path(path_type=Path), help="Whose utterances to look up in the cache."
)
@click.option("--array", default="values", show_default=True, help="Which array of cached nodes.")
@click.option("--utterance", default="", help="Only this one.")
@click.option(
    "--circular", multiple=True, metavar="PATTERN", help="Columns that hold angles. Repeatable."
)
@click.option("--where", default="", metavar="COLUMN", help="Only rows where it is > 0 in B.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Write an HTML page, with plots."
)
def features_compare(
    a: str,
    b: str,
    cache: Path,
    cache_b: Path | None,
    corpus: Path | None,
    array: str,
    utterance: str,
    circular: tuple[str, ...],
    where: str,
    out: Path | None,
) -> None:
    """Say how well features A agree with B, column by column.

    A and B are nodes of a cache (RECIPE:NODE, or the first digits of a fingerprint, as 'affectflow
    cache ls' prints them) or files (.npz, .csv, .parquet) with named columns. Columns are matched
    by name, rows by time; errors are |A - B|. A dash means that there is no such number: a column
    that is constant has no correlation.

    \b
      affectflow features compare demo:audio old/audio.parquet
      affectflow features compare 3f2a91 77c0de --corpus MY_CORPUS --out compare.html
      affectflow features compare new.npz matlab.npz --circular 'HMPDM_*' --where VUV
    """  # noqa: D301  # click reads the \b
    from .comparison import compare
    from .console import show_rows
    from .feature_sets import feature_set
    from .report.comparison_page import figure, write_comparison

    found = compare(
        feature_set(a, cache, corpus, array, utterance),
        feature_set(b, cache_b or cache, corpus, array, utterance),
        circular,
        where,
    )
    show_rows(
        ("column", "rows", "r", "median error", "relative", "99% within", "largest"),
        [
            (c.column, c.n, *map(figure, (c.correlation, c.median, c.relative, c.high, c.most)))
            for c in found.columns
        ],
    )
    _show_notes(found)
    if out is not None:
        click.echo(f"wrote {write_comparison(found, out)}")


def _show_notes(found: Comparison) -> None:
    """What was compared, what was not, and what to look at first."""
    from ..cache.validation import count
    from .comparison import listed
    from .console import show_note
    from .report.comparison_page import figure

    both, more_a, more_b = found.utterances
    show_note(
        f"{count(found.rows[0], 'row')} compared, of {found.rows[1]:,} of A and "
        f"{found.rows[2]:,} of B, in {count(both, 'utterance')}; {more_a} more in A, {more_b} in B"
    )
    if found.by_number:
        show_note(f"rows have no times in {count(found.by_number, 'utterance')}: matched by number")
    for name, only in (("A", found.only_a), ("B", found.only_b)):
        if only:
            show_note(f"{count(len(only), 'column')} only in {name}: {listed(only)}")
    turned = [column.column for column in found.columns if column.turned]
    if turned:
        show_note(
            f"these look like angles: {listed(turned)}; --circular PATTERN compares them as such"
        )
    least = [f"{column.column} (r {figure(column.correlation)})" for column in found.least]
    if least:
        show_note(f"least alike: {', '.join(least)}")
