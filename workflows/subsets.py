"""A fit on subsets of its modalities: one node of a recipe that stands for several."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

from ..cache.errors import BadRecipe, unknown
from ..train.settings.base import LETTERS

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
