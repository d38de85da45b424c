"""YAML to a checked workflow: unknown keys are refused with the nearest known one.

A recipe is data from a stranger. It is read by a safe loader without anchors, every value is
checked against the type of the setting it fills, and all faults are reported at once.
"""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import pydantic
import yaml

from ..cache.errors import AffectflowError, BadRecipe, unknown
from ..extract.base import TRANSCRIPT
from ..extract.registry import EXTRACTORS, extractor_class
from ..train.registry import MODELS, fit_settings
from .corpora import CorpusSpec
from .graph import Workflow
from .nodes import PCA, Encode, Extract, Fit, Node, Reduce
from .search import read_space
from .subsets import expanded, possible

TOP_KEYS = ("name", "paper", "about", "corpus", "nodes")
KINDS = ("extract", "fit", "encode", "reduce")
#: A recipe is a page of text; a file beyond this is not one.
MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class Recipe:
    """A workflow and the corpus it runs on.

    Args:
        name: the recipe's name.
        workflow: its nodes.
        corpus: where the utterances come from.
        source: the recipe as plain data, overrides applied: enough to make it again.
        notes: what a user should know of how it was read.
    """

    name: str
    workflow: Workflow
    corpus: CorpusSpec
    source: Mapping[str, Any] = field(repr=False)
    notes: tuple[str, ...] = ()


class _Loader(yaml.SafeLoader):
    """YAML 1.2 scalars (``on`` is a word, 1e-3 a number), no anchors, no doubled keys."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise BadRecipe(
                f"line {mark.line + 1}: anchors and aliases are not allowed in a recipe"
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise BadRecipe(f"line {line}: a key must be a word, not a list or a mapping")
            if key.value in seen:
                raise BadRecipe(f"line {line}: '{key.value}' stands there twice")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.endswith((":null", ":merge"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, _pattern, _first in (
    ("bool", r"true|false|True|False", "tfTF"),
    ("int", r"[-+]?(?:0|[1-9]\d*)", "-+0123456789"),
    ("float", r"[-+]?(?:(?:\d+\.\d*|\.\d+)(?:[eE][-+]?\d+)?|\d+[eE][-+]?\d+)", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first)
    )


def shipped() -> tuple[str, ...]:
    """Names of the recipes that come with affectflow."""
    folder = resources.files(__package__) / "recipes"
    names = (entry.name for entry in folder.iterdir())
    return tuple(sorted(name[: -len(".yaml")] for name in names if name.endswith(".yaml")))


def load_recipe(
    name: str | Path, overrides: Sequence[str] = (), corpus: str | Path | None = None
) -> Recipe:
    """Read a recipe by its name, or from a YAML file, and check all of it.

    Args:
        name: name of a shipped recipe, or path of a ``.yaml`` file.
        overrides: ``node.setting=value``, ``node.search.setting=values`` or
            ``corpus.option=value``, values in YAML.
        corpus: folder or table to run on instead of the recipe's own corpus.

    Raises:
        BadRecipe: the file is not a recipe; the message lists every fault.
        UnknownName: no recipe has this name.
    """
    source = parse(_text(name), str(name))
    if corpus is not None:
        source["corpus"] = {"root": str(corpus)}
    for override in overrides:
        _override(source, override)
    return build(source, str(name))


def _text(name: str | Path) -> str:
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        try:
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise BadRecipe(f"cannot read recipe '{path}': {error.strerror}") from error
        if len(data) > MAX_BYTES:
            raise BadRecipe(f"recipe '{path}' is larger than {MAX_BYTES} bytes: not a recipe")
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise BadRecipe(f"recipe '{path}' is not UTF-8 text: {error}") from error
    if str(name) not in shipped():
        raise unknown("recipe", str(name), shipped())
    return (resources.files(__package__) / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")


def parse(text: str, where: str) -> dict[str, Any]:
    """YAML text to a plain dict.

    Raises:
        BadRecipe: it is not YAML, or not a mapping at its top.
    """
    source = _load(text, f"recipe '{where}'")
    if not isinstance(source, dict):
        raise BadRecipe(f"recipe '{where}' must be a mapping with 'name' and 'nodes'")
    return source


def _override(source: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    place, dot, key = path.partition(".")
    if not (equals and dot and key):
        raise BadRecipe(f"an override reads node.setting=value, got '{override}'")
    value = _load(text, f"value of override '{override}'")
    nodes = source.get("nodes")
    nodes = nodes if isinstance(nodes, dict) else {}
    if place == "corpus":
        source["corpus"] = {**_mapping(source.get("corpus") or {}, "corpus"), key: value}
    elif place in nodes and key.startswith("search."):
        whole = _mapping(nodes[place], f"node '{place}'")
        space = _mapping(whole.get("search") or {}, "'search'")
        nodes[place] = {**whole, "search": {**space, key.removeprefix("search."): value}}
    elif place in nodes:
        nodes[place] = {**_mapping(nodes[place], f"node '{place}'"), key: value}
    else:
        raise unknown("node in an override", place, [*map(str, nodes), "corpus"])


def _mapping(value: Any, what: str) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise BadRecipe(f"{what} must map settings to values, got {value!r}")
    return value


def _load(text: str, where: str) -> Any:
    """Any YAML value."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506  # a SafeLoader, see above
    except BadRecipe as error:
        raise BadRecipe(f"{where}, {error}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise BadRecipe(f"{where} is not YAML: {error}") from error


def build(source: Mapping[str, Any], where: str) -> Recipe:
    """Plain data to a checked recipe.

    Raises:
        BadRecipe: with every fault that was found.
    """
    faults: list[str] = []
    _unknown_keys(source, TOP_KEYS, "the recipe", faults)
    nodes = source.get("nodes")
    if not isinstance(nodes, dict) or not nodes:
        raise BadRecipe(f"recipe '{where}': 'nodes' must map names to nodes, got {nodes!r}")
    built, told, notes = _built(nodes, faults)
    try:
        spec = CorpusSpec.from_mapping(source.get("corpus") or {})
    except AffectflowError as error:
        faults.append(f"corpus: {error}")
    if faults:
        listed = "\n".join(f"  {i}. {fault}" for i, fault in enumerate(faults, 1))
        raise BadRecipe(f"recipe '{where}' has {len(faults)} fault(s):\n{listed}")
    about = {key: str(source[key]) for key in ("paper", "about") if key in source}
    title = str(source.get("name", Path(where).stem))
    workflow = Workflow(title, built, about)
    return Recipe(title, workflow, spec, {**source, "nodes": told}, tuple(notes))


def _built(
    nodes: Mapping[Any, Any], faults: list[str]
) -> tuple[list[Node], dict[str, Any], list[str]]:
    """The nodes, what stands for each in plain data, and notes; what is wrong joins the faults."""
    built: list[Node] = []
    fits: dict[str, tuple[str, ...]] = {}
    told: dict[str, Any] = {}
    notes: list[str] = []

    def modality(name: str) -> str:
        return Workflow("", built).modality(name)

    for name, settings in nodes.items():
        try:
            parts = expanded(str(name), settings, modality)
            made = {own: _node(own, its, fits) for own, its in parts.items()}
            made, note = possible(str(name), settings, made, modality)
        except AffectflowError as error:
            faults.extend(f"node '{name}': {line}" for line in str(error).split("\n"))
            continue
        notes += [note] if note else []
        built += made.values()
        told |= {own: parts[own] for own in made}
        fits |= {own: node.on for own, node in made.items() if isinstance(node, Fit)}
    return built, told, notes


def _unknown_keys(keys: Iterable[Any], known: Iterable[str], where: str, faults: list[str]) -> None:
    known = list(known)
    faults.extend(str(unknown(f"key in {where}", str(k), known)) for k in keys if k not in known)


def _node(name: str, settings: Any, fits: Mapping[str, tuple[str, ...]]) -> Node:
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
    _unknown_keys(rest, (), "an encode", faults)
    if faults:
        raise BadRecipe("\n".join(faults))
    return Encode(name, what, fits.get(what, ()))


def _extract(name: str, what: str, rest: dict[str, Any]) -> Extract:
    if what not in EXTRACTORS:
        raise unknown("extractor", what, EXTRACTORS)
    kind = extractor_class(what)
    on = rest.pop("on", {})
    extractor = kind(**_settings(rest, kind, what))
    if isinstance(on, str):
        on = dict.fromkeys(extractor.needs.features[:1] or (TRANSCRIPT,), on)
    if not isinstance(on, dict):
        raise BadRecipe(f"'on' must name a node, or map roles to nodes, got {on!r}")
    return Extract(name, extractor, {str(role): str(node) for role, node in on.items()})


def _fit(name: str, what: str, rest: dict[str, Any]) -> Fit:
    if what not in MODELS:
        raise unknown("model", what, MODELS)
    lists = {key: rest.pop(key, None) for key in ("on", "tasks")}
    for key, value in lists.items():
        if isinstance(value, str):
            lists[key] = value = [value]
        if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
            raise BadRecipe(f"'{key}' must be a list of names, got {value!r}")
    search = rest.pop("search", {})
    model, training = fit_settings(what, **rest)
    on, tasks = (tuple(value) for value in lists.values() if value)
    node = Fit(name, what, model, training, on, tasks)
    return dataclasses.replace(node, search=read_space(search, what, rest, tasks))


def _reduce(name: str, what: str, rest: dict[str, Any]) -> Reduce:
    if what != PCA:
        raise unknown("reduction", what, [PCA])
    faults: list[str] = []
    _unknown_keys(rest, ("on", "columns"), "a reduction", faults)
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
    _unknown_keys(given, fields, f"'{what}'", faults)
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
