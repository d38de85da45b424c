"""What a run found in the cache that other runs had made: from which, and what that saved."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from ..cache import runs
from .node_state import NodeState
from .nodes import Fit
from .recording import PREFIX
from .result import Run


@dataclass
class Making:
    """How one node's output was made, over all records of one run.

    Args:
        recipe: name of what was run.
        n: features (a fit: models) that were made.
        seconds: of computing, summed over workers; None: a record does not say.
    """

    recipe: str
    n: int = 0
    seconds: float | None = 0.0


@dataclass(frozen=True)
class Reused:
    """Output of a node that other runs made.

    Args:
        node: name of the node here.
        what: runs there.
        n: features (a fit: 1) that this run did not have to make.
        made_by: recipe of each run that made some, and the run's name.
        seconds: of computing that this saved, at what a feature took then; None: unknown.
    """

    node: str
    what: str
    n: int
    made_by: tuple[tuple[str, str], ...]
    seconds: float | None

    @property
    def recipes(self) -> tuple[str, ...]:
        """Names of the recipes that made it."""
        return tuple(dict.fromkeys(recipe for recipe, _ in self.made_by))


def reused(run: Run) -> list[Reused]:
    """What of a run's nodes others made, in order; a run that is repeated is no other one.

    Raises:
        Damaged: the record of a run cannot be read.
    """
    there = [state for state in run.states.values() if state.fingerprint and state.n_cached]
    if not there:
        return []
    makings = makings_of(Path(run.store.root), {state.fingerprint for state in there})
    found = [_of_node(run, state, makings[state.fingerprint]) for state in there]
    return [one for one in found if one is not None]


def _of_node(run: Run, state: NodeState, makings: dict[str, Making]) -> Reused | None:
    name = state.node.name
    others = {made_by: one for made_by, one in makings.items() if made_by != run.id and one.n}
    if not others:
        return None
    mine = makings[run.id].n if run.id in makings else 0
    here = [key for key, there in zip(state.keys, state.cached, strict=True) if there]
    n = len(set(here)) if here else state.n_cached
    n -= max(mine, run.made.get(name, 0))
    if n < 1:
        return None
    seconds: float | None
    if isinstance(state.node, Fit):
        assert state.checkpoint is not None  # it is cached
        seconds = state.checkpoint.meta.get("seconds")
    else:
        known = [one for one in others.values() if one.seconds is not None]
        made = sum(one.n for one in known)
        seconds = n * sum(one.seconds or 0.0 for one in known) / made if made else None
    by = tuple((one.recipe, made_by) for made_by, one in others.items())
    return Reused(name, state.node.what, n, by, seconds)


def makings_of(root: Path, fingerprints: set[str]) -> dict[str, dict[str, Making]]:
    """By fingerprint and name of the run: how that run made it, from the runs' records."""
    found: dict[str, dict[str, Making]] = defaultdict(dict)
    for name in runs.run_names(root):
        for record in runs.read_records(root, name, PREFIX).values():
            recipe = str(record["recipe"].get("name", name))
            for node, about in record.get("nodes", {}).items():
                n = record.get("made", {}).get(node, 0)
                if n and (mark := about["fingerprint"]) in fingerprints:
                    making = found[mark].setdefault(name, Making(recipe))
                    took = record.get("seconds", {}).get(node)
                    making.n += n
                    unknown = making.seconds is None or took is None
                    making.seconds = None if unknown else (making.seconds or 0.0) + took
    return found


def saved(parts: list[Reused]) -> tuple[float, int]:
    """Seconds that were saved as far as they are known, and of how many nodes they are not."""
    known = [one.seconds for one in parts if one.seconds is not None]
    return sum(known), len(parts) - len(known)
