"""YAML to a checked workflow: unknown keys are refused with the nearest known one.

A recipe is data from a stranger. It is read by a safe loader without anchors, every value is
checked against the type of the setting it fills, and all faults are reported at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..cache.errors import AffectflowError, BadRecipe
from .cluster_spec import ClusterSpec
from .corpora import CorpusSpec
from .graph import Workflow
from .nodes import Fit, Node
from .recipe_nodes import read_node, unknown_keys
from .safe_yaml import load_yaml, named_text, shipped_in
from .subsets import expanded, possible
from .variants import changed, like, variant_faults, variants_of

TOP_KEYS = ("name", "paper", "about", "corpus", "cluster", "nodes", "variants")
#: A recipe is a page of text; a file beyond this is not one.
MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class Origin:
    """What a recipe is built from, before its variants.

    Args:
        source: the file as plain data.
        where: its name or path, for messages.
        corpus: folder or table that takes the place of the recipe's corpus.
        overrides: ``node.setting=value``.
    """

    source: Mapping[str, Any]
    where: str
    corpus: str | Path | None = None
    overrides: tuple[str, ...] = ()

    def built(self, variants: Sequence[str]) -> Recipe:
        """The recipe with these variants.

        Raises:
            BadRecipe: it cannot be built so.
            UnknownName: it has no such variant.
        """
        source = changed(self.source, self.where, variants, self.corpus, self.overrides)
        applied = tuple(dict.fromkeys(variants))
        return replace(build(source, self.where), variants=applied, origin=self)


@dataclass(frozen=True)
class Recipe:
    """A workflow and the corpus it runs on.

    Args:
        name: the recipe's name.
        workflow: its nodes.
        corpus: where the utterances come from.
        source: the recipe as plain data, overrides applied: enough to make it again.
        notes: what a user should know of how it was read.
        variants: those of its variants that are applied, in order.
        origin: what it was built from; None of one that was put together in Python.
        cluster: which workers ``--scheduler cluster`` starts; None: it says nothing of that.
    """

    name: str
    workflow: Workflow
    corpus: CorpusSpec
    source: Mapping[str, Any] = field(repr=False)
    notes: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    origin: Origin | None = field(default=None, repr=False, compare=False)
    cluster: ClusterSpec | None = None

    @property
    def called(self) -> str:
        """What names it on the command line: ``fmlmsn --variant m``."""
        return " ".join([self.name, *(f"--variant {name}" for name in self.variants)])

    @property
    def known_variants(self) -> Mapping[str, Mapping[str, Any]]:
        """All its variants as they stand in the recipe, by name."""
        return variants_of(self.source)


def shipped() -> tuple[str, ...]:
    """Names of the recipes that come with affectflow."""
    return shipped_in("recipes")


def load_recipe(
    name: str | Path,
    overrides: Sequence[str] = (),
    corpus: str | Path | None = None,
    variants: Sequence[str] = (),
) -> Recipe:
    """Read a recipe by its name, or from a YAML file, and check all of it.

    Args:
        name: name of a shipped recipe, or path of a ``.yaml`` file.
        overrides: ``node.setting=value``, ``node.search.setting=values``,
            ``corpus.option=value`` or ``cluster.option=value``, values in YAML.
        corpus: folder or table to run on instead of the recipe's own corpus.
        variants: of the recipe, later ones on top of earlier ones; overrides on top of all.

    Raises:
        BadRecipe: the file is not a recipe; the message lists every fault.
        UnknownName: no recipe has this name, or this one no such variant.
    """
    return Origin(plain(name), str(name), corpus, tuple(overrides)).built(variants)


def plain(name: str | Path) -> dict[str, Any]:
    """A recipe as plain data, on top of the one it is ``like``; nothing of it is built or fetched.

    Raises:
        BadRecipe: it cannot be read, or is like a recipe that is like another, or no mapping.
        UnknownName: no recipe has this name.
    """
    source = _read(name)
    if "like" not in source:
        return source
    other = _read(str(source["like"]))
    if "like" in other:
        raise BadRecipe(f"recipe '{name}' is like '{source['like']}', which is like another")
    try:
        return like(source, other)
    except AffectflowError as error:
        raise BadRecipe(f"recipe '{name}', like '{source['like']}': {error}") from error


def _read(name: str | Path) -> dict[str, Any]:
    return parse(named_text("recipe", "recipes", name, MAX_BYTES), str(name))


def parse(text: str, where: str) -> dict[str, Any]:
    """YAML text to a plain dict.

    Raises:
        BadRecipe: it is not YAML, or not a mapping at its top.
    """
    source = load_yaml(text, f"recipe '{where}'")
    if not isinstance(source, dict):
        raise BadRecipe(f"recipe '{where}' must be a mapping with 'name' and 'nodes'")
    return source


def build(source: Mapping[str, Any], where: str) -> Recipe:
    """Plain data to a checked recipe.

    Raises:
        BadRecipe: with every fault that was found.
    """
    faults: list[str] = []
    unknown_keys(source, TOP_KEYS, "the recipe", faults)
    faults += variant_faults(source)
    nodes = source.get("nodes")
    if not isinstance(nodes, dict) or not nodes:
        raise BadRecipe(f"recipe '{where}': 'nodes' must map names to nodes, got {nodes!r}")
    built, told, notes = _built(nodes, faults)
    try:
        spec = CorpusSpec.from_mapping(source.get("corpus") or {})
    except AffectflowError as error:
        faults.append(f"corpus: {error}")
    try:
        cluster = ClusterSpec.from_mapping(source["cluster"]) if "cluster" in source else None
    except AffectflowError as error:
        faults.append(f"cluster: {error}")
    if faults:
        listed = "\n".join(f"  {i}. {fault}" for i, fault in enumerate(faults, 1))
        raise BadRecipe(f"recipe '{where}' has {len(faults)} fault(s):\n{listed}")
    about = {key: str(source[key]) for key in ("paper", "about") if key in source}
    title = str(source.get("name", Path(where).stem))
    workflow = Workflow(title, built, about)
    plain = {**source, "nodes": told}
    return Recipe(title, workflow, spec, plain, tuple(notes), cluster=cluster)


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
