"""What is changed of a recipe before it is built: its variants, the corpus, single settings.

A variant is a change that the recipe's own author has named: an ablation, another corpus'
hyper-parameters, the same graph on frozen features. All of this is done on plain data, so that what
comes out is checked like any recipe.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..cache.errors import AffectflowError, BadRecipe, unknown
from .safe_yaml import load_yaml

KEYS = ("about", "without_labels", "drop", "nodes", "set")
#: Settings of a node that name other nodes.
READS = ("on", "encode", "start", "labels_from")


def changed(
    source: Mapping[str, Any],
    where: str,
    variants: Sequence[str] = (),
    corpus: str | Path | None = None,
    overrides: Sequence[str] = (),
) -> dict[str, Any]:
    """A recipe with its variants put on top of each other, in order; then corpus and overrides.

    What one of them changes of a node that a variant before it leaves out is passed over.

    Args:
        source: the recipe as plain data.
        where: its name, for messages.
        variants: names of variants of the recipe.
        corpus: folder or table that takes the place of the recipe's corpus.
        overrides: ``node.setting=value``, values in YAML; ``null`` leaves a setting out.

    Raises:
        BadRecipe: a variant changes what is not there, or an override cannot be read.
        UnknownName: the recipe has no such variant, or an override names no node.
    """
    found = dict(source)
    faults = variant_faults(source) if variants else []
    if faults:
        raise BadRecipe(f"recipe '{where}': " + "; ".join(faults))
    known = variants_of(source) if variants else {}
    gone: set[str] = set()
    for name in dict.fromkeys(variants):
        if name not in known:
            raise unknown(f"variant of recipe '{where}'", name, known)
        try:
            _apply(found, known[name], gone)
        except AffectflowError as error:
            raise BadRecipe(f"recipe '{where}', variant '{name}': {error}") from error
    if corpus is not None:
        asked = found.get("corpus") or {}
        folds = {"folds": asked["folds"]} if isinstance(asked, dict) and "folds" in asked else {}
        found["corpus"] = {"root": str(corpus), **folds}  # another corpus, trained in the same way
    for override in overrides:
        _override(found, override, gone)
    return found


def like(source: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe that is ``like`` another one: that one's, with its own name and changes.

    It may have what a variant has (``drop``, ``nodes``, ``set``), and variants beside the other's.

    Raises:
        BadRecipe: it changes what is not there.
    """
    changes = ("like", "drop", "nodes", "set", "variants")
    found = {**other, **{key: value for key, value in source.items() if key not in changes}}
    own = {key: source[key] for key in ("drop", "nodes", "set") if key in source}
    faults = list(_faults("like", own))
    if faults:
        raise BadRecipe("; ".join(faults))
    _apply(found, own, set())
    found["variants"] = {**other.get("variants", {}), **source.get("variants", {})}
    return found


def variants_of(source: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """Variants of a well-formed recipe by name, in its order."""
    return {str(name): own for name, own in source.get("variants", {}).items()}


def overruled(source: Mapping[str, Any], beneath: Sequence[str], above: Sequence[str]) -> list[str]:
    """What variants of a recipe undo of those that lie beneath them.

    A setting counts that gets another value, and a node that another one takes the place of. What
    is set of a node that was put in place beneath only refines it.

    Args:
        source: the recipe as plain data, well-formed.
        beneath: names of variants.
        above: of those on top of them.

    Returns:
        A clause for each: ``'t_v' changes mosi.on, which 't_a' changes too``.
    """
    known = variants_of(source)
    first: dict[tuple[str, str], tuple[str, Any]] = {}
    for name in beneath:
        first |= {place: (name, value) for place, value in _written(known.get(name, {})).items()}
    found = []
    for name in above:
        for (node, key), value in _written(known.get(name, {})).items():
            own = {(node, key): value}
            if not key and isinstance(
                value, dict
            ):  # a whole node: the settings that it comes with, too
                own |= {(node, str(one)): its for one, its in value.items()}
            for place in own:
                other, was = first.get(place, (name, own[place]))
                if was != own[place]:
                    said = ".".join(word for word in place if word)
                    found.append(f"'{name}' changes {said}, which '{other}' changes too")
    return found


def _written(variant: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    """What a variant puts in place: (node, setting) -> value; a node as a whole has no setting."""
    found = {(str(node), ""): own for node, own in variant.get("nodes", {}).items()}
    for override in variant.get("set", ()):
        places, key, value = _parsed(override)
        found |= {(place, key): value for place in places.split(",")}
    return found


def variant_faults(source: Mapping[str, Any]) -> list[str]:
    """What is wrong with how a recipe writes its variants, a sentence each."""
    found = source.get("variants", {})
    if not isinstance(found, dict):
        return [f"'variants' must map names to changes, got {found!r}"]
    return [
        f"variant '{name}': {fault}"
        for name, own in found.items()
        for fault in _faults(str(name), own)
    ]


def _faults(name: str, own: Any) -> Iterator[str]:
    if not re.fullmatch(r"[\w-]{1,64}", name):
        yield "its name must have 1 to 64 letters, digits, '_', '-'"
    if not isinstance(own, dict):
        yield f"must map some of {', '.join(KEYS)} to what they change, got {own!r}"
        return
    yield from (str(unknown("key in a variant", str(k), KEYS)) for k in own if k not in KEYS)
    for key in ("set", "drop", "without_labels"):
        value = own.get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            kind = "node.setting=value" if key == "set" else "names"
            yield f"'{key}' must be a list of {kind}, got {value!r}"
    if not isinstance(own.get("nodes", {}), dict):
        yield f"'nodes' must map names to nodes, got {own['nodes']!r}"


def _apply(source: dict[str, Any], variant: Mapping[str, Any], gone: set[str]) -> None:
    """Leave nodes out, add or replace some, then set; nodes stand after what they read again.

    Args:
        source: the recipe, changed in place.
        variant: its changes.
        gone: nodes that variants have left out so far, brought up to date.
    """
    nodes = dict(_mapping(source.get("nodes"), "'nodes'"))
    added = {name: own for name, own in variant.get("nodes", {}).items() if name not in gone}
    for name in variant.get("drop", ()):
        if name not in nodes and name not in gone:
            raise BadRecipe(f"'drop': {unknown('node', name, nodes)}")
        nodes.pop(name, None)
        gone.add(name)
    source["nodes"] = {**nodes, **added}
    gone -= added.keys()
    for override in variant.get("set", ()):
        _override(source, override, gone)
    source["nodes"] = _in_order(source["nodes"])


def _in_order(nodes: Mapping[str, Any]) -> dict[str, Any]:
    """Each node after those that it reads, else as they stand; a circle is left as it is."""
    placed: dict[str, Any] = {}
    todo = list(nodes)
    while todo:
        ready = (n for n in todo if not any(one in todo and one != n for one in _read(n, nodes)))
        name = next(ready, todo[0])
        placed[name] = nodes[name]
        todo.remove(name)
    return placed


def _read(name: str, nodes: Mapping[str, Any]) -> set[str]:
    """Nodes that a node reads; ``sf_TA`` is one of those that ``subsets`` of ``sf`` make."""
    settings = nodes[name] if isinstance(nodes[name], dict) else {}
    words: list[Any] = []
    for value in (settings.get(key) for key in READS):
        many = list(value.values()) if isinstance(value, dict) else value
        words += many if isinstance(many, list) else [many]
    return {written_name(str(word), nodes) for word in words if word is not None}


def written_name(name: str, nodes: Mapping[str, Any]) -> str:
    """What a recipe calls the node that a name means: ``sf_TA`` is of ``sf`` with ``subsets``."""
    many = [n for n, own in nodes.items() if isinstance(own, dict) and "subsets" in own]
    return next((n for n in many if name not in nodes and name.startswith(f"{n}_")), name)


def _override(source: dict[str, Any], override: str, gone: Container[str]) -> None:
    """Set one setting of a node, or of several: ``av,ta.lr=0.002``; of those ``gone``, nothing."""
    places, key, value = _parsed(override)
    if places in ("corpus", "cluster"):
        source[places] = _set_in(source.get(places) or {}, [places], key.split("."), value)
        return
    nodes = source.get("nodes")
    nodes = dict(nodes) if isinstance(nodes, dict) else {}
    for place in places.split(","):
        if place in gone:
            continue
        if place not in nodes:
            raise unknown("node in an override", place, [*map(str, nodes), "corpus", "cluster"])
        nodes[place] = _with(_mapping(nodes[place], f"node '{place}'"), key, value)
    source["nodes"] = nodes


def _parsed(override: str) -> tuple[str, str, Any]:
    """Nodes, separated by commas, a setting of theirs, and its value."""
    path, equals, text = override.partition("=")
    places, dot, key = path.partition(".")
    if not (equals and dot and key):
        raise BadRecipe(f"an override reads node.setting=value, got '{override}'")
    return places, key, load_yaml(text, f"value of override '{override}'")


def _with(node: dict[Any, Any], key: str, value: Any) -> dict[Any, Any]:
    """A node with a setting changed, or with one more setting to search."""
    if key.startswith("search."):
        space = _mapping(node.get("search") or {}, "'search'")
        key, value = "search", _put(space, key.removeprefix("search."), value)
    return _put(node, key, value)


def _put(whole: Mapping[Any, Any], key: str, value: Any) -> dict[Any, Any]:
    """A mapping with a value in it, or, where that is None, without the one that stands there."""
    if value is None and key in whole:
        return {k: v for k, v in whole.items() if k != key}
    return {**whole, key: value}


def _set_in(whole: Any, place: Sequence[str], keys: Sequence[str], value: Any) -> dict[Any, Any]:
    """A mapping with a value set in it, or in mappings inside it: ``several.mosi.root``."""
    whole, (key, *further) = _mapping(whole, ".".join(place)), keys
    if further:
        value = _set_in(whole.get(key) or {}, [*place, key], further, value)
    return _put(whole, key, value)


def _mapping(value: Any, what: str) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise BadRecipe(f"{what} must map settings to values, got {value!r}")
    return value
