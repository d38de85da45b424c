"""The command that joins labels of a second table to a corpus."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from .label_agreement import LabelPair


@click.command(name="annotate")
@click.argument("corpus", type=click.Path(path_type=Path))
@click.argument("table", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True,
              help="Folder or .parquet file to write.")  # fmt: skip
def corpus_annotate(corpus: Path, table: Path, out: Path) -> None:
    """Join the labels of TABLE to CORPUS, and say how far labels agree.

    TABLE (CSV, TSV, Parquet) has a column 'id', or 'video_id' and 'clip_id', and labels: M T A V
    TA TV AV, label_TA and so on, or FmlMSN's AT and VT. Labels that the corpus lacks are added;
    one that it has stays as it is, and the table's is compared with it.

    \b
      affectflow corpus annotate sims bimodal.csv --out sims7
      affectflow run fmlmsn --corpus sims7
    """  # noqa: D301  # click reads the \b
    from ..cache.annotated import annotated
    from ..extract.corpora.annotations import read_annotations
    from .console import ERR, show_note, show_rows
    from .corpora import CorpusSpec
    from .label_agreement import label_pairs, second_pairs

    read = read_annotations(table)
    joined = annotated(CorpusSpec(str(corpus)).open(), read.ids, read.labels)
    whole = joined.corpus
    written = whole.write(out)
    pairs = [*second_pairs(whole, joined.second), *label_pairs(whole)]
    show_rows(("labels", "n", "coverage", "Pearson", "MAE", "alpha", "kappa", "opposite"),
              _rows(pairs))  # fmt: skip
    for line in (*read.notes, *joined.notes):
        show_note(line)
    faults = [*read.faults, *whole.check(media=False).errors]
    for line in faults:
        ERR.print(f"fault: {line}", style="yellow", highlight=False)
    click.echo(f"added {', '.join(joined.added) or 'no label'}; wrote {written}")
    if faults:
        raise SystemExit(1)


def _rows(pairs: Iterable[LabelPair]) -> list[tuple[str, ...]]:
    return [
        (
            f"{pair.a}, {pair.b}",
            f"{pair.n:,}",
            *(
                f"{value:.3f}" if math.isfinite(value) else "-"
                for value in (pair.coverage, pair.correlation, pair.mae, pair.alpha, pair.kappa)
            ),
            f"{pair.opposite:,}",
        )
        for pair in pairs
    ]
