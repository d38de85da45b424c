"""How runs stand, from the files that their drivers keep: while they run, and after."""

from __future__ import annotations

from pathlib import Path

from ..cache.errors import unknown
from ..cache.layout import existing
from ..cache.runs import run_folder, run_names
from .progress_file import Standing, read_standings


def standings(root: Path, run: str = "") -> list[Standing]:
    """The latest standing of each run that did anything, and of each that is at work; oldest first.

    Args:
        root: folder of the store.
        run: only those whose name begins so; empty: all.

    Raises:
        UnknownName: no run's name does.
        Damaged: a file cannot be read.
    """
    names = run_names(existing(root))
    chosen = [name for name in names if name.startswith(run)]
    if run and not chosen:
        raise unknown("run", run, names)
    found: list[Standing] = []
    for name in chosen:
        every = list(read_standings(run_folder(root, name)).values())
        found += [one for one in every if one.is_alive or one is every[-1]]
    return sorted(found, key=lambda one: one.begun)


def state_of(standing: Standing, now: float) -> str:
    """How a run stands, in words; ``now`` in seconds since 1970."""
    if standing.state == "running" and not standing.is_alive:
        silent = max(0.0, now - standing.beat)
        return f"killed, or its machine is gone: silent for {silent:.0f} s; run it again to go on"
    told = {
        "done": "done",
        "failures": "went to its end; something failed",
        "stopped": "stopped; run it again to go on",
        "error": f"ended by an error: {standing.message}",
    }
    return told.get(standing.state, standing.state)
