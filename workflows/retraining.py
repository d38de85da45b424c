"""Rounds of the retraining rule: step 1 is trained anew until step 2 is content with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ..cache.checkpoints import Checkpoint
from ..train.targets import from_meta
from ..train.training import primary_task
from .fit_view import labelled
from .graph import Workflow
from .node_state import NodeState
from .nodes import Fit
from .recipe import Recipe
from .recording import record_run
from .result import Reporter, Run
from .retrain_rule import Retrain, Round, validity

#: Between the seeds of a fit in one round and the next.
STRIDE = 1000


def go_in_rounds(recipe: Recipe, go: Callable[[Recipe], Run], reporter: Reporter) -> Run:
    """Run a recipe, its rounds where it has a rule; the run of what is kept.

    What earlier rounds made counts as made by it.
    """
    if not any(fit.retrain for fit in recipe.workflow.fits):
        return go(recipe)
    done: list[tuple[Recipe, Run]] = []

    def states_of(one: Recipe) -> Mapping[str, NodeState]:
        done.append((one, go(one)))
        return done[-1][1].states

    kept, rounds = settled(recipe, states_of)
    last, run = done[-1]
    if last is not kept:
        run = go(kept)
    for _, earlier in done:
        if earlier is not run:
            _add(run.made, earlier.made)
            _add(run.seconds, earlier.seconds)
            run.spent.add(earlier.spent)
            run.changed = run.changed or earlier.changed
    run.rounds = [replace(one, kept=tried is kept) for one, tried in rounds]
    for line in told(run.rounds):
        reporter.note(line)
    record_run(run)
    return run


def _add(total: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name, n in more.items():
        total[name] = total.get(name, 0) + n


def settled(
    recipe: Recipe, states_of: Callable[[Recipe], Mapping[str, NodeState]]
) -> tuple[Recipe, list[tuple[Round, Recipe]]]:
    """The recipe in the rounds that its rules choose, and all that were looked at, with theirs.

    Args:
        recipe: in its first round.
        states_of: runs a recipe, or looks at what is cached of it. Where the fit with the rule is
            not done, its rule asks for nothing more.
    """
    rounds: list[tuple[Round, Recipe]] = []
    for fit in [fit for fit in recipe.workflow.fits if fit.retrain]:
        assert fit.retrain is not None  # chosen so
        mine: list[tuple[Round, Recipe]] = []
        for number in range(fit.retrain.rounds):
            tried = in_round(recipe, fit, number)
            checkpoint = states_of(tried)[fit.name].checkpoint
            if checkpoint is None:
                return tried, [*rounds, *mine]
            p = p_of(fit, fit.retrain, checkpoint)
            mine.append((Round(fit.name, number, p, fit.retrain.below), tried))
            if p >= fit.retrain.below:
                break
        recipe = max(mine, key=lambda pair: pair[0].p)[1]  # the first of equals
        rounds += mine
    return recipe, rounds


def in_round(recipe: Recipe, fit: Fit, number: int) -> Recipe:
    """The recipe with all fits that a fit reads the encodings of in another round of its rule.

    They have other seeds there, and the round and the seed of the draws in their fingerprints.
    """
    if not number or fit.retrain is None:
        return recipe
    above = {node.name for node in recipe.workflow.upto([fit.name]).fits} - {fit.name}
    mark = (number, fit.retrain.seed)
    nodes = [
        _again(node, mark) if isinstance(node, Fit) and node.name in above else node
        for node in recipe.workflow
    ]
    workflow = Workflow(recipe.workflow.name, nodes, recipe.workflow.about)
    return replace(recipe, workflow=workflow)


def _again(fit: Fit, mark: tuple[int, int]) -> Fit:
    seeds = tuple(seed + STRIDE * mark[0] for seed in fit.training.seeds)
    return replace(fit, training=replace(fit.training, seeds=seeds, round=mark))


def p_of(fit: Fit, rule: Retrain, checkpoint: Checkpoint) -> float:
    """P of a fit that is done, from its predictions of the validation split."""
    table = checkpoint.predictions()
    assert table is not None  # fits are stored with theirs
    task = primary_task(fit.tasks)
    target = next(one for one in from_meta(checkpoint.meta) if one.task == task)
    ids, predicted, truth = labelled(table, target, "valid")
    positive = checkpoint.meta["family"] != "sims"
    return validity(predicted[..., 0], truth[:, 0], rule.drawn(len(ids)), positive)


def told(rounds: list[Round]) -> list[str]:
    """What the rules came to, a sentence each round."""
    return [
        f"retraining rule of '{one.fit}', round {one.number}: p = {one.p:.3f}, "
        + ("content" if one.p >= one.below else f"below {one.below:g}")
        + (", kept" if one.kept else "")
        for one in rounds
    ]
