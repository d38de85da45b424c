"""What the report says about running it again: command, recipe, seeds, versions."""

from __future__ import annotations

import json
import platform
import shlex
from importlib import metadata

from ... import __version__
from ...cache.address import called
from ..folding import plain_name
from ..recipe import shipped
from ..result import Run
from .content import fit_rows

#: Libraries whose versions decide a fit's last digits.
FIT_LIBRARIES = ("torch", "numpy")


def repeats(run: Run) -> list[tuple[str, str, int | None]]:
    """Fits that share their seeds and number of threads: names, seeds, threads."""
    groups: dict[tuple[str, int | None], list[str]] = {}
    for row in fit_rows(run):
        groups.setdefault((row.seeds, row.threads), []).append(row.name)
    return [(", ".join(names), *shared) for shared, names in groups.items()]


def source(run: Run) -> str:
    """The recipe, overrides applied, as JSON: which is YAML, so it can be run as it stands."""
    return json.dumps(run.recipe.source, indent=2, ensure_ascii=False, default=str)


def command(run: Run) -> tuple[str, bool]:
    """What to type to get this run again, and whether the shipped recipe says all of it."""
    words = _recipe_words(run)
    found = bool(words)
    words = ["affectflow", "run", *(words or ["recipe.yaml"])]
    if {plain_name(node) for node in run.workflow} != set(run.recipe.source["nodes"]):
        read = {name for node in run.workflow for name in node.inputs}
        words += [w for name in run.workflow.nodes if name not in read for w in ("--until", name)]
    if (cache := called(run.store.root)) != "features":
        words += ["--cache", cache]
    return shlex.join(words), found


def _recipe_words(run: Run) -> list[str]:
    """Name of the shipped recipe, and all that was asked of it; empty: it is not shipped."""
    origin = run.recipe.origin
    if origin is None or origin.where not in shipped():
        return []
    corpus = ["--corpus", str(origin.corpus)] if origin.corpus is not None else []
    asked = [("--variant", name) for name in run.recipe.variants]
    asked += [("--set", override) for override in origin.overrides]
    return [origin.where, *corpus, *(word for pair in asked for word in pair)]


def versions() -> dict[str, str]:
    """What is installed where the report is written."""
    found = {"affectflow": __version__, "Python": platform.python_version()}
    return found | {name: metadata.version(name) for name in FIT_LIBRARIES}
