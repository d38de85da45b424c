"""What the commands share: arguments and options, their completion, errors as one line."""

from __future__ import annotations

import errno
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from ..cache.errors import AffectflowError, BadCall

STOPPED = 130
#: What a system answers to words that are no path: too long, or links in a circle.
NO_PATH = frozenset({errno.ENAMETOOLONG, errno.ELOOP})
#: Seconds that a stopped command may take to put things away; Ctrl-C is not heard meanwhile.
PUT_AWAY = 20.0


@contextmanager
def _one_interrupt() -> Iterator[None]:
    """Hear Ctrl-C once; while things are put away then, further ones are not heard.

    One that comes much later is heard again: the first may have been lost in a library. A process
    that was stopped is about to end, and hears no more at all.
    """
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield  # somebody else decides what Ctrl-C does, or it is ignored (nohup)
        return
    heard: float | None = None

    def stop(*_: object) -> None:
        nonlocal heard
        if heard is None or time.monotonic() - heard > PUT_AWAY:
            heard = time.monotonic()
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(
            signal.SIGINT, signal.default_int_handler if heard is None else signal.SIG_IGN
        )


class CommandGroup(click.Group):
    """Prints our own errors as one line and leaves with their exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with _one_interrupt():
                return super().invoke(ctx)
        except (AffectflowError, OSError) as error:
            from .console import show_error

            ours = error if isinstance(error, AffectflowError) else _no_path(error)
            show_error(ours)
            ctx.exit(ours.exit_code)
        except KeyboardInterrupt:
            click.echo("stopped; what was made is kept: run the same command to go on", err=True)
            ctx.exit(STOPPED)


def _no_path(error: OSError) -> AffectflowError:
    """The error for words that are no path; any other one is a bug, and raised again."""
    if error.errno not in NO_PATH:
        raise error
    return BadCall(f"'{error.filename}' is no path here: {error.strerror}. Name another one")


class CacheRoot(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4
    """Folder of a feature store; of an object store's address, the working folder for it here."""

    name = "directory"

    def __init__(self, exists: bool = False) -> None:
        self._folder = click.Path(exists=exists, file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        if "://" in str(value):
            from ..cache.address import folder_of

            return folder_of(value)
        found: Path = self._folder.convert(value, param, ctx)
        return found

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[Any]:
        return self._folder.shell_complete(ctx, param, incomplete)


class RecipeName(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4
    """Name of a shipped recipe or path of a YAML file; completes both."""

    name = "recipe"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[Any]:
        from click.shell_completion import CompletionItem

        from .recipe import shipped

        names = [CompletionItem(name) for name in shipped() if name.startswith(incomplete)]
        return names or [CompletionItem(incomplete, type="file")]


def complete(names: Callable[[click.Context], Iterable[str]]) -> Any:
    """A completion from a list of names that is made when it is asked for."""

    def complete_name(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        try:
            return [name for name in names(ctx) if name.startswith(incomplete)]
        except AffectflowError:
            return []  # a half-typed recipe: nothing to offer yet

    return complete_name


def nodes(ctx: click.Context) -> Iterable[str]:
    """Names of the nodes of the recipe on the command line so far, its variants considered."""
    from .recipe import load_recipe

    word = _recipe_so_far(ctx)
    chosen = ctx.params.get("variants") or ()
    return load_recipe(word, variants=chosen).workflow.nodes if word else ()


def variants(ctx: click.Context) -> Iterable[str]:
    """Names of the variants of the recipe on the command line so far."""
    from .recipe import plain
    from .variants import variants_of

    word = _recipe_so_far(ctx)
    return variants_of(plain(word)) if word else ()


def _recipe_so_far(ctx: click.Context) -> str:
    """The recipe; an option without its value yet leaves the words before it unparsed."""
    words = [ctx.params.get("recipe"), ctx.params.get("paper"), *ctx.args]
    return next((str(word) for word in words if word), "")


RECIPE = click.argument("recipe", type=RecipeName())
CACHE = click.option(
    "--cache",
    type=CacheRoot(),
    default="features",
    show_default=True,
    help="Folder of the feature store, made if missing; or s3://BUCKET/FOLDER, gs://BUCKET/FOLDER.",
)
DEVICE = click.option(
    "--device",
    type=click.Choice(["cpu", "cuda"]),
    default="cpu",
    show_default=True,
    help="What networks run on.",
)
PACK_OPTIONS = (
    CACHE,
    click.option("--corpus", type=click.Path(path_type=Path), help="Run on this folder or table."),
    click.option(
        "--variant",
        "variants",
        multiple=True,
        metavar="NAME",
        shell_complete=complete(variants),
        help="A variant of the recipe, as 'affectflow recipes RECIPE' lists them. Repeatable: "
        "later ones on top of earlier ones.",
    ),
    click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="NODE.KEY=VALUE",
        help="Change a setting of the recipe: --set tfn.lr=0.002; null leaves one out. Repeatable.",
    ),
)
RECIPE_OPTIONS = (
    *PACK_OPTIONS,
    click.option(
        "--until",
        multiple=True,
        metavar="NODE",
        shell_complete=complete(nodes),
        help="Only this node and what it needs. Repeatable.",
    ),
)
WORKERS = click.option(
    "--workers", type=click.IntRange(min=1), help="Worker processes.  [default: one a core]"
)
RUN_OPTIONS = (
    *RECIPE_OPTIONS,
    click.option(
        "--scheduler",
        default="processes",
        show_default=True,
        help="sync, processes, cluster (as the recipe's 'cluster' says), or a dask scheduler's "
        "address (tcp://host:port, tls://host:port).",
    ),
    WORKERS,
    DEVICE,
    click.option("--retry-failed", is_flag=True, help="Try again what failed before."),
    click.option("--strict", is_flag=True, help="Stop at the first failure."),
    click.option(
        "--allow-mixed",
        is_flag=True,
        help="Join features made by different versions of a library.",
    ),
)


def with_options(options: tuple[Callable[[Any], Any], ...]) -> Callable[[Any], Any]:
    """Give a command all of ``options``, in their order."""

    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate
