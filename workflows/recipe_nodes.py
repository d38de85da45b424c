"""The nodes of a recipe, from plain data: each setting is checked, all faults are told at once."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Iterable, Mapping
from typing import Any

import pydantic

from ..cache.errors import BadRecipe, unknown
from ..extract.base import TRANSCRIPT
from ..extract.registry import EXTRACTORS, extractor_class
from ..train.registry import MODELS, fit_settings, settings_table
from .nodes import FOR_TRAINING, PCA, Encode, Extract, Fit, Node, Reduce
from .retrain_rule import Retrain
from .search import read_space

KINDS = ("extract", "fit", "encode", "reduce")
#: What a recipe says of a fit beside settings of its model and its training.
FIT_KEYS = {
    "on": "nodes whose features it reads",
    "tasks": "label columns that it learns, or columns of what 'labels_from' names",
    "subsets": "all, or a list such as [TA, A]: a fit of its own on each subset of its modalities",
    "corpora": "of several (corpus: {several: {NAME: {root: FOLDER}}}), those that it learns from",
    "start": f"{FOR_TRAINING['start']}: what has the name and shape of a parameter there",
    "labels_from": f"{FOR_TRAINING['labels_from']}: an extract with a row an utterance",
    "retrain": "FmlMSN's rule by which what it reads is trained anew",
    "search": "settings that 'affectflow sweep' tries: {lr: {low: 1e-4, high: 1e-2, log: true}}",
}
#: What it says of an extract beside settings of its extractor.
EXTRACT_KEYS = {
    "on": "the node that it reads, or a node for each role",
    "corpora": "of several, those whose utterances it is run on; of others they are masked",
}
#: What it says of an encode.
ENCODE_KEYS = {
    "gives": "hidden: the last hidden layer; scores: what the fit predicts; rows: the model's rows",
    "dtype": "float32 or float16, in which that is stored",
}


def unknown_keys(keys: Iterable[Any], known: Iterable[str], where: str, faults: list[str]) -> None:
    """Add a fault for each key that is none of those known."""
    known = list(known)
    faults.extend(str(unknown(f"key in {where}", str(k), known)) for k in keys if k not in known)


def read_node(name: str, settings: Any, fits: Mapping[str, tuple[str, ...]]) -> Node:
    """One node of a recipe.

    Args:
        name: the node's.
        settings: what the recipe says of it.
        fits: names of the fits before it, with the features that each reads.

    Raises:
        BadRecipe: with every fault of it.
        UnknownName: no extractor or model is called so, or has such a setting.
        BadCall: a setting is out of its range.
    """
    if not re.fullmatch(r"[\w-]{1,64}", name) or name == "corpus":
        raise BadRecipe("a node's name has 1 to 64 letters, digits, '_', '-', and is not 'corpus'")
    kinds = [kind for kind in KINDS if isinstance(settings, dict) and kind in settings]
    if len(kinds) != 1:
        raise BadRecipe(
            f"must be a mapping with one of {', '.join(KINDS)}, "
            f"got {list(settings) if isinstance(settings, dict) else settings!r}"
        )
    rest = dict(settings)
    what = str(rest.pop(kinds[0]))
    if kinds[0] == "extract":
        return _extract(name, what, rest)
    if kinds[0] == "fit":
        return _fit(name, what, rest)
    if kinds[0] == "reduce":
        return _reduce(name, what, rest)
    faults: list[str] = []
    unknown_keys(rest, ENCODE_KEYS, "an encode", faults)
    if faults:
        raise BadRecipe("\n".join(faults))
    return Encode(name, what, fits.get(what, ()), **rest)


def _extract(name: str, what: str, rest: dict[str, Any]) -> Extract:
    if what not in EXTRACTORS:
        raise unknown("extractor", what, EXTRACTORS)
    kind = extractor_class(what)
    on, corpora = rest.pop("on", {}), rest.pop("corpora", [])
    named = _names("corpora", corpora) if corpora != [] else ()
    extractor = kind(**_settings(rest, kind, what))
    if isinstance(on, str):
        on = dict.fromkeys(extractor.needs.features[:1] or (TRANSCRIPT,), on)
    if not isinstance(on, dict):
        raise BadRecipe(f"'on' must name a node, or map roles to nodes, got {on!r}")
    return Extract(name, extractor, {str(role): str(node) for role, node in on.items()}, named)


def _fit(name: str, what: str, rest: dict[str, Any]) -> Fit:
    if what not in MODELS:
        raise unknown("model", what, MODELS)
    known = (*settings_table(what), *FIT_KEYS)
    for key in rest:
        if key not in known:
            raise unknown(f"setting of '{what}'", str(key), known)
    on, tasks = (_names(key, rest.pop(key, None)) for key in ("on", "tasks"))
    search, corpora = rest.pop("search", {}), rest.pop("corpora", [])
    retrain = _retrain(rest.pop("retrain", None))
    others: dict[str, Any] = {key: _other(key, rest.pop(key, "")) for key in FOR_TRAINING}
    named = _names("corpora", corpora) if corpora != [] else ()
    model, training = fit_settings(what, **rest)
    node = Fit(name, what, model, training, on, tasks, retrain=retrain, corpora=named, **others)
    return dataclasses.replace(node, search=read_space(search, what, rest, tasks))


def _retrain(given: Any) -> Retrain | None:
    """The retraining rule of a fit; an empty mapping is the paper's."""
    if given is None:
        return None
    if not isinstance(given, dict):
        raise BadRecipe(f"'retrain' must map below, rounds, draws, ... to values, got {given!r}")
    return Retrain(**_settings(given, Retrain, "retrain"))


def _other(key: str, value: Any) -> str:
    """Another node that a fit needs to be trained, by its name; empty: none."""
    if not isinstance(value, str):
        raise BadRecipe(f"'{key}' must name {FOR_TRAINING[key]}, got {value!r}")
    return value


def _names(key: str, value: Any) -> tuple[str, ...]:
    """A list of names; one name stands for a list of it alone."""
    value = [value] if isinstance(value, str) else value
    if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
        raise BadRecipe(f"'{key}' must be a list of names, got {value!r}")
    return tuple(value)


def _reduce(name: str, what: str, rest: dict[str, Any]) -> Reduce:
    if what != PCA:
        raise unknown("reduction", what, [PCA])
    faults: list[str] = []
    unknown_keys(rest, ("on", "columns"), "a reduction", faults)
    on, columns = rest.get("on"), rest.get("columns")
    on = on[0] if isinstance(on, list) and len(on) == 1 else on
    if not isinstance(on, str):
        faults.append(f"'on' must name the one node whose features are reduced, got {on!r}")
    if type(columns) is not int or columns < 1:
        faults.append(f"'columns' must be a whole number of at least 1, got {columns!r}")
    if faults:
        raise BadRecipe("\n".join(faults))
    return Reduce(name, (str(on),), int(str(columns)))


def _settings(given: Mapping[str, Any], kind: type[Any], what: str) -> dict[str, Any]:
    """Bring each setting of a dataclass to its field's type; report all that do not fit."""
    faults: list[str] = []
    fields = {field.name: field for field in dataclasses.fields(kind)}
    unknown_keys(given, fields, f"'{what}'", faults)
    hints = typing.get_type_hints(kind)
    values: dict[str, Any] = {}
    for name, field_ in fields.items():
        if name in given:
            try:
                values[name] = pydantic.TypeAdapter(hints[name]).validate_python(given[name])
            except pydantic.ValidationError as error:
                reasons = "; ".join(part["msg"] for part in error.errors())
                faults.append(f"'{name}' = {given[name]!r}: {reasons}")
        elif field_.default is field_.default_factory is dataclasses.MISSING:
            faults.append(f"'{what}' needs the setting '{name}'")
    if faults:
        raise BadRecipe("\n".join(faults))
    return values
