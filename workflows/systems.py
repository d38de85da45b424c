"""Which trained models a comparison is about, and whether they may be compared at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..cache import runs
from ..cache.errors import BadCall, BadInput, unknown
from ..cache.records import Array
from ..cache.validation import count, listing, show
from .fit_view import FitView, labelled
from .run_records import RunRecord, read_run

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class System:
    """One trained model in a comparison.

    Args:
        label: what it is called there.
        run: whose it is.
        fit: the model.
        table: its predictions: id, split, seed, task, truth, prediction.
    """

    label: str
    run: RunRecord
    fit: FitView
    table: pd.DataFrame

    def predicted(self, task: str, split: str) -> tuple[list[str], Array, Array]:
        """Labelled utterances, sorted: ids, predictions (S, n, size), truth (n, size)."""
        return labelled(self.table, self.fit.target(task), split)


def find_systems(
    words: Sequence[str], cache: Path, task: str, split: str
) -> tuple[str, list[System]]:
    """The task to compare on, and the models that are meant and have learned it.

    Args:
        words: each a run (``RUN``) or one model of it (``RUN:FIT``). A run is its folder, or the
            first letters of its name in ``cache``.
        cache: folder of the feature store.
        task: on which they are compared; empty: ``M``, or what they have in common.
        split: on which they are compared.

    Raises:
        BadCall: a word that names no run, several or no models, or fewer than two in all.
        UnknownName: a run has no such model.
        BadInput: the models have no task in common.
    """
    asked = [_asked(word, cache) for word in words]
    task = _task(asked, task, split)
    chosen: dict[str, tuple[RunRecord, FitView]] = {}
    for run, fits in asked:
        for fit in fits:
            if task in fit.tasks and fit.metrics(task, split):
                chosen.setdefault(fit.checkpoint.digest, (run, fit))
    if len(chosen) < 2:
        names = listing([f"{run.id}:{fit.name}" for run, fit in chosen.values()])
        raise BadCall(
            f"a comparison on task '{task}' needs two different models, got {names or 'none'}; "
            "name another run, or a run with several models"
        )
    pairs = list(chosen.values())
    return task, [
        System(label, run, fit, _predictions(run, fit))
        for label, (run, fit) in zip(_labels(pairs), pairs, strict=True)
    ]


def _asked(word: str, cache: Path) -> tuple[RunRecord, list[FitView]]:
    """The run that a word names, and those of its models that are meant."""
    name, colon, node = word.rpartition(":")
    if not colon or Path(word).is_dir():
        name, node = word, ""
    run = _run(name, cache)
    if not run.fits:
        gone = f" ({listing(run.gone)} were, but their checkpoints are gone)" if run.gone else ""
        raise BadCall(f"run '{run.id}' has no trained model{gone}: run its recipe (again)")
    if node and node not in run.fits:
        raise unknown(f"trained model of run '{run.id}'", node, run.fits)
    return run, [run.fits[node]] if node else list(run.fits.values())


def _run(name: str, cache: Path) -> RunRecord:
    folder = Path(name).absolute()
    if folder.is_dir() and folder.parent.name == "runs":
        found = read_run(folder.parent.parent, folder.name)
        if found is not None:
            return _of_today(found)
    names = runs.run_names(cache)
    alike = [one for one in names if one == name] or [one for one in names if one.startswith(name)]
    if len(alike) > 1:
        return _trained(name, cache, alike)
    if alike:
        found = read_run(cache, alike[0])
        if found is not None:
            return _of_today(found)
    inside = runs.run_names(folder) if folder.is_dir() else []
    if inside:
        raise BadCall(f"'{name}' is a cache, and no run; its runs are {listing(inside)}: name one")
    if alike or folder.is_dir():
        raise BadCall(
            f"'{name}' is no run: it has no record of one. Name the folder in which 'affectflow "
            "run' wrote a report"
        )
    raise unknown("folder, or run of this cache:", name, names)


def _trained(word: str, cache: Path, alike: Sequence[str]) -> RunRecord:
    """Of several runs that a word names, the one with trained models.

    Others may be there for features alone, as a sweep's are.

    Raises:
        BadCall: none of them has any, or several have.
    """
    found = [record for name in alike if (record := read_run(cache, name)) is not None]
    trained = sorted((one for one in found if one.fits), key=lambda one: one.name)
    if len(trained) == 1:
        return trained[0]
    if not trained:
        raise BadCall(
            f"'{word}' names {count(len(alike), 'run')}, none of which has a trained model "
            f"({listing(alike)}): run its recipe (again)"
        )
    told = "".join(
        f"\n  {one.id}  {one.time:%Y-%m-%d %H:%M} UTC, {count(len(one.fits), 'model')}: "
        f"{listing(list(one.fits))}"
        for one in trained
    )
    raise BadCall(
        f"'{word}' names {count(len(trained), 'run')} with trained models; say which:{told}"
    )


def _of_today(run: RunRecord) -> RunRecord:
    if not run.nodes:
        raise BadCall(
            f"run '{run.id}' was recorded by an older affectflow, which did not say what its "
            f"models are: run its recipe '{run.recipe}' again (nothing is made twice)"
        )
    return run


def _task(asked: Sequence[tuple[RunRecord, list[FitView]]], task: str, split: str) -> str:
    """The task to compare on: the one asked for, or the first that all runs share; ``M`` first."""
    scored = {
        run.id: list(dict.fromkeys(t for f in fits for t in f.tasks if f.metrics(t, split)))
        for run, fits in asked
    }
    if task:
        for name, tasks in scored.items():
            if task not in tasks:
                raise unknown(f"task of run '{name}', scored on split '{split}'", task, tasks)
        return task
    lists = list(scored.values())
    common = [one for one in lists[0] if all(one in tasks for tasks in lists)]
    if not common:
        told = "; ".join(f"'{n}' has {', '.join(tasks) or 'none'}" for n, tasks in scored.items())
        raise BadInput(f"these runs share no task that is scored on split '{split}': {told}")
    return "M" if "M" in common else common[0]


def _predictions(run: RunRecord, fit: FitView) -> pd.DataFrame:
    table = fit.checkpoint.predictions()
    if table is None:
        raise BadCall(
            f"model '{fit.name}' of run '{run.id}' was stored without its predictions, so its "
            "utterances cannot be compared: delete its checkpoint and run the recipe again"
        )
    return table


def _labels(pairs: Sequence[tuple[RunRecord, FitView]]) -> list[str]:
    """The shortest names that tell the models apart: fit, recipe:fit, run:fit."""
    names = [(fit.name, f"{run.recipe}:{fit.name}", f"{run.id}:{fit.name}") for run, fit in pairs]
    for kind in zip(*names, strict=True):
        if len(set(kind)) == len(kind):
            return list(kind)
    return [
        f"{name[-1]}#{fit.checkpoint.digest[:6]}"
        for name, (_, fit) in zip(names, pairs, strict=True)
    ]


def check_comparable(systems: Sequence[System], task: str, split: str) -> list[str]:
    """Refuse models that were not scored on the same utterances; sentences on what else differs.

    Raises:
        BadInput: families of metrics, corpora, splits, utterances, or labels differ.
    """
    first = systems[0]
    notes = []
    for other in systems[1:]:
        pair = f"'{first.label}' and '{other.label}'"
        ways = [_scored(one, task) for one in (first, other)]
        if ways[0] != ways[1]:
            raise BadInput(
                f"{pair} have no common metric for task '{task}': the first was scored as "
                f"{ways[0]}, the second as {ways[1]}"
            )
        _check_splits(first, other, pair)
        _check_utterances(first, other, pair, task, split)
        if first.run.content["corpus"] != other.run.content["corpus"]:
            notes.append(
                f"the corpora of {pair} differ (in transcripts, media or other labels), but not in "
                f"the utterances and labels that are compared"
            )
        if _tested_in(first) != _tested_in(other):
            notes.append(
                f"{pair} were tested on other folds: each utterance by a model that never saw it, "
                "but learned from other ones"
            )
        sizes = [one.fit.checkpoint.meta.get("sizes", {}) for one in (first, other)]
        if sizes[0] != sizes[1]:
            notes.append(f"{pair} did not see as many utterances: {sizes[0]} and {sizes[1]}")
    return notes


def _tested_in(system: System) -> list[frozenset[str]]:
    """Utterances that each fold of a model tests; empty: it is on none."""
    tables = [fold.checkpoint.predictions() for fold in system.fit.folds]
    return [frozenset(t.loc[t["split"] == "test", "id"]) for t in tables if t is not None]


def _scored(system: System, task: str) -> str:
    """What the metrics of a task are about: classes, or the family of its labels."""
    target = system.fit.target(task)
    if target.names:
        return f"{'one' if target.kind == 'class' else 'any'} of {', '.join(target.names)}"
    return f"the family '{system.fit.family}'"


def _check_splits(first: System, other: System, pair: str) -> None:
    """No utterance may be trained on by one and tested by the other."""
    ours, theirs = (
        one.table.drop_duplicates("id").set_index("id")["split"] for one in (first, other)
    )
    common = ours.index.intersection(theirs.index)
    if not len(common):
        raise BadInput(
            f"{pair} are of different corpora: '{first.run.corpus}' and '{other.run.corpus}' share "
            "no utterance"
        )
    moved = common[(ours[common] != theirs[common]).to_numpy()]
    if len(moved):
        kinds = Counter(zip(ours[moved], theirs[moved], strict=True))
        told = ", ".join(f"{n} in '{a}' here and '{b}' there" for (a, b), n in kinds.items())
        raise BadInput(
            f"{pair} have different splits: {told}; the first is {show(moved[0])}. Train both on "
            "the same split"
        )


def _check_utterances(first: System, other: System, pair: str, task: str, split: str) -> None:
    (ids, _, y), (names, _, truth) = first.predicted(task, split), other.predicted(task, split)
    if ids != names:
        only = sorted(set(ids) - set(names)), sorted(set(names) - set(ids))
        told = [
            f"{count(len(found), 'utterance')} only of the {which} ({listing(found)})"
            for which, found in zip(("first", "second"), only, strict=True)
            if found
        ]
        raise BadInput(
            f"{pair} were scored on different utterances of split '{split}', task '{task}': "
            f"{', '.join(told)}. A paired comparison needs the same ones"
        )
    apart = ~np.isclose(y, truth, rtol=0, atol=1e-6).all(axis=1)
    if apart.any():
        i = int(apart.argmax())
        raise BadInput(
            f"{pair} were scored against different labels of '{task}': {int(apart.sum())} of "
            f"{len(ids)} differ, the first is {show(ids[i])} ({y[i].tolist()} and "
            f"{truth[i].tolist()})"
        )
