"""Search space of a fit: which of its settings a sweep tries, and between which values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..cache.errors import AffectflowError, BadCall, BadRecipe, unknown
from ..train.registry import fit_settings, settings_table
from ..train.training import number, task_faults

#: Settings that change what is predicted or how often: scores of trials would not be comparable.
NOT_SEARCHED = ("seeds", "labels", "classes", "multilabel")


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included.

    Args:
        low: the smallest.
        high: the largest; whole numbers are drawn where both are whole and the setting is.
        log: whether ratios count instead of differences.
        step: distance of the values that are tried; None: any.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def ends(self) -> tuple[Any, ...]:
        """Values that must be valid for all between them to be."""
        return (self.low, self.high)

    def suggest(self, trial: Any, name: str) -> Any:
        """Ask an Optuna trial for a value."""
        if isinstance(self.low, int):
            step = 1 if self.step is None else int(self.step)
            return trial.suggest_int(name, self.low, int(self.high), log=self.log, step=step)
        return trial.suggest_float(name, self.low, self.high, log=self.log, step=self.step)

    def plain(self) -> Any:
        """The same as in a recipe."""
        return {"low": self.low, "high": self.high, "log": self.log, "step": self.step}


@dataclass(frozen=True)
class Choice:
    """One of several values, of any kind that a recipe can hold."""

    values: tuple[Any, ...]

    @property
    def ends(self) -> tuple[Any, ...]:
        """Values that must be valid."""
        return self.values

    def suggest(self, trial: Any, name: str) -> Any:
        """Ask an Optuna trial for a value; it knows no lists, so it is shown JSON."""
        return json.loads(trial.suggest_categorical(name, [json.dumps(v) for v in self.values]))

    def plain(self) -> Any:
        """The same as in a recipe."""
        return list(self.values)


Space = Mapping[str, Range | Choice]


def read_space(given: Any, model: str, settings: Mapping[str, Any], tasks: Sequence[str]) -> Space:
    """A search space as it stands in a recipe: ``{lr: {low: 1e-4, high: 1e-2, log: true}}``.

    A setting is searched in a range, or among the values of a list.

    Args:
        given: setting -> range or list.
        model: registry name of the fit's model.
        settings: what the recipe sets otherwise.
        tasks: of the fit.

    Raises:
        BadRecipe: a setting is unknown, or a value of it is out of its range or does not go with
            the tasks; with all faults.
    """
    if not isinstance(given, Mapping):
        raise BadRecipe(f"'search' must map settings to ranges or lists, got {given!r}")
    space: dict[str, Range | Choice] = {}
    faults: list[str] = []
    defaults = settings_table(model)
    for name, values in given.items():
        try:
            if name not in defaults:
                raise unknown(f"setting of '{model}' in 'search'", str(name), defaults)
            if name in NOT_SEARCHED:
                raise BadCall(f"'{name}' cannot be searched: its trials could not be compared")
            space[name] = _one(name, values, isinstance(defaults[name], int))
            for value in space[name].ends:
                _, training = fit_settings(model, **{**settings, name: value})
                faults.extend(f"search of '{name}': {f}" for f in task_faults(training, tasks))
        except AffectflowError as error:
            faults.append(f"search of '{name}': {error}")
    if faults:
        raise BadRecipe("\n".join(faults))
    return space


def _one(name: str, values: Any, whole: bool) -> Range | Choice:
    if isinstance(values, list | tuple):
        if len({json.dumps(value) for value in values}) < max(len(values), 2):
            raise BadCall(f"a list of at least two different values, got {list(values)!r}")
        return Choice(tuple(values))
    if not isinstance(values, Mapping) or not {"low", "high"} <= set(values):
        raise BadCall(
            "a list of values, or {low: 0.0001, high: 0.01} with 'log: true' or 'step' if wanted, "
            f"got {values!r}"
        )
    for key in values:
        if key not in ("low", "high", "log", "step"):
            raise unknown("key of a range", str(key), ("low", "high", "log", "step"))
    low, high = (number(f"'{end}'", values[end]) for end in ("low", "high"))
    log, step = values.get("log", False), values.get("step")
    if not low < high or (log and not low > 0) or type(log) is not bool:
        raise BadCall(f"'low' must be below 'high', and above 0 with 'log: true'; got {values!r}")
    if step is not None and (log or not number("'step'", step) > 0):
        raise BadCall(f"'step' must be above 0 and cannot go with 'log'; got {values!r}")
    if whole:
        if any(not float(v).is_integer() for v in (low, high, step or 1)):
            raise BadCall(f"'{name}' is a whole number, got {values!r}")
        return Range(int(low), int(high), log, None if step is None else int(step))
    return Range(low, high, log, None if step is None else float(step))


def suggest(trial: Any, space: Space) -> dict[str, Any]:
    """A value of each setting, from an Optuna trial."""
    return {name: values.suggest(trial, name) for name, values in space.items()}


def plain(space: Space) -> dict[str, Any]:
    """A space as plain JSON."""
    return {name: values.plain() for name, values in space.items()}
