"""The study behind a sweep: its trials in one SQLite file of the store (only door to Optuna)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..cache.address import folder_of
from ..cache.courses import Course
from ..cache.errors import BadCall
from .fitting import Begun, FitTask, Trained, make_fit
from .search import Space, suggest

#: Times that a trial tells during its epochs how it does, and may be ended for it.
REPORTS = 40
#: Trials that run to their end before one is ended early, and before values are drawn by what the
#: others came to.
STARTUP = 5
#: Seconds for which a process waits while another one writes to the file.
PATIENCE = 60


@dataclass(frozen=True)
class Pruned:
    """A trial that was ended early: it did worse than half of the others at the same epoch."""

    epoch: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrialTask:
    """One trial for a worker.

    Args:
        fit: the fit to make.
        file: the study's SQLite file.
        study: its name.
        trial: Optuna's id of the trial.
        prune: whether it may be ended early.
    """

    fit: FitTask
    file: str
    study: str
    trial: int
    prune: bool


@dataclass(frozen=True)
class TrialRow:
    """What became of a trial.

    Args:
        number: from 0.
        state: ``complete``, ``pruned``, ``fail`` or ``running``.
        value: mean over seeds of the validation error; None where it has none.
        settings: what was tried.
    """

    number: int
    state: str
    value: float | None
    settings: dict[str, Any]


def load_optuna() -> Any:
    """Optuna, saying nothing by itself.

    Raises:
        BadCall: it is not installed.
    """
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise BadCall("sweeps need optuna: pip install 'affectflow[sweep]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def open_study(file: str | Path, name: str, prune: bool, seed: int = 0, old: bool = False) -> Any:
    """A study of the file, made if it is not there; ``old``: it is there, from this Optuna.

    The sampler begins elsewhere each time it is opened, or it would draw the same values again.
    """
    optuna = load_optuna()
    storage = optuna.storages.RDBStorage(
        f"sqlite:///{file}",
        engine_kwargs={"connect_args": {"timeout": PATIENCE}},
        skip_compatibility_check=old,
        skip_table_creation=old,
    )
    pruner = optuna.pruners.MedianPruner(n_startup_trials=STARTUP)
    study = optuna.create_study(
        study_name=name,
        storage=storage,
        load_if_exists=True,
        direction="minimize",
        pruner=pruner if prune else optuna.pruners.NopPruner(),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.sampler = optuna.samplers.TPESampler(
            seed=seed + len(study.trials), n_startup_trials=STARTUP, constant_liar=True
        )
    return study


def close_study(study: Any) -> None:
    """Let go of the file."""
    storage = study._storage
    getattr(storage, "_backend", storage).engine.dispose()


def again(study: Any) -> None:
    """Try once more, first of all, what was running when a driver was killed."""
    optuna = load_optuna()
    for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        study.enqueue_trial(trial.params, user_attrs={"again": True}, skip_if_exists=False)


def finished(study: Any) -> int:
    """Trials that came to an end of their own, in a value, early, or in an error."""
    left = {t.number for t in study.trials if not t.state.is_finished()}
    repeated = sum(bool(t.user_attrs.get("again")) for t in study.trials)
    return len(study.trials) - len(left) - repeated


def rows(study: Any, space: Space) -> list[TrialRow]:
    """What became of each trial, in the order of their numbers."""
    optuna = load_optuna()
    return [
        TrialRow(
            trial.number,
            trial.state.name.lower(),
            trial.value if trial.state.name == "COMPLETE" else None,
            suggest(optuna.trial.FixedTrial(trial.params), space) if trial.params else {},
        )
        for trial in study.trials
    ]


def make_trial(task: TrialTask) -> Trained | Begun | Pruned:
    """Fit what a trial tries; tell its validation error on the way, and end early if it is bad."""
    if not task.prune:
        return make_fit(task.fit)
    optuna = load_optuna()
    study = open_study(task.file, task.study, prune=True, old=True)
    trial = optuna.trial.Trial(study, task.trial)
    every, last = max(1, task.fit.training.epochs // REPORTS), 0

    def tell(epoch: int, most: int, best: Sequence[float]) -> None:
        nonlocal last
        if epoch <= last or epoch % every:
            return  # of a further stack of seeds: the first one has told of this epoch
        last = epoch
        trial.report(sum(best) / len(best), epoch)
        if trial.should_prune():
            raise optuna.TrialPruned

    try:
        return make_fit(task.fit, tell)
    except optuna.TrialPruned:
        Course(folder_of(task.fit.root), task.fit.fingerprint).forget()
        return Pruned(last)
    finally:
        close_study(study)
