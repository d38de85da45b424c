"""Which part of a store a recipe or a corpus is: what is exported of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..cache.difference import descriptions, one_of
from ..cache.errors import BadCall
from ..cache.layout import existing, node_name
from ..cache.selection import Selection, everything
from .corpora import CorpusSpec
from .nodes import Fit
from .reach import latest_runs
from .recipe import Recipe, build
from .result import Reporter
from .run import look, run_id
from .run_records import RunRecord


def select(
    cache: Path,
    recipe: str | None = None,
    corpus: Path | None = None,
    variants: Sequence[str] = (),
    overrides: Sequence[str] = (),
    nodes: Sequence[str] = (),
    reporter: Reporter | None = None,
) -> Selection:
    """What of a store a recipe on its corpus has, a corpus by all recipes, or these nodes.

    Args:
        cache: folder of the store.
        recipe: name or path; None: of a corpus, all recipes that were last run on it.
        corpus: folder or table, instead of the recipe's own; None, and no recipe and no nodes: all
            that is stored.
        variants: of the recipe.
        overrides: of its settings.
        nodes: beginnings of fingerprints of nodes or fits, taken whole.
        reporter: hears of progress.

    Raises:
        BadCall: variants or settings without a recipe, or nothing was run on the corpus.
        UnknownName: no node or fit has such a fingerprint.
    """
    if recipe is None and (variants or overrides):
        raise BadCall("--variant and --set are those of a recipe: give --recipe too")
    if not (recipe or corpus or nodes):
        return everything(cache)
    chosen = _named(existing(cache), nodes)
    if recipe is not None:
        chosen.add(_of_recipe(recipe, cache, corpus, variants, overrides, reporter))
    elif corpus is not None:
        for record in _run_on(cache, corpus):
            chosen.add(_of_recipe(_again(record, corpus), cache, None, (), (), reporter))
            chosen.runs.add(record.id)  # a recipe made again has lost what its variants were called
    return chosen


def _named(cache: Path, nodes: Sequence[str]) -> Selection:
    known = descriptions(cache)
    marks = [one_of(known, node) for node in nodes]
    fits = {mark for mark in marks if known[mark].get("kind") == "fit"}
    return Selection({node_name(mark): None for mark in marks if mark not in fits}, fits)


def _run_on(cache: Path, corpus: Path) -> list[RunRecord]:
    """The latest runs of all recipes on a corpus, as it is now."""
    digest = CorpusSpec(str(corpus)).open().digest()
    there = [record for record in latest_runs(cache) if record.content.get("corpus") == digest]
    if not there:
        raise BadCall(
            f"no recipe was run on '{corpus}', as it is now, with {cache}: name one by --recipe"
        )
    return there


def _again(record: RunRecord, corpus: Path) -> Recipe:
    """The recipe of a run, as far as it came, on a corpus."""
    source = dict(record.content["recipe"])
    source.pop("variants", None)  # applied already
    told = source["nodes"]
    source["nodes"] = {name: told[name] for name in record.nodes if name in told}
    return replace(build(source, record.id), corpus=CorpusSpec(str(corpus)))


def _of_recipe(
    recipe: str | Recipe,
    cache: Path,
    corpus: Path | None,
    variants: Sequence[str],
    overrides: Sequence[str],
    reporter: Reporter | None,
) -> Selection:
    """What is cached of a recipe's nodes for the utterances of its corpus."""
    loaded, opened, board = look(recipe, cache, corpus, variants, overrides, (), reporter)
    chosen = Selection(runs={run_id(loaded, opened)})
    for state in board.look_all():
        if state.checkpoint is not None:
            chosen.fits.add(state.checkpoint.fingerprint)
        if state.basis is not None:
            chosen.fits.add(state.basis.fingerprint)
        chosen.statistics |= {node_name(s.fingerprint) for s in state.statistics.values() if s}
        if state.fingerprint and not isinstance(state.node, Fit):
            pairs = zip(state.keys, state.cached, strict=True)
            keys = {key for key, there in pairs if there and key is not None}
            if keys:
                chosen.nodes[node_name(state.fingerprint)] = keys
    return chosen
