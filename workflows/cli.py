"""The command line: one function a command; parse, call one function, print. Only door to click.

Exit codes: 0 all done, 1 some utterances or fits failed, 2 wrong call, 130 stopped by Ctrl-C.
Libraries are loaded by the command that needs them, so that ``--help`` answers at once.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from .. import __version__
from ..cache.errors import AffectflowError, BadCall

STOPPED = 130


class _Group(click.Group):
    """Prints our own errors as one line and leaves with their exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except AffectflowError as error:
            from .console import show_error

            show_error(error)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("stopped; what was made is kept: run the same command to go on", err=True)
            ctx.exit(STOPPED)


class _RecipeName(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4
    """Name of a shipped recipe or path of a YAML file; completes both."""

    name = "recipe"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[Any]:
        from click.shell_completion import CompletionItem

        from .recipe import shipped

        names = [CompletionItem(name) for name in shipped() if name.startswith(incomplete)]
        return names or [CompletionItem(incomplete, type="file")]


def _complete(names: Callable[[click.Context], Iterable[str]]) -> Any:
    """A completion from a list of names that is made when it is asked for."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        try:
            return [name for name in names(ctx) if name.startswith(incomplete)]
        except AffectflowError:
            return []  # a half-typed recipe: nothing to offer yet

    return complete


def _nodes(ctx: click.Context) -> Iterable[str]:
    from .recipe import load_recipe

    # An option without its value yet leaves the words before it unparsed.
    words = [ctx.params.get("recipe"), *ctx.args]
    return load_recipe(next(word for word in words if word)).workflow.nodes if any(words) else ()


def _extractors(_: click.Context) -> Iterable[str]:
    from ..extract.registry import EXTRACTORS

    return EXTRACTORS


def _models(_: click.Context) -> Iterable[str]:
    from ..train.registry import MODELS

    return MODELS


RECIPE = click.argument("recipe", type=_RecipeName())
CACHE = click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    default="features",
    show_default=True,
    help="Folder of the feature store; made if missing.",
)
_PACK_OPTIONS = (
    CACHE,
    click.option("--corpus", type=click.Path(path_type=Path), help="Run on this folder or table."),
    click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="NODE.KEY=VALUE",
        help="Change a setting of the recipe: --set tfn.lr=0.002. Repeatable.",
    ),
)
_RECIPE_OPTIONS = (
    *_PACK_OPTIONS,
    click.option(
        "--until",
        multiple=True,
        metavar="NODE",
        shell_complete=_complete(_nodes),
        help="Only this node and what it needs. Repeatable.",
    ),
)
_RUN_OPTIONS = (
    *_RECIPE_OPTIONS,
    click.option(
        "--scheduler",
        default="processes",
        show_default=True,
        help="sync, processes, or a dask scheduler's address (tcp://host:port).",
    ),
    click.option(
        "--workers", type=click.IntRange(min=1), help="Worker processes.  [default: one a core]"
    ),
    click.option(
        "--device",
        type=click.Choice(["cpu", "cuda"]),
        default="cpu",
        show_default=True,
        help="For neural extractors and fits.",
    ),
    click.option("--retry-failed", is_flag=True, help="Try again what failed before."),
    click.option("--strict", is_flag=True, help="Stop at the first failure."),
    click.option(
        "--allow-mixed",
        is_flag=True,
        help="Join features made by different versions of a library.",
    ),
)


def _options(options: tuple[Callable[[Any], Any], ...]) -> Callable[[Any], Any]:
    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="affectflow")
def main() -> None:
    """Cached multimodal features and light fusion models, from raw video to a compared result.

    \b
    Start here (offline, on a small synthetic corpus made on the spot):
      affectflow run demo
    Look before you run, then run it on your own corpus:
      affectflow plan demo --corpus MY_CORPUS
      affectflow run demo --corpus MY_CORPUS --set tfn.lr=0.002
    Score a new clip with what was trained:
      affectflow pack demo --node fmlmsn --out fmlmsn.zip
      affectflow predict fmlmsn.zip clip.mp4 --text "what a lovely day"
    """


@main.command()
@RECIPE
@_options(_RECIPE_OPTIONS)
def plan(recipe: str, cache: Path, **options: Any) -> None:
    """Say what RECIPE has cached, what it would make, and why.

    Extracts and trains nothing; the synthetic corpus of 'demo' is made if it is not there yet.
    """
    from .console import ConsoleReporter, show_plan
    from .run import plan_run

    with ConsoleReporter() as reporter:
        states = plan_run(recipe, cache, reporter=reporter, **options)
    show_plan(states)


@main.command()
@RECIPE
@_options(_RUN_OPTIONS)
def run(recipe: str, **options: Any) -> None:
    """Run RECIPE to its end: extract, train, compare, report."""
    _run(recipe, ("extract", "fit", "encode"), options)


@main.command()
@RECIPE
@_options(_RUN_OPTIONS)
def extract(recipe: str, **options: Any) -> None:
    """Make the features of RECIPE and fill the store; trains nothing, needs no labels."""
    _run(recipe, ("extract",), options)


@main.command()
@RECIPE
@_options(_RUN_OPTIONS)
def train(recipe: str, **options: Any) -> None:
    """Train the models of RECIPE on features that are cached already."""
    _run(recipe, ("fit", "encode"), options)


def _run(recipe: str, kinds: tuple[str, ...], options: dict[str, Any]) -> None:
    from .console import ConsoleReporter, show_run
    from .run import run as start

    with ConsoleReporter() as reporter:
        done = start(recipe, kinds=kinds, reporter=reporter, **options)
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
    from .console import ConsoleReporter
    from .corpora import CorpusSpec
    from .driver import staged

    with ConsoleReporter() as reporter:
        spec = CorpusSpec(str(folder), "demo", {"n": n, "seed": seed})
        corpus = spec.open(staged(reporter, "demo clips"))
    click.echo(f"{len(corpus)} utterances in '{folder}'. {corpus.note}")


@main.command()
@RECIPE
@_options(_PACK_OPTIONS)
@click.option(
    "--node",
    required=True,
    shell_complete=_complete(_nodes),
    help="The fit whose model is packed.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write; a zip archive.",
)
def pack(recipe: str, cache: Path, node: str, out: Path, **options: Any) -> None:
    """Pack a fitted model of RECIPE, with all it needs, into one portable file."""
    from .bundle import pack_model

    click.echo(f"wrote {pack_model(recipe, cache, node, out, **options)}")


@main.command()
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("clips", nargs=-1, type=click.Path(path_type=Path))
@click.option("--text", default="", help="What is said in the clip.")
def predict(model: Path, clips: tuple[Path, ...], text: str) -> None:
    """Score CLIPS with MODEL, a file made by 'affectflow pack'. Prints one row a clip."""
    from .bundle import Bundle
    from .console import show_error, show_note, show_rows

    bundle = Bundle.read(model)
    for note in bundle.notes:
        show_note(note)
    if not clips and not text:
        raise BadCall("nothing to score: name a clip, or give --text")
    rows, failed = [], False
    for clip in clips or (None,):
        try:
            scores = bundle.score(clip, text)
        except AffectflowError as error:
            show_error(error)
            failed = True
            continue
        for name, reason in scores.missing.items():
            show_note(f"{clip or 'text'}: without '{name}': {reason}")
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
def recipes() -> None:
    """List the recipes that come with affectflow."""
    from .console import show_rows
    from .recipe import load_recipe, shipped

    loaded = [load_recipe(name) for name in shipped()]
    show_rows(
        ("recipe", "nodes", "about"),
        [
            (
                r.name,
                len(r.workflow.nodes),
                r.workflow.about.get("paper") or r.workflow.about["about"],
            )
            for r in loaded
        ],
    )


@main.command()
@click.argument("name", required=False, shell_complete=_complete(_extractors))
def extractors(name: str | None) -> None:
    """List all extractors, or one with its settings and what it makes."""
    from ..extract.base import settings_table
    from ..extract.registry import EXTRACTORS, extractor_class
    from .console import OUT, show_rows

    if name is None:
        kinds = [extractor_class(known) for known in EXTRACTORS]
        show_rows(
            ("extractor", "modality", "what"),
            [(k.name, k.modality, (k.__doc__ or "").split("\n")[0]) for k in kinds],
        )
        return
    kind = extractor_class(name)
    OUT.print((kind.__doc__ or "").strip(), highlight=False)
    show_rows(("setting", "default"), settings_table(kind).items())


@main.command()
@click.argument("name", required=False, shell_complete=_complete(_models))
def models(name: str | None) -> None:
    """List all models, or one with its settings and those of its training."""
    from ..train.registry import MODELS, settings_table
    from ..train.training import Training
    from .console import OUT, show_rows

    if name is None:
        show_rows(
            ("model", "what"),
            [(key, (e.settings.__doc__ or "").split("\n")[0]) for key, e in MODELS.items()],
        )
        return
    rows = settings_table(name).items()
    for explained in (MODELS[name].settings, Training):
        OUT.print(f"{inspect.getdoc(explained)}\n", highlight=False)
    show_rows(("setting", "default"), rows)


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


@main.group(name="cache", cls=_Group)
def cache_group() -> None:
    """Look into a feature store, check it, clean it."""


@cache_group.command(name="ls")
@CACHE
def cache_list(cache: Path) -> None:
    """List what is stored: a line a node, with counts and bytes."""
    from ..cache.audit import list_nodes
    from .console import show_nodes

    show_nodes(list_nodes(cache))


@cache_group.command(name="show")
@click.argument("fingerprint")
@CACHE
def cache_show(fingerprint: str, cache: Path) -> None:
    """Say what the node with this FINGERPRINT (its first digits) was made from."""
    import json

    from ..cache.audit import show

    click.echo(json.dumps(show(cache, fingerprint), indent=2, ensure_ascii=False))


@cache_group.command(name="verify")
@CACHE
def cache_verify(cache: Path) -> None:
    """Read every stored byte and report each file that is damaged."""
    from ..cache.audit import verify
    from .console import ConsoleReporter, show_rows
    from .driver import staged

    with ConsoleReporter() as reporter:
        found = verify(cache, progress=staged(reporter, "verify"))
    if found.faults:
        show_rows(("damaged", "how"), [(fault.path, fault.message) for fault in found.faults])
    click.echo(f"{found.files} files, {found.bytes / 1e6:.1f} MB, {len(found.faults)} damaged")
    if found.faults:
        click.echo("'affectflow cache prune --damaged' removes them; the next run makes them again")
        raise SystemExit(1)


@cache_group.command(name="prune")
@CACHE
@click.option("--damaged", is_flag=True, help="Also remove files that are damaged.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
def cache_prune(cache: Path, damaged: bool, dry_run: bool) -> None:
    """Remove what killed runs left behind, and doubled shards."""
    from ..cache.audit import prune
    from .console import show_rows

    gone = prune(cache, dry_run=dry_run, damaged=damaged)
    if gone:
        show_rows(("file", "why", "bytes"), [(g.path, g.why, g.bytes) for g in gone])
    verb = "would be removed" if dry_run else "removed"
    click.echo(f"{len(gone)} files {verb}, {sum(g.bytes for g in gone) / 1e6:.1f} MB")


@cache_group.command(name="reindex")
@CACHE
def cache_reindex(cache: Path) -> None:
    """Make the index anew from the shards."""
    from ..cache.audit import reindex

    click.echo(f"{reindex(cache)} shards indexed")
