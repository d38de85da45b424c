"""A workflow on folds: what learns from the corpus stands in it once a fold.

Extracts see no labels and no splits, so all folds share them. Fits and reductions, and whatever
reads those, are copied: ``tfn`` is ``tfn-fold1``, ``tfn-fold2`` and so on, each trained on the
splits of its fold. Its fingerprint is its own, for they are part of what it learns from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..cache.corpus import Corpus
from ..cache.errors import BadCall
from ..cache.folds import Fold, folds_of
from .corpora import OFFICIAL
from .graph import Workflow
from .nodes import FOR_TRAINING, Encode, Extract, Fit, Node, Reduce
from .recipe import Recipe


def copy_name(name: str, fold: Fold) -> str:
    """What a node is called in a fold."""
    return f"{name}-fold{fold.number}"


def plain_name(node: Node) -> str:
    """What a recipe calls a node, whichever fold it is of."""
    return node.name.removesuffix(copy_name("", fold)) if (fold := fold_of(node)) else node.name


def n_folds(workflow: Workflow) -> dict[str, int]:
    """On how many folds each fit is, by what its recipe calls it; those on none are not there."""
    return {plain_name(fit): fit.fold.of for fit in workflow.fits if fit.fold}


def fold_of(node: Node) -> Fold | None:
    """The fold that a node is of; None of one that all folds share."""
    return None if isinstance(node, Extract) else node.fold


def folded(recipe: Recipe, corpus: Corpus) -> Recipe:
    """The recipe on the folds that it asks for; itself where it asks for none.

    Raises:
        BadCorpus: the corpus cannot be cut so.
    """
    folds = folds_of(corpus, recipe.corpus.folds)
    if not folds:
        return recipe
    whole = recipe.workflow
    nodes = [
        one
        for node in whole
        for one in ([node] if isinstance(node, Extract) else [_in(whole, node, f) for f in folds])
    ]
    return replace(recipe, workflow=Workflow(whole.name, nodes, whole.about))


def refuse_folds(recipe: Recipe, what: str) -> None:
    """Stop what needs one model of a fit, where each fold has one.

    Args:
        recipe: the recipe.
        what: is to be done, for the message.

    Raises:
        BadCall: the recipe runs on folds.
    """
    if recipe.corpus.folds.kind != OFFICIAL.kind:
        raise BadCall(
            f"{what} takes one model of a fit, and this recipe trains one a fold (folds: "
            f"{recipe.corpus.folds.kind}). Take the corpus' own splits: "
            f"--set corpus.folds={OFFICIAL.kind}"
        )


def meant(workflow: Workflow, names: Sequence[str]) -> list[str]:
    """Names of nodes as they stand in a workflow: that of a node in folds is all of its copies."""
    copies: dict[str, list[str]] = {}
    for node in workflow:
        copies.setdefault(plain_name(node), []).append(node.name)
    return [
        one
        for name in names
        for one in ([name] if name in workflow.nodes else copies.get(name, [name]))
    ]


def _in(workflow: Workflow, node: Fit | Encode | Reduce, fold: Fold) -> Node:
    """A node in a fold, and what it reads there."""

    def here(name: str) -> str:
        shared = not name or isinstance(workflow[name], Extract)
        return name if shared else copy_name(name, fold)

    name, on = copy_name(node.name, fold), tuple(map(here, node.on))
    if isinstance(node, Reduce):
        return replace(node, name=name, on=on, fold=fold)
    if isinstance(node, Encode):
        return replace(node, name=name, of=here(node.of), on=on, fold=fold)
    others: dict[str, Any] = {key: here(getattr(node, key)) for key in FOR_TRAINING}
    return replace(node, name=name, on=on, fold=fold, **others)
