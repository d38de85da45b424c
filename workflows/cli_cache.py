"""The commands under ``affectflow cache`` that look into a feature store and change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .cli_cache_moving import cache_export, cache_import, cache_merge
from .cli_cache_removal import cache_compact, cache_gc, cache_prune
from .cli_options import CACHE, PACK_OPTIONS, CommandGroup, RecipeName, with_options


@click.group(name="cache", cls=CommandGroup)
def cache_group() -> None:
    """Look into a feature store, check it, clean it, carry it elsewhere.

    \b
    Look:   ls, show, du, why, diff
    Check:  verify, reindex
    Clean:  gc (what is worth nothing), prune (what is no longer wanted), compact
    Carry:  export, import, merge
    """  # noqa: D301  # click reads the \b


@cache_group.command(name="ls")
@CACHE
def cache_list(cache: Path) -> None:
    """List what is stored: a line a node, with counts and bytes."""
    from ..cache.contents import list_nodes
    from .console_run import show_nodes

    show_nodes(list_nodes(cache))


@cache_group.command(name="show")
@click.argument("fingerprint")
@CACHE
def cache_show(fingerprint: str, cache: Path) -> None:
    """Say what the node with this FINGERPRINT (its first digits) was made from."""
    import json

    from ..cache.contents import show
    from .console import visible

    click.echo(visible(json.dumps(show(cache, fingerprint), indent=2, ensure_ascii=False)))


@cache_group.command(name="du")
@CACHE
def cache_usage(cache: Path) -> None:
    """Say what takes how much of the disk: by node and fit, and by recipe.

    A recipe has what its latest run on each corpus read or made; what several share counts for
    each. 'alone' is what no other recipe needs: 'prune --keep' of all others would free that.
    """
    from ..cache.usage import usage
    from .console import OUT, show_rows
    from .reach import by_recipe

    found = usage(cache)
    show_rows(
        ("MB", "files", "node or fit", "what", "settings"),
        [
            (f"{n.bytes / 1e6:.2f}", n.files, n.fingerprint[:12], n.name, _told(n.settings))
            for n in found.nodes
        ],
    )
    if recipes := by_recipe(cache, found):
        OUT.print()
        show_rows(
            ("MB", "alone", "recipe"),
            [(f"{r.bytes / 1e6:.2f}", f"{r.own / 1e6:.2f}", r.recipe) for r in recipes],
        )
    OUT.print()
    show_rows(
        ("MB", "beside"), [(f"{size / 1e6:.2f}", name) for name, size in found.beside.items()]
    )
    click.echo(f"{found.bytes / 1e6:.2f} MB in all")


def _told(settings: Any) -> str:
    return ", ".join(f"{key}={value}" for key, value in settings.items())


@cache_group.command(name="why")
@click.argument("key")
@click.option("--recipe", type=RecipeName(), help="KEY is the id of an utterance of its corpus.")
@with_options(PACK_OPTIONS)
def cache_why(key: str, recipe: str | None, cache: Path, **options: Any) -> None:
    """Say where features lie and what they were made from; or why they are not there.

    KEY is the key of features (its first digits, as messages and records print it), or with
    --recipe the id of an utterance: then each node of the recipe has a line.
    """
    from ..cache.layout import existing
    from .console import ConsoleReporter, show_rows, visible
    from .whereabouts import of_key, of_utterance

    existing(cache)
    if recipe is None:
        for line in of_key(cache, key):
            click.echo(visible(line))
        return
    with ConsoleReporter() as reporter:
        rows = list(of_utterance(key, recipe, cache, reporter=reporter, **options))
    show_rows(("node", "key", "where"), rows)


@cache_group.command(name="diff")
@click.argument("one", metavar="FINGERPRINT")
@click.argument("other", metavar="FINGERPRINT")
@CACHE
def cache_difference(one: str, other: str, cache: Path) -> None:
    """Say in what two nodes or fits differ, by the first digits of their fingerprints."""
    from ..cache.difference import between
    from ..cache.layout import existing
    from .console import visible

    found = between(existing(cache), one, other)
    for line in found or ["they are the same"]:
        click.echo(visible(line))


@cache_group.command(name="verify")
@CACHE
@click.option(
    "--workers", type=click.IntRange(min=1), help="Processes at most.  [default: one a core]"
)
def cache_verify(cache: Path, workers: int | None) -> None:
    """Read every stored byte, check every checksum, and report each file that is damaged."""
    from ..cache.verify import verify
    from .console import ConsoleReporter, show_rows
    from .machine import n_cores
    from .result import staged

    with ConsoleReporter() as reporter:
        found = verify(cache, staged(reporter, "verify"), workers or n_cores())
    if found.faults:
        show_rows(("damaged", "how"), [(fault.path, fault.message) for fault in found.faults])
    click.echo(f"{found.files} files, {found.bytes / 1e6:.1f} MB, {len(found.faults)} damaged")
    if found.faults:
        click.echo("'affectflow cache prune --damaged' removes them; the next run makes them again")
        raise SystemExit(1)


@cache_group.command(name="reindex")
@CACHE
def cache_reindex(cache: Path) -> None:
    """Make the index anew from the shards."""
    from ..cache.reindex import reindex

    click.echo(f"{reindex(cache)} shards indexed")


CHANGING = (cache_gc, cache_prune, cache_compact, cache_export, cache_import, cache_merge)
for command in CHANGING:
    cache_group.add_command(command)
