"""``affectflow status``: how runs stand, from another terminal."""

from __future__ import annotations

from pathlib import Path

import click

from .cli_options import CACHE


@click.command()
@click.argument("run", default="")
@CACHE
def status(run: str, cache: Path) -> None:
    """Say how the runs on a cache stand: running, done, stopped, killed.

    RUN is the beginning of a run's name. What is shown was true at most some seconds ago; a run
    that found everything cached leaves nothing to show. For programs: 'affectflow run --log FILE'.
    """
    import time

    from ..cache.address import called
    from .console import OUT, show_rows
    from .console_run import show_spent
    from .result import seconds
    from .status import standings, state_of

    found = standings(cache, run)
    if not found:
        click.echo(f"no run of {called(cache)} had anything to do so far")
    for one in found:
        since = (time.time() if one.is_alive else one.beat) - one.begun
        OUT.print(f"{one.run}: {state_of(one, time.time())} ({seconds(since)}, {one.host})")
        if one.is_alive and one.pool.get("dashboard"):
            OUT.print(f"dask's dashboard: {one.pool['dashboard']}")
        rows = [
            (name, f"{stage.done} of {stage.total}", stage.failed or "", stage.words)
            for name, stage in one.stages.items()
        ]
        show_rows(("stage", "done", "failed", ""), rows)
        if one.spent:
            show_spent({name: stage.done for name, stage in one.stages.items()}, one.spent)
