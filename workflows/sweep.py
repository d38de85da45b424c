"""Search the settings of a fit: trials over the pool, scored on the validation split alone.

Trials are fits on the corpus without its test labels; each is cached like any fit. What they came
to lies in a SQLite file of the store, so that a sweep that was stopped goes on. The setting with
the smallest validation error is then fitted on the whole corpus, whose test split is looked at
then, and only then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..cache.errors import BadCall
from ..cache.leases import Lease
from ..cache.store import FeatureStore
from .folding import refuse_folds
from .graph import Workflow
from .main_guard import main_is_guarded
from .nodes import Fit
from .pool import check_cluster, check_scheduler, n_workers, open_pool
from .prepared import check, prepared
from .recipe import Recipe
from .result import Reporter, Run
from .run import peak_memory, run
from .search import Space
from .sweep_study import TrialRow, load_optuna
from .sweep_trials import Searcher, set_on


@dataclass(frozen=True, eq=False)
class Sweep:
    """What a sweep came to.

    Args:
        node: the fit that was searched.
        file: SQLite file of its trials; several sweeps of a node share it.
        study: name of this one's.
        trials: all of them, in order.
        best: the one with the smallest validation error.
        inputs: the run that made what the fit reads.
        run: the chosen setting fitted on the whole corpus; None where that was not asked for.
    """

    node: str
    file: Path
    study: str
    trials: tuple[TrialRow, ...]
    best: TrialRow
    inputs: Run
    run: Run | None

    @property
    def last(self) -> Run:
        """The run that says what failed."""
        return self.run or self.inputs


def sweep(
    recipe: str | Path | Recipe,
    cache: str | Path | FeatureStore,
    node: str,
    *,
    trials: int = 30,
    space: Space | None = None,
    seeds: Sequence[int] | int | None = None,
    prune: bool = True,
    test: bool = True,
    seed: int = 0,
    corpus: str | Path | None = None,
    variants: Sequence[str] = (),
    overrides: Sequence[str] = (),
    scheduler: str = "processes",
    workers: int | None = None,
    reporter: Reporter | None = None,
    **options: Any,
) -> Sweep:
    """Search the settings of one fit of a recipe, then fit the best one.

    Utterances whose features could not be made are masked, in trials as in a run.

    Args:
        recipe: name of a shipped recipe, path of a YAML file, or a loaded recipe.
        cache: folder of the feature store; made if missing.
        node: the fit.
        trials: how many in all, those of earlier calls included.
        space: what is searched; None: what stands under ``search`` in the recipe.
        seeds: of each trial, as in a recipe; None: those of the node.
        prune: end a trial that does worse than the median of the others at the same epoch.
        test: fit the best setting on the whole corpus and score it on the test split.
        seed: of the values that are drawn.
        corpus: as for ``run``, like all that follow.
        variants: as there.
        overrides: as there.
        scheduler: as there.
        workers: as there.
        reporter: as there.
        **options: device, retry_failed, strict, allow_mixed.

    Raises:
        BadCall: the call, the recipe or the corpus cannot be run; another sweep of this node runs.
        TrainingError: a fit that this one reads failed, or no trial came to an end.
    """
    reporter = reporter or Reporter()
    load_optuna()
    check_scheduler(scheduler)
    if trials < 1:
        raise BadCall(f"trials must be at least 1, not {trials}")
    loaded, opened = prepared(recipe, corpus, variants, overrides, (node,), reporter)
    refuse_folds(loaded, "a search")
    check_cluster(scheduler, loaded.cluster)
    fit, space = _asked(loaded, node, space, seeds)
    where = {"scheduler": scheduler, "workers": workers, "reporter": reporter, **options}
    check(loaded, opened, training=True, reporter=reporter)
    inputs = run(replace(loaded, workflow=loaded.workflow.before(fit)), cache, **where)
    searcher = Searcher(loaded.name, fit, space, inputs, prune, seed, reporter, options)
    if scheduler == "processes" and not main_is_guarded():
        scheduler = "sync"  # as ``run`` did above, which has said so
    n = n_workers(workers, peak_memory(loaded.workflow))
    with searcher.opened(), Lease(inputs.store.root):
        scratch = inputs.store.root / "runs"
        pool = open_pool(scheduler, n, scratch, reporter.working, loaded.cluster)
        try:
            # elsewhere the pool knows how many workers there are
            searcher.go(pool, trials, {"sync": 1, "processes": n}.get(scheduler, trials))
        finally:
            pool.close()
    best = searcher.best()
    done = None
    if test:
        searcher.note_test(best)
        done = run(with_settings(loaded, node, best.settings), cache, **where)
    return Sweep(node, searcher.file, searcher.name, tuple(searcher.rows), best, inputs, done)


def _asked(
    loaded: Recipe, node: str, space: Space | None, seeds: Sequence[int] | int | None
) -> tuple[Fit, Space]:
    """The fit as trials are to run it, and what is searched.

    Raises:
        BadCall: the node is no fit, or nothing is to be searched.
    """
    fit = loaded.workflow[node]
    if not isinstance(fit, Fit):
        raise BadCall(f"only the settings of a fit can be searched, '{node}' is {fit.what}")
    space = fit.search if space is None else space
    if not space:
        raise BadCall(
            f"node '{node}' says not what to search; in the recipe: search: {{lr: {{low: 1e-4, "
            f"high: 1e-2, log: true}}}}, or --search 'lr={{low: 1e-4, high: 1e-2, log: true}}'"
        )
    return (fit if seeds is None else set_on(fit, {"seeds": seeds})), space


def with_settings(recipe: Recipe, node: str, settings: dict[str, Any]) -> Recipe:
    """The recipe with some settings of a fit changed."""
    changed = set_on(recipe.workflow[node], settings)
    nodes = [changed if other.name == node else other for other in recipe.workflow]
    source = dict(recipe.source)
    told = source.get("nodes", {}).get(node)
    if isinstance(told, dict):
        source["nodes"] = {**source["nodes"], node: {**told, **settings}}
    else:  # made in Python: its nodes have no YAML
        source["nodes"] = {**source["nodes"], node: f"{told} with {settings}"}
    workflow = Workflow(recipe.workflow.name, nodes, recipe.workflow.about)
    return replace(recipe, workflow=workflow, source=source, origin=None)
