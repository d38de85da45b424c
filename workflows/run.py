"""Run a workflow: skip what is cached, make the rest, collect failures, lose nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..cache import runs
from ..cache.corpus import Corpus
from ..cache.errors import BadCall
from ..cache.keys import canonical, settings_of
from ..cache.publish import usable
from ..cache.store import FeatureStore
from . import forkserver
from .cluster import environment, share
from .corpora import OFFICIAL
from .driver import KINDS, Driver
from .graph import Workflow
from .machine import check_device
from .main_guard import main_is_guarded
from .node_state import NodeState
from .plan import Board
from .pool import check_cluster, check_scheduler, n_workers, open_pool
from .prepared import check, prepared
from .progress_file import ProgressFile
from .recipe import Recipe, load_recipe
from .recording import PREFIX
from .result import Reporter, Run, staged
from .retraining import go_in_rounds, settled
from .several import Several
from .spending import ended, most_memory


def run(
    recipe: str | Path | Recipe,
    cache: str | Path | FeatureStore = "features",
    *,
    corpus: str | Path | None = None,
    variants: Sequence[str] = (),
    overrides: Sequence[str] = (),
    kinds: Sequence[str] = KINDS,
    until: Sequence[str] = (),
    scheduler: str = "processes",
    workers: int | None = None,
    device: str = "cpu",
    retry_failed: bool = False,
    strict: bool = False,
    allow_mixed: bool = False,
    reporter: Reporter | None = None,
) -> Run:
    """Run a recipe; what is cached is not made again.

    Args:
        recipe: name of a shipped recipe, path of a YAML file, or a loaded recipe.
        cache: folder of the feature store, made if missing; or an object store's address
            (``s3://bucket/folder``, ``gs://bucket/folder``).
        corpus: folder or table to run on instead of the recipe's own corpus.
        variants: of the recipe, later ones on top of earlier ones; a loaded recipe has its own.
        overrides: ``node.setting=value``, on top of all variants.
        kinds: which kinds of node may be made (with ``extract``, reductions too); features that a
            fit lacks are an error then.
        until: only these nodes and what they need; empty: all.
        scheduler: ``processes`` (dask workers on this machine), ``sync`` (in this process),
            ``cluster`` (as the recipe's ``cluster`` says), or the address of a dask scheduler.
        workers: processes; None: one a core, as far as memory reaches.
        device: ``cpu`` or ``cuda``, for neural extractors and fits.
        retry_failed: try again what failed in earlier runs.
        strict: stop at the first failure.
        allow_mixed: join features that different versions of a library made.
        reporter: hears of progress.

    Raises:
        BadCall: the call, the recipe or the corpus cannot be run.
        CacheError: the store cannot be read or written.
    """
    reporter = reporter or Reporter()
    check_scheduler(scheduler)
    if scheduler in ("sync", "processes"):
        check_device(device)
    if scheduler == "processes" and not main_is_guarded():
        scheduler = "sync"
        reporter.note(
            "this script has no 'if __name__ == \"__main__\":', so worker processes cannot import "
            "it: running in this process instead"
        )
    if not isinstance(recipe, Recipe):
        recipe = load_recipe(recipe, overrides, corpus, variants)
    if scheduler == "processes" and not is_last_again(recipe, cache):
        beside = n_workers(workers, peak_memory(recipe.workflow))
        forkserver.start(environment(share(beside)), modules_of(recipe.workflow, kinds))
    loaded, opened = prepared(recipe, corpus, variants, overrides, until, reporter)
    check_cluster(scheduler, loaded.cluster)
    check(loaded, opened, training="fit" in kinds, reporter=reporter)
    store = store_at(cache)
    if store.address.startswith("memory:") and scheduler != "sync":
        raise BadCall(
            f"{store} lies in the memory of this process, and workers have their own: use "
            "scheduler 'sync', or a store that all can reach"
        )
    with usable(store.root):
        known = {} if retry_failed else runs.read_failures(store.root)
    name = run_id(loaded, opened)

    def go(one: Recipe) -> Run:
        driver = Driver(
            Run(name, one, opened, store),
            kinds,
            lambda: open_pool(
                scheduler,
                n_workers(workers, peak_memory(one.workflow)),
                store.root / "runs",
                heard.working,
                loaded.cluster,
            ),
            device,
            strict,
            allow_mixed,
            heard,
        )
        with usable(store.root):
            driver.go(known)
        return driver.run

    with ProgressFile(store.root, name, loaded.called, reporter) as progress:
        heard = Several(reporter, progress)
        heard.event("run", {"run": name, "recipe": loaded.called, "utterances": len(opened)})
        done = go_in_rounds(loaded, go, heard) if "fit" in kinds else go(loaded)
        done.spent.driver = most_memory()
        heard.event("end", ended(done))
    return done


def plan_run(
    recipe: str | Path | Recipe,
    cache: str | Path | FeatureStore = "features",
    *,
    corpus: str | Path | None = None,
    variants: Sequence[str] = (),
    overrides: Sequence[str] = (),
    until: Sequence[str] = (),
    reporter: Reporter | None = None,
) -> list[NodeState]:
    """What ``run`` would do, node by node; arguments as there. Makes nothing."""
    reporter = reporter or Reporter()
    return look(recipe, cache, corpus, variants, overrides, until, reporter)[2].look_all()


def look(
    recipe: str | Path | Recipe,
    cache: str | Path | FeatureStore,
    corpus: str | Path | None,
    variants: Sequence[str],
    overrides: Sequence[str],
    until: Sequence[str],
    reporter: Reporter | None = None,
    again: bool = True,
) -> tuple[Recipe, Corpus, Board]:
    """A recipe, its corpus, and the board on which to look at its nodes; ``again`` as there."""
    reporter = reporter or Reporter()
    loaded, opened = prepared(recipe, corpus, variants, overrides, until, reporter)
    check(loaded, opened, training=False, reporter=reporter)
    store = store_at(cache)
    with usable(store.root):
        store.adopt()
        known = runs.read_failures(store.root)
    progress = staged(reporter, "digests")

    def board_of(one: Recipe) -> Board:
        return Board(one.workflow, opened, store, known, progress, again)

    def states_of(one: Recipe) -> Mapping[str, NodeState]:
        board = board_of(one)
        board.look_all()
        return board.states

    loaded, _ = settled(loaded, states_of)
    board = board_of(loaded)
    for line in board.copies(loaded.corpus.folds):
        reporter.note(line)
    return loaded, opened, board


def store_at(cache: str | Path | FeatureStore) -> FeatureStore:
    """The store in a folder or object store; one that is open already stays as it is."""
    if isinstance(cache, FeatureStore):
        return cache
    with usable(cache):
        return FeatureStore(cache)


def run_id(recipe: Recipe, corpus: Corpus) -> str:
    """Recipe, variants, and a digest of what was asked: nodes, corpus table, folds if any."""
    folds = recipe.corpus.folds
    cut = [] if folds.kind == OFFICIAL.kind else [settings_of(folds)]
    nodes = recipe.source.get("nodes")
    asked = canonical([nodes, sorted(recipe.workflow.nodes), corpus.digest(), *cut])
    return f"{_called(recipe)}-{hashlib.sha256(asked).hexdigest()[:12]}"


def _called(recipe: Recipe) -> str:
    told = "-".join([recipe.name, *recipe.variants])
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in told)[:40]


def is_last_again(recipe: Recipe, cache: str | Path | FeatureStore) -> bool:
    """Whether the last run of a recipe of this name was of the same nodes: it has made them all.

    A guess, as the corpus was not looked at; nothing but the time that a run takes hangs on it.
    """
    root = cache.root if isinstance(cache, FeatureStore) else Path(cache)
    names = [name for name in runs.run_names(root) if name[:-13] == _called(recipe)]
    if not names:
        return False
    last = max(names, key=lambda name: runs.run_folder(root, name).stat().st_mtime_ns)
    records = runs.read_records(root, last, PREFIX)
    record = records[max(records)] if records else {"recipe": {}, "nodes": {}}
    same = canonical(record["recipe"]) == canonical(dict(recipe.source))
    return same and {*recipe.workflow.nodes} <= {*record["nodes"]}


def modules_of(workflow: Workflow, kinds: Sequence[str]) -> list[str]:
    """The big modules that the workers of a run will need; those of signal extractors are small."""
    neural = any("torch" in node.extractor.used_libraries() for node in workflow.extracts)
    trains = "fit" in kinds and any(workflow.fits)
    return ["distributed", *["torch"] * neural, *["affectflow.train.fit"] * trains]


def peak_memory(workflow: Workflow) -> int:
    """Bytes that a worker needs at most: those of its hungriest extractor."""
    return max((node.extractor.peak_memory for node in workflow.extracts), default=1 << 30)
