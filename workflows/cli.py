"""The command line: one function a command; parse, call one function, print.

Exit codes: 0 all done, 1 some utterances or fits failed, 2 wrong call, 130 stopped by Ctrl-C.
Libraries are loaded by the command that needs them, so that ``--help`` answers at once. Only the
``cli*.py`` files know click.
"""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import click

from .. import __version__
from ..cache.errors import AffectflowError, BadCall
from .cli_cache import cache_group
from .cli_compare import compare, results
from .cli_corpus import corpus_group
from .cli_features import features_group
from .cli_inspect import inspect
from .cli_names import extractors, models
from .cli_options import (
    DEVICE,
    PACK_OPTIONS,
    RECIPE,
    RECIPE_OPTIONS,
    RUN_OPTIONS,
    CommandGroup,
    complete,
    nodes,
    with_options,
)
from .cli_papers import recipes, reproduce
from .cli_status import status
from .cli_sweep import sweep

LOG = click.option(
    "--log",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Append what happens to this file: a line of JSON each time, for programs.",
)


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="affectflow")
def main() -> None:
    """Cached multimodal features and light fusion models, from raw video to a compared result.

    \b
    Start here (offline, on a small synthetic corpus made on the spot):
      affectflow run demo
    Take in a corpus as it lies on disk (CH-SIMS, MOSI, MOSEI, MELD, IEMOCAP, videos, tables):
      affectflow corpus import mosi FOLDER --out MY_CORPUS
    Look before you run, then run it on your own corpus:
      affectflow plan demo --corpus MY_CORPUS
      affectflow run demo --corpus MY_CORPUS --set tfn.lr=0.002
    See from another terminal how it goes on:
      affectflow status
    Print a paper's table with your own numbers below:
      affectflow reproduce fmlmsn 6 --corpus MY_CORPUS
    Score a new clip with what was trained:
      affectflow pack demo --node fmlmsn --out fmlmsn.zip
      affectflow predict fmlmsn.zip clip.mp4 --text "what a lovely day"
    See which face of a clip is taken for the one that speaks:
      affectflow inspect clip.mp4
    """


@main.command()
@RECIPE
@with_options(RECIPE_OPTIONS)
def plan(recipe: str, cache: Path, **options: Any) -> None:
    """Say what RECIPE has cached, what it would make, and why.

    Extracts and trains nothing; the synthetic corpus of 'demo' is made if it is not there yet.
    """
    from .console import ConsoleReporter
    from .console_run import show_plan
    from .run import plan_run

    with ConsoleReporter() as reporter:
        states = plan_run(recipe, cache, reporter=reporter, **options)
    show_plan(states)


@main.command()
@RECIPE
@with_options(RUN_OPTIONS)
@LOG
def run(recipe: str, **options: Any) -> None:
    """Run RECIPE to its end: extract, train, compare, report.

    --corpus is a folder in the layout of CH-SIMS, a table (CSV, TSV, Parquet) with a column id, or
    what 'affectflow corpus import' wrote. 'affectflow corpus import --help' lists the other kinds,
    'affectflow corpus import table --help' the columns of a table. How a corpus is read is set
    like any setting of the recipe:

    \b
      affectflow run demo --corpus MY_CORPUS --set tfn.lr=0.002
      affectflow run demo --corpus data.csv --set corpus.columns.id=utt --set corpus.family=mosi
      affectflow run fmlmsn --corpus MOSI --set corpus.kind=mosi
      affectflow run easum --set corpus.several.mosi.root=MOSI --set corpus.several.mosi.kind=mosi
    Trained once a fold and tested on every utterance (random, speakers, videos; sessions: each
    left out once), on features that all folds share:
      affectflow run demo --corpus IEMOCAP --set corpus.folds=sessions
      affectflow run demo --set corpus.folds.kind=speakers --set corpus.folds.k=5
    """  # noqa: D301  # click reads the \b
    _run(recipe, ("extract", "fit", "encode"), options)


@main.command()
@RECIPE
@with_options(RUN_OPTIONS)
@LOG
def extract(recipe: str, **options: Any) -> None:
    """Make the features of RECIPE and fill the store; trains nothing, needs no labels."""
    _run(recipe, ("extract",), options)


@main.command()
@RECIPE
@with_options(RUN_OPTIONS)
@LOG
def train(recipe: str, **options: Any) -> None:
    """Train the models of RECIPE on features that are cached already."""
    _run(recipe, ("fit", "encode"), options)


def _run(recipe: str, kinds: tuple[str, ...], options: dict[str, Any]) -> None:
    from .console import ConsoleReporter
    from .console_run import show_run
    from .json_log import JsonLog
    from .run import run as start
    from .several import Several

    path: Path | None = options.pop("log")
    with ExitStack() as stack:
        reporter = stack.enter_context(ConsoleReporter())
        log = [stack.enter_context(closing(JsonLog(path, reporter)))] if path else []
        done = start(recipe, kinds=kinds, reporter=Several(reporter, *log), **options)
    show_run(done)
    click.echo(f"report: {done.report()}")
    if not done.ok:
        raise SystemExit(1)


@main.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default="demo")
@click.option("-n", default=60, show_default=True, help="Utterances.")
@click.option("--seed", default=0, show_default=True, help="The same seed, the same corpus.")
def demo(folder: Path, n: int, seed: int) -> None:
    """Make the synthetic demo corpus in FOLDER, in the layout of CH-SIMS."""
    from .console import OUT, ConsoleReporter
    from .corpora import CorpusSpec
    from .result import staged

    with ConsoleReporter() as reporter:
        spec = CorpusSpec(str(folder), "demo", {"n": n, "seed": seed})
        corpus = spec.open(staged(reporter, "demo clips"))
    OUT.print(f"{len(corpus)} utterances in '{folder}'. {corpus.note}")


@main.command()
@RECIPE
@with_options(PACK_OPTIONS)
@click.option(
    "--node",
    required=True,
    shell_complete=complete(nodes),
    help="The fit whose model is packed.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write; a zip archive.",
)
def pack(recipe: str, cache: Path, node: str, out: Path, **options: Any) -> None:
    """Pack a fitted model of RECIPE, with every fit below it, into one file.

    Weights that extractors load from files of yours are not packed: where they lie elsewhere, say
    so to 'affectflow predict' by --set; that they are the same is checked.
    """
    from .bundle import pack_model

    click.echo(f"wrote {pack_model(recipe, cache, node, out, **options)}")


@main.command()
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("clips", nargs=-1, type=click.Path(path_type=Path))
@click.option("--text", default="", help="What is said in the clip.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="NODE.KEY=VALUE",
    help="Where weights lie on this machine: --set text.model=FOLDER. Repeatable.",
)
@DEVICE
def predict(
    model: Path, clips: tuple[Path, ...], text: str, overrides: tuple[str, ...], device: str
) -> None:
    """Score CLIPS with MODEL, a file made by 'affectflow pack'. Prints one row a clip."""
    from .bundle import Bundle
    from .console import show_error, show_note, show_rows
    from .machine import check_device

    check_device(device)
    bundle = Bundle.read(model, overrides)
    for note in bundle.notes:
        show_note(note)
    if not clips and not text:
        raise BadCall("nothing to score: name a clip, or give --text")
    rows, failed = [], False
    for clip in clips or (None,):
        try:
            scores = bundle.score(clip, text, device)
        except AffectflowError as error:
            show_error(error)
            failed = True
            continue
        for name, reason in scores.missing.items():
            show_note(f"{clip or 'text'}: without '{name}': {reason}")
        for name, messages in scores.warnings.items():
            for message in messages:
                show_note(f"{clip or 'text'}: '{name}': {message}")
        rows.append(
            (
                clip or "(text)",
                *[f"{value:+.3f}" for value in scores.values.values()],
                ", ".join(scores.missing) or "-",
            )
        )
    if rows:
        show_rows(("clip", *bundle.tasks, "missing"), rows)
    if failed:
        raise SystemExit(1)


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that completes affectflow's commands in SHELL.

    \b
    bash:  eval "$(affectflow completion bash)"     (in ~/.bashrc)
    zsh:   eval "$(affectflow completion zsh)"      (in ~/.zshrc)
    fish:  affectflow completion fish | source      (in config.fish)
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None  # click knows all three
    click.echo(kind(main, {}, "affectflow", "_AFFECTFLOW_COMPLETE").source())


LISTS = (recipes, extractors, models, results)
GROUPS = (corpus_group, cache_group, features_group)
for command in (*LISTS, *GROUPS, inspect, compare, reproduce, sweep, status):
    main.add_command(command)
