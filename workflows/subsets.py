"""A fit on subsets of its modalities: one node of a recipe that stands for several."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

from ..cache.errors import BadCall, BadRecipe, unknown
from ..train.settings.base import LETTERS
from .nodes import Fit, Node

#: What stands for every subset.
ALL = "all"


def expanded(
    name: str, settings: Any, modality: Callable[[str], str]
) -> dict[str, Mapping[str, Any]]:
    """The fits that a node with ``subsets`` stands for, by name; any other node as it is.

    ``sf: {fit: sf, on: [text, audio], tasks: [M], subsets: all}`` is ``sf_T``, ``sf_A`` and
    ``sf_TA``; a list (``[TA, A]``) chooses among them.

    Args:
        name: of the node.
        settings: as they stand in the recipe.
        modality: of the nodes before, by name.

    Raises:
        BadRecipe: its inputs are not of different modalities, or a subset is none of theirs.
    """
    if not (isinstance(settings, Mapping) and "fit" in settings and "subsets" in settings):
        return {name: settings}
    rest = {key: value for key, value in settings.items() if key != "subsets"}
    on = rest.get("on")
    if not isinstance(on, list) or not all(isinstance(one, str) for one in on):
        raise BadRecipe(f"'on' must be a list of names, got {on!r}")
    letters = {LETTERS.get(modality(one), ""): one for one in on}
    if "" in letters or len(letters) < len(on):
        found = ", ".join(f"{one} ({modality(one)})" for one in on)
        raise BadRecipe(f"'subsets' needs inputs of different modalities, got {found}")
    order = [letter for letter in LETTERS.values() if letter in letters]
    known = ["".join(some) for n in range(1, len(on) + 1) for some in combinations(order, n)]
    wanted = known if settings["subsets"] == ALL else settings["subsets"]
    if not isinstance(wanted, list) or not wanted:
        raise BadRecipe(f"'subsets' must be '{ALL}' or a list out of {', '.join(known)}")
    for subset in wanted:
        if subset not in known:
            raise unknown("subset of the modalities", str(subset), known)
    return {f"{name}_{s}": {**rest, "on": [letters[letter] for letter in s]} for s in wanted}


def possible(
    name: str, settings: Any, nodes: Mapping[str, Node], modality: Callable[[str], str]
) -> tuple[dict[str, Node], str]:
    """Of the fits that a node with ``subsets`` stands for, those whose model takes their inputs.

    Of ``all``, others are left out: TFN needs two inputs, whatever they are.

    Args:
        name: of the node.
        settings: as they stand in the recipe.
        nodes: that it stands for, by name; of any other node it alone, which is given back.
        modality: of the nodes before, by name.

    Returns:
        The nodes, and a sentence on those that were left out; empty: none was.

    Raises:
        BadRecipe: the model cannot take a subset that was asked for by name, or any at all.
    """
    kept: dict[str, Node] = {}
    refused: dict[str, list[str]] = {}  # why -> subsets
    for own, node in nodes.items():
        why = ""
        if own != name and isinstance(node, Fit):
            try:
                node.settings.check({one: modality(one) for one in node.on}, node.tasks)
            except BadCall as error:
                why = str(error)
        subset = own.removeprefix(f"{name}_")
        if why and settings["subsets"] != ALL:
            raise BadRecipe(f"its subset {subset}: {why}")
        if why:
            refused.setdefault(re.split("[;,] got ", why)[0], []).append(subset)
        else:
            kept[own] = node
    told = "; ".join(f"{', '.join(some)} ({why})" for why, some in refused.items())
    if not kept:
        raise BadRecipe(f"its model can take none of the subsets: {told}")
    return kept, f"'{name}' leaves out subsets that its model cannot take: {told}" if told else ""
