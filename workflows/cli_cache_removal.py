"""Commands under ``affectflow cache`` that remove something: each asks, or needs ``--yes``."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..cache.errors import BadCall
from .cli_options import CACHE

if TYPE_CHECKING:
    from ..cache.garbage import Removed

YES = click.option("--yes", is_flag=True, help="Do not ask.")
DRY_RUN = click.option("--dry-run", is_flag=True, help="Only say what would be done.")
#: What a number of seconds, and one of bytes, is given in.
SECONDS = {"h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
BYTES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def agreed(question: str, yes: bool) -> bool:
    """Ask on a terminal; elsewhere, only ``--yes`` is an answer.

    Raises:
        BadCall: nobody can be asked.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise BadCall(f"{question} Nobody is here to be asked: give --yes (or --dry-run to look)")
    return click.confirm(question)


class Amount(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4
    """A number with a unit: ``30d``, ``50G``."""

    def __init__(self, name: str, units: dict[str, float] | dict[str, int]) -> None:
        self.name = name
        self.units = units

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([A-Za-z]?)B?", value)
        units = {unit.lower(): size for unit, size in self.units.items()}
        if not found or found[2].lower() not in units:
            known = ", ".join(f"12{unit}" for unit in self.units)
            self.fail(f"'{value}' is not a number with a unit: {known}", param, ctx)
        return float(found[1]) * units[found[2].lower()]


@click.command(name="gc")
@CACHE
@DRY_RUN
@YES
def cache_gc(cache: Path, dry_run: bool, yes: bool) -> None:
    """Remove what is worth nothing to anybody; no features or models are lost.

    That is what killed runs and finished fits left behind, doubled shards, and small shards that
    'cache compact' merged over an hour ago. What is whole but no longer wanted: 'cache prune'.
    """
    from ..cache.courses import course_files
    from ..cache.garbage import collect
    from ..cache.layout import size_of
    from .console import show_note

    gone = _removed(dry_run, yes, lambda agree: collect(cache, agree))
    kept = {path for path, _ in course_files(cache)} - {found.path for found in gone}
    if kept:
        size = sum(size_of(path) for path in kept) / 1e6
        show_note(
            f"progress of fits that are not finished stays ({size:.1f} MB): 'affectflow cache "
            "prune --stopped' removes it"
        )


@click.command(name="prune")
@CACHE
@click.option("--damaged", is_flag=True, help="Files that are damaged (every byte is read).")
@click.option(
    "--stopped",
    is_flag=True,
    help="The saved progress of fits that were stopped: they begin anew then.",
)
@click.option(
    "--older-than",
    type=Amount("age", SECONDS),
    help="Features and models made longer ago than this: 12h, 30d, 4w.",
)
@click.option(
    "--to",
    "to_bytes",
    type=Amount("size", BYTES),
    help="The oldest features and models, until the rest takes no more than this: 500M, 50G.",
)
@click.option(
    "--keep",
    multiple=True,
    metavar="RECIPE",
    help="All that the latest runs of RECIPE, on each corpus, do not need. Repeatable.",
)
@click.option("--node", "nodes", multiple=True, metavar="FINGERPRINT", help="This one. Repeatable.")
@DRY_RUN
@YES
def cache_prune(
    cache: Path,
    damaged: bool,
    stopped: bool,
    older_than: float | None,
    to_bytes: float | None,
    keep: Sequence[str],
    nodes: Sequence[str],
    dry_run: bool,
    yes: bool,
) -> None:
    """Remove features and models that are no longer wanted; the next run makes them again.

    Imported features stay unless --node names them.

    \b
      affectflow cache prune --older-than 90d --dry-run
      affectflow cache prune --to 200G --yes
      affectflow cache prune --keep fmlmsn --keep kebr
    """  # noqa: D301  # click reads the \b
    from ..cache.difference import descriptions, one_of
    from ..cache.layout import existing
    from ..cache.prune import Unwanted, prune
    from .console import show_note
    from .reach import needed_for

    existing(cache)
    known = descriptions(cache) if nodes else {}
    unwanted = Unwanted(
        damaged=damaged,
        stopped=stopped,
        older_than=older_than,
        to_bytes=None if to_bytes is None else int(to_bytes),
        all_but=needed_for(cache, keep) if keep else None,
        nodes=tuple(one_of(known, node) for node in nodes),
    )
    gone = _removed(dry_run, yes, lambda agree: prune(cache, unwanted, agree))
    if stopped and not any("stopped" in found.why for found in gone):
        show_note("no progress of stopped fits was removed: none is there, or a driver is at work")


def _removed(
    dry_run: bool, yes: bool, find: Callable[[Callable[[Sequence[Removed]], bool]], list[Removed]]
) -> list[Removed]:
    """Show what would go, ask, and say what went; what a dry run found, or what went."""
    from ..cache.validation import count
    from .console import show_rows

    removed = False

    def agree(found: Sequence[Removed]) -> bool:
        nonlocal removed
        show_rows(("file", "why", "bytes"), [(g.path, g.why, g.bytes) for g in found])
        size = sum(g.bytes for g in found) / 1e6
        removed = not dry_run and agreed(f"Remove {count(len(found), 'file')}, {size:.1f} MB?", yes)
        return removed

    found = find(agree)
    gone = found if removed or dry_run else []
    verb = "would be removed" if dry_run else "removed"
    click.echo(f"{count(len(gone), 'file')} {verb}, {sum(g.bytes for g in gone) / 1e6:.1f} MB")
    return gone


@click.command(name="compact")
@CACHE
@click.option(
    "--now",
    is_flag=True,
    help="Remove the small shards at once: nobody reads this cache at the moment.",
)
@DRY_RUN
@YES
def cache_compact(cache: Path, now: bool, dry_run: bool, yes: bool) -> None:
    """Merge small shards, of retries and of corpora that grew, into large ones.

    The small ones stay for an hour, for runs and notebooks that looked up before where features
    lie; 'cache gc', or the next 'cache compact', removes them then. Being killed loses nothing.
    """
    from ..cache.compact import compact, small_shards
    from ..cache.garbage import GRACE
    from ..cache.validation import count
    from .console import ConsoleReporter, show_note, show_rows
    from .result import staged

    heaps = small_shards(cache)
    n = sum(len(heap.paths) for heap in heaps)
    if heaps:
        rows = [(h.node[:12], len(h.paths), f"{h.bytes / 1e6:.2f}") for h in heaps]
        show_rows(("node", "small shards", "MB as one"), rows)
    if dry_run:
        click.echo(f"{count(n, 'small shard')} would become {len(heaps)}")
        return
    question = f"Merge {count(n, 'small shard')} into {len(heaps)}?"
    if heaps and not agreed(question, yes):
        return
    with ConsoleReporter() as reporter:
        done = compact(cache, heaps, staged(reporter, "compact"), 0.0 if now else GRACE)
    for message in done.damaged:
        show_note(message)
    gone = count(len(done.removed), "small shard")
    click.echo(f"{count(n, 'small shard')} merged into {len(heaps)}, {gone} removed")
    if n > len(done.removed) and heaps:
        show_note("small shards stay for an hour, or while drivers are at work: then 'cache gc'")
