"""Which recipes' runs a store's nodes and fits belong to, by the runs' own records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..cache import runs
from ..cache.errors import unknown
from ..cache.prune import needed_by
from ..cache.usage import Taken, Usage
from .run_records import RunRecord, read_run


@dataclass(frozen=True)
class RecipeUsage:
    """What the nodes and fits of one recipe take, in bytes; those of no other recipe alone."""

    recipe: str
    bytes: int
    own: int


def latest_runs(root: Path) -> list[RunRecord]:
    """Of each recipe and variant on each corpus, the run that was recorded last."""
    found: dict[tuple[str, str], RunRecord] = {}
    records = [read_run(root, name) for name in runs.run_names(root)]
    for record in sorted((r for r in records if r is not None), key=lambda record: record.name):
        told, _, _ = record.id.rpartition("-")  # its end says which settings it was run with
        found[told, record.corpus] = record
    return list(found.values())


def needed_for(root: Path, recipes: Iterable[str]) -> set[str]:
    """Fingerprints of all that the latest runs of these recipes came to.

    Raises:
        UnknownName: a recipe was never run on this store.
    """
    by_recipe = _by_recipe(latest_runs(root))
    for recipe in recipes:
        if recipe not in by_recipe:
            raise unknown("recipe in this cache's runs", recipe, by_recipe)
    return {mark for recipe in recipes for mark in by_recipe[recipe]}


def by_recipe(root: Path, usage: Usage) -> list[RecipeUsage]:
    """What each recipe's latest runs take, the largest first."""
    needed = {
        recipe: needed_by(root, marks) for recipe, marks in _by_recipe(latest_runs(root)).items()
    }

    def is_in(one: Taken, recipe: str) -> bool:
        return not needed[recipe].isdisjoint((one.fingerprint, one.fingerprint[:32]))

    found = []
    for recipe in needed:
        mine = [one for one in usage.nodes if is_in(one, recipe)]
        others = [other for other in needed if other != recipe]
        own = [one for one in mine if not any(is_in(one, other) for other in others)]
        found.append(RecipeUsage(recipe, sum(o.bytes for o in mine), sum(o.bytes for o in own)))
    return sorted(found, key=lambda one: (-one.bytes, one.recipe))


def _by_recipe(records: Iterable[RunRecord]) -> Mapping[str, set[str]]:
    found: dict[str, set[str]] = {}
    for record in records:
        marks = found.setdefault(record.recipe, set())
        marks |= {str(node["fingerprint"]) for node in record.nodes.values()}
    return found
