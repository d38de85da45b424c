"""Run a workflow: skip what is cached, make the rest, collect failures, lose nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..cache import runs
from ..cache.corpus import Corpus
from ..cache.errors import AffectflowError, BadCall
from ..cache.folds import folds_of, in_fold, told
from ..cache.keys import canonical, settings_of
from ..cache.labels import CLASSES
from ..cache.leaks import leaks_of
from ..cache.publish import usable
from ..cache.store import FeatureStore
from .corpora import OFFICIAL
from .driver import KINDS, Driver
from .folding import folded, meant
from .graph import Workflow
from .graph_checks import check_made_labels, check_starts
from .learning import faults_of, missing_labels, needed_columns, strange_corpora
from .machine import check_device
from .main_guard import main_is_guarded
from .node_state import NodeState
from .nodes import Fit
from .plan import Board
from .pool import check_cluster, check_scheduler, n_workers, open_pool
from .progress_file import ProgressFile
from .recipe import Recipe, load_recipe
from .reducing import check_reductions
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
    loaded, opened = prepared(recipe, corpus, variants, overrides, until, reporter)
    check_cluster(scheduler, loaded.cluster)
    if scheduler == "processes" and not main_is_guarded():
        scheduler = "sync"
        reporter.note(
            "this script has no 'if __name__ == \"__main__\":', so worker processes cannot import "
            "it: running in this process instead"
        )
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


def prepared(
    recipe: str | Path | Recipe,
    corpus: str | Path | None,
    variants: Sequence[str],
    overrides: Sequence[str],
    until: Sequence[str],
    reporter: Reporter,
) -> tuple[Recipe, Corpus]:
    """A recipe, the part of its graph that is asked for, and its corpus.

    A variant that the recipe says is for corpora without some label columns is put beneath the
    others where the corpus lacks one of these, and has all that the variant learns from.
    """
    loaded = (
        recipe if isinstance(recipe, Recipe) else load_recipe(recipe, overrides, corpus, variants)
    )
    opened = open_corpus(loaded, reporter)
    for name, lacking in unlabelled(loaded, opened).items():
        other = loaded.origin.built((name, *loaded.variants)) if loaded.origin else loaded
        if other is not loaded and not _all_missing(other.workflow.fits, opened):
            loaded = other
            reporter.note(
                f"this corpus has no labels {', '.join(lacking)}: running variant '{name}'"
            )
    loaded = folded(loaded, opened)
    if until:
        loaded = replace(loaded, workflow=loaded.workflow.upto(meant(loaded.workflow, until)))
    return loaded, opened


def unlabelled(recipe: Recipe, corpus: Corpus) -> dict[str, list[str]]:
    """Variants for corpora without some labels, not applied yet, and those that are lacking."""
    found = {}
    for name, own in recipe.known_variants.items():
        there = set(corpus.label_columns)
        lacking = [label for label in own.get("without_labels", ()) if label not in there]
        if lacking and name not in recipe.variants:
            found[name] = lacking
    return found


def open_corpus(recipe: Recipe, reporter: Reporter) -> Corpus:
    """Read the recipe's corpus; make the demo if that is asked for and missing."""
    return recipe.corpus.open(staged(reporter, "demo clips"))


def check(recipe: Recipe, corpus: Corpus, training: bool, reporter: Reporter) -> None:
    """Refuse a corpus that a recipe cannot run on, before anything runs; notes are reported.

    Raises:
        BadCorpus: with all faults.
        BadCall: a fit's label column is missing, or features have too few columns to be reduced.
    """
    check_reductions(recipe.workflow)
    check_starts(recipe.workflow)
    check_made_labels(recipe.workflow)
    for node in recipe.workflow.extracts:
        if wrong := strange_corpora(node, corpus):
            raise BadCall(f"node '{node.name}': {'; '.join(wrong)}")
    fits = recipe.workflow.fits if training else ()
    for fit in fits:
        if wrong := faults_of(fit, corpus):
            raise BadCall(f"node '{fit.name}': {'; '.join(wrong)}")
    if _all_missing(fits, corpus):
        raise _no_labels(recipe, fits, corpus)
    columns = needed_columns(fits, corpus)
    folds = folds_of(corpus, recipe.corpus.folds)
    splits = [in_fold(corpus, fold) for fold in folds] or [corpus]
    found = [
        one.check(media=False, training=bool(fits), tasks=columns, leaks=not folds)
        for one in splits
    ]
    cut = [told(corpus, recipe.corpus.folds)] if folds else []
    cut += map(str, leaks_of(corpus, recipe.corpus.folds)) if folds else []
    told_of = dict.fromkeys(line for one in found for line in (*one.notes, *one.warnings))
    for line in (*recipe.notes, *corpus.notes, *cut, *told_of):
        reporter.note(line)
    for faults in found:
        faults.raise_if_any()


def _all_missing(fits: Sequence[Fit], corpus: Corpus) -> set[str]:
    """Label columns that fits learn from and the corpus has not."""
    return {column for fit in fits for column in missing_labels(fit, corpus)}


def _no_labels(recipe: Recipe, fits: Sequence[Fit], corpus: Corpus) -> BadCall:
    """The error of the first fit whose label columns a corpus lacks, with what would mend it."""
    there = corpus.label_columns
    name, own = next((fit.name, own) for fit in fits if (own := missing_labels(fit, corpus)))
    mend = "Give its table such a column, or choose tasks among those"
    if "M" in there and not set(own) & set(CLASSES):  # a class is never learned from M
        mend = f"To train every task on M instead: --set {name}.labels=M, for each such fit"
    would_do = [name for name in recipe.known_variants if _does(recipe, name, corpus)]
    if would_do:
        mend = " or ".join(f"--variant {name}" for name in would_do) + " would do with these"
    return BadCall(
        f"node '{name}' learns from the label column(s) {', '.join(own)}, which this corpus has "
        f"not; it has {', '.join(there) or 'no labels'}. {mend}"
    )


def _does(recipe: Recipe, variant: str, corpus: Corpus) -> bool:
    """Whether a corpus has all labels of a variant on top of the recipe as it is."""
    if recipe.origin is None or variant in recipe.variants:
        return False
    try:
        made = recipe.origin.built((*recipe.variants, variant))
    except AffectflowError:
        return False  # it changes what another variant has taken away
    return not _all_missing(made.workflow.fits, corpus)


def run_id(recipe: Recipe, corpus: Corpus) -> str:
    """Recipe, variants, and a digest of what was asked: nodes, corpus table, folds if any."""
    folds = recipe.corpus.folds
    cut = [] if folds.kind == OFFICIAL.kind else [settings_of(folds)]
    nodes = recipe.source.get("nodes")
    asked = canonical([nodes, sorted(recipe.workflow.nodes), corpus.digest(), *cut])
    told = "-".join([recipe.name, *recipe.variants])
    name = "".join(c if c.isalnum() or c in "-_" else "-" for c in told)[:40]
    return f"{name}-{hashlib.sha256(asked).hexdigest()[:12]}"


def peak_memory(workflow: Workflow) -> int:
    """Bytes that a worker needs at most: those of its hungriest extractor."""
    return max((node.extractor.peak_memory for node in workflow.extracts), default=1 << 30)
