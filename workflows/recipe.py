"""YAML to a checked workflow: unknown keys are refused with the nearest known one.

A recipe is data from a stranger. It is read by a safe loader without anchors, every value is
checked against the type of the setting it fills, and all faults are reported at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from ..cache.errors import AffectflowError, BadRecipe, unknown
from .corpora import CorpusSpec
from .graph import Workflow
from .nodes import Fit, Node
from .recipe_nodes import read_node, unknown_keys
from .subsets import expanded, possible

TOP_KEYS = ("name", "paper", "about", "corpus", "nodes")
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
    unknown_keys(source, TOP_KEYS, "the recipe", faults)
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
            made = {own: read_node(own, its, fits) for own, its in parts.items()}
            made, note = possible(str(name), settings, made, modality)
        except AffectflowError as error:
            faults.extend(f"node '{name}': {line}" for line in str(error).split("\n"))
            continue
        notes += [note] if note else []
        built += made.values()
        told |= {own: parts[own] for own in made}
        fits |= {own: node.on for own, node in made.items() if isinstance(node, Fit)}
    return built, told, notes
