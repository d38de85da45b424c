"""A recipe, the part of its graph that is asked for, and its corpus; what cannot run is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..cache.corpus import Corpus
from ..cache.errors import AffectflowError, BadCall
from ..cache.folds import folds_of, in_fold, told
from ..cache.labels import CLASSES
from ..cache.leaks import leaks_of
from .folding import folded, meant
from .graph_checks import check_made_labels, check_starts
from .learning import faults_of, missing_labels, needed_columns, strange_corpora
from .nodes import Fit
from .recipe import Recipe, load_recipe
from .reducing import check_reductions
from .result import Reporter, staged


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
