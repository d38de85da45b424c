"""The commands under ``affectflow cache``: look into a feature store, check it, clean it."""

from __future__ import annotations

from pathlib import Path

import click

from .cli_options import CACHE, CommandGroup


@click.group(name="cache", cls=CommandGroup)
def cache_group() -> None:
    """Look into a feature store, check it, clean it."""


@cache_group.command(name="ls")
@CACHE
def cache_list(cache: Path) -> None:
    """List what is stored: a line a node, with counts and bytes."""
    from ..cache.audit import list_nodes
    from .console_run import show_nodes

    show_nodes(list_nodes(cache))


@cache_group.command(name="show")
@click.argument("fingerprint")
@CACHE
def cache_show(fingerprint: str, cache: Path) -> None:
    """Say what the node with this FINGERPRINT (its first digits) was made from."""
    import json

    from ..cache.audit import show
    from .console import visible

    click.echo(visible(json.dumps(show(cache, fingerprint), indent=2, ensure_ascii=False)))


@cache_group.command(name="verify")
@CACHE
def cache_verify(cache: Path) -> None:
    """Read every stored byte and report each file that is damaged."""
    from ..cache.audit import verify
    from .console import ConsoleReporter, show_rows
    from .result import staged

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
@click.option(
    "--stopped",
    is_flag=True,
    help="Also remove the saved progress of fits that were stopped: they begin anew then.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
def cache_prune(cache: Path, damaged: bool, stopped: bool, dry_run: bool) -> None:
    """Remove what killed runs and finished fits left behind, and doubled shards."""
    from ..cache.audit import prune
    from ..cache.courses import course_files
    from ..cache.validation import count
    from .console import show_note, show_rows

    gone = prune(cache, dry_run=dry_run, damaged=damaged, stopped=stopped)
    if gone:
        show_rows(("file", "why", "bytes"), [(g.path, g.why, g.bytes) for g in gone])
    verb = "would be removed" if dry_run else "removed"
    click.echo(f"{count(len(gone), 'file')} {verb}, {sum(g.bytes for g in gone) / 1e6:.1f} MB")
    kept = {path for path, _ in course_files(cache)} - {g.path for g in gone}
    if kept:
        size = sum(path.stat().st_size for path in kept if path.exists()) / 1e6
        why = "another driver is at work here" if stopped else "--stopped removes it"
        show_note(f"progress of fits that are not finished stays ({size:.1f} MB): {why}")


@cache_group.command(name="reindex")
@CACHE
def cache_reindex(cache: Path) -> None:
    """Make the index anew from the shards."""
    from ..cache.audit import reindex

    click.echo(f"{reindex(cache)} shards indexed")
