"""The command that searches the settings of a fit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .cli_options import (
    PACK_OPTIONS,
    RECIPE,
    RECIPE_OPTIONS,
    RUN_OPTIONS,
    complete,
    nodes,
    with_options,
)

if TYPE_CHECKING:
    from .sweep import Sweep

#: Trials that are shown, the best ones.
SHOWN = 10


@click.command()
@RECIPE
@click.option(
    "--node",
    required=True,
    shell_complete=complete(nodes),
    help="The fit whose settings are searched.",
)
@click.option("--trials", default=30, show_default=True, help="How many, earlier ones included.")
@click.option(
    "--search",
    multiple=True,
    metavar="SETTING=VALUES",
    help="What to search, beside what the recipe says: 'lr={low: 1e-4, high: 1e-2, log: true}', "
    "'post_units=[32, 64]'. Repeatable.",
)
@click.option(
    "--trial-seeds",
    type=click.IntRange(min=1),
    help="Seeds of each trial.  [default: those of the node]",
)
@click.option("--no-pruning", is_flag=True, help="Let bad trials run to their end.")
@click.option("--no-test", is_flag=True, help="Do not fit the best setting on the whole corpus.")
@click.option("--sweep-seed", default=0, show_default=True, help="Of the values that are drawn.")
@with_options((*PACK_OPTIONS, *RUN_OPTIONS[len(RECIPE_OPTIONS) :]))
def sweep(
    recipe: str,
    cache: Path,
    node: str,
    search: tuple[str, ...],
    trial_seeds: int | None,
    no_pruning: bool,
    no_test: bool,
    sweep_seed: int,
    corpus: Path | None,
    variants: tuple[str, ...],
    overrides: tuple[str, ...],
    **options: Any,
) -> None:
    """Search settings of one fit of RECIPE by its validation error, then fit the best one.

    Trials learn and are scored without the test split, which is looked at for the chosen setting
    alone. Stop it whenever you like: the same command goes on. Needs: pip install
    'affectflow[sweep]'.
    """
    from .console import ConsoleReporter
    from .console_run import show_failures, show_run, show_warnings
    from .recipe import load_recipe
    from .sweep import sweep as start

    told = [f"{node}.search.{one}" for one in search]
    loaded = load_recipe(recipe, (*overrides, *told), corpus, variants)
    with ConsoleReporter() as reporter:
        done = start(
            loaded,
            cache,
            node,
            seeds=trial_seeds,
            prune=not no_pruning,
            test=not no_test,
            seed=sweep_seed,
            reporter=reporter,
            **options,
        )
    _show(done)
    if done.run is None:
        show_warnings(done.inputs)
        show_failures(done.inputs)
    else:
        show_run(done.run)
        click.echo(f"report: {done.run.report()}")
    if not done.last.ok:
        raise SystemExit(1)


def _show(done: Sweep) -> None:
    """The best trials, how many there were, and how to have the best setting again."""
    from .console import show_rows

    ended = [row for row in done.trials if row.value is not None]
    best = sorted(ended, key=lambda row: (row.value, row.number))[:SHOWN]
    show_rows(
        ("trial", "validation error", *done.best.settings),
        [(row.number, f"{row.value:.4f}", *map(_text, row.settings.values())) for row in best],
    )
    counts = [f"{sum(row.state == s for row in done.trials)} {s}" for s in ("pruned", "fail")]
    click.echo(f"{len(done.trials)} trials ({', '.join(counts)}) in {done.file}")
    flags = [f"--set '{done.node}.{k}={v}'" for k, v in done.best.settings.items()]  # every digit
    click.echo(f"best: {' '.join(flags)}")


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
