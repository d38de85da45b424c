"""Commands about what was trained: compare models, list results."""

from __future__ import annotations

from pathlib import Path

import click

from .cli_options import CACHE

SPLIT = click.option(
    "--split",
    type=click.Choice(["test", "valid", "train"]),
    default="test",
    show_default=True,
    help="Scores on this split.",
)


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@CACHE
@click.option("--task", default="", help="Label to compare on.  [default: M, or what all share]")
@SPLIT
@click.option(
    "--reference",
    default="",
    metavar="MODEL",
    help="Model that the others are tested against.  [default: the best one on validation]",
)
@click.option(
    "--metric", "metrics", multiple=True, help="Only this one. Repeatable.  [default: all]"
)
@click.option("--draws", default=10_000, show_default=True, type=click.IntRange(min=100),
              help="Samples of bootstrap and permutation test.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Of these samples.")
@click.option(
    "--out",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write .csv, .tex or .html. Repeatable.",
)
def compare(
    runs: tuple[str, ...],
    cache: Path,
    task: str,
    split: str,
    reference: str,
    metrics: tuple[str, ...],
    draws: int,
    seed: int,
    out: tuple[Path, ...],
) -> None:
    """Compare the models of RUNs on the same utterances: spread, intervals, tests.

    A RUN is the folder that 'affectflow run' wrote its report into, or the first letters of its
    name in --cache; RUN:FIT is one of its models. One RUN with several models will do.

    \b
      affectflow compare demo
      affectflow compare demo:fmlmsn demo:tfn demo:sf --out table.tex
      affectflow compare ours-3f2a runs/theirs-77c0:mult --reference ours-3f2a:tfn --out page.html
    """  # noqa: D301  # click reads the \b
    from .console import show_note, show_table
    from .fit_view import figures
    from .latex import MARK
    from .standings import compare_runs
    from .tables import FILES, explained, is_best

    for path in out:
        FILES.check(path)  # a wrong suffix is told before anything is computed
    found = compare_runs(runs, cache, task, split, reference, metrics, draws, seed)
    rows = []
    for system in found.systems:
        cells = [[(system.label, False)], [(str(len(system.fit.seeds)), False)]]
        for metric in found.metrics:
            cell = found.cells[system.label][metric]
            mark = MARK if cell.versus and cell.versus.differs else ""
            cells.append([(figures(cell.over_seeds) + mark, is_best(found, metric, cell))])
        rows.append(cells)
    show_table((f"{found.task}, {found.split}", "seeds", *found.metrics), rows)
    for line in explained(found):
        click.echo(line)
    for note in found.notes:
        show_note(note)
    for path in out:
        click.echo(f"wrote {FILES.write(found, path)}")


@click.command()
@click.argument(
    "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default="features"
)
@click.option(
    "--corpus",
    default="",
    help="Only this one: its name, the folder it was read from, or digits of its digest.",
)
@click.option("--model", default="", help="Only this one, as 'affectflow models' lists it.")
@click.option(
    "--feature", default="", help="Only from this: digits of a fingerprint, or an extractor's name."
)
@click.option("--task", default="", help="Scores of this label.  [default: each fit's main one]")
@SPLIT
@click.option("--trace", is_flag=True, help="Tell each row's recipe, features, weights and code.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Write all of it as .csv."
)
def results(
    folder: Path,
    corpus: str,
    model: str,
    feature: str,
    task: str,
    split: str,
    trace: bool,
    out: Path | None,
) -> None:
    """List what all runs under FOLDER came to; a cache, or a folder that holds several.

    \b
      affectflow results --model tfn --feature librosa-33 --trace
      affectflow results /data/caches --corpus CH-SIMS --out results.csv
    """  # noqa: D301  # click reads the \b
    from . import results as found
    from .console import show_note, show_rows
    from .results_file import FILES
    from .run_records import read_runs

    if out is not None:
        FILES.check(out)
    records = read_runs(folder)
    rows = found.results(
        records, corpus=corpus, model=model, feature=feature, task=task, split=split
    )
    for number, (heads, lines) in enumerate(found.tables(rows)):
        click.echo("\n" if number else "", nl=False)
        show_rows(heads, lines)
    for line in found.namesakes(rows):
        show_note(line)
    if trace:
        for one in rows:
            click.echo(f"\n{one.run.id}:{one.fit.name}")
            for what, value in found.trace(one):
                click.echo(f"  {what}: {value}")
    for line in found.untold(records):
        show_note(line)
    if not rows:
        show_note("no result: no fit of these runs was scored so")
    if out is not None:
        click.echo(f"wrote {FILES.write(rows, out)}")
