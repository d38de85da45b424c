"""Features from the cache, handed out in the formats that other frameworks read."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..cache.corpus import Corpus
from ..cache.errors import BadCall, NotCached, unknown
from ..cache.store import FeatureStore
from ..cache.table import FeatureTable
from ..cache.validation import count
from ..extract.foreign import WRITERS
from ..extract.foreign.outgoing import Outgoing
from .nodes import Fit
from .plan import Board
from .result import Reporter, places

#: What arrays are called where nobody says so: by modality.
USUAL = ("text", "audio", "vision")


@dataclass(frozen=True)
class Export:
    """What an export wrote.

    Args:
        path: the file or folder.
        utterances: how many.
        arrays: name in the file -> node, and utterances that have no features there.
        notes: for people.
    """

    path: Path
    utterances: int
    arrays: Mapping[str, tuple[str, int]]
    notes: tuple[str, ...]


def export_features(
    recipe: str | Path,
    out: str | Path,
    cache: str | Path | FeatureStore = "features",
    *,
    kind: str = "",
    nodes: Sequence[str] = (),
    corpus: str | Path | None = None,
    variants: Sequence[str] = (),
    overrides: Sequence[str] = (),
    splits: Sequence[str] = (),
    parts: Sequence[str] = (),
    longest: Mapping[str, int] | None = None,
    allow_mixed: bool = False,
    reporter: Reporter | None = None,
) -> Export:
    """Write cached features of a recipe's nodes to a file; nothing is extracted.

    Args:
        recipe: name of a shipped recipe, or path of a YAML file.
        out: the file or folder; its ending says the format where ``kind`` does not.
        cache: folder of the feature store.
        kind: one of ``extract.foreign.WRITERS``; empty: by the ending of ``out``.
        nodes: ``NODE`` or ``NAME=NODE``, NAME what the file calls it; empty: the only nodes of
            modality text, audio and vision, called so.
        corpus: folder or table to look up instead of the recipe's own corpus.
        variants: of the recipe.
        overrides: ``node.setting=value``.
        splits: only these; empty: all utterances.
        parts: of several corpora that the recipe joins, only these; empty: all.
        longest: for padded formats: name -> rows that an array is padded or cut to.
        allow_mixed: join features that different versions of a library made.
        reporter: hears of progress.

    Raises:
        BadCall: the call or the recipe is wrong, or the format cannot hold what is asked for.
        NotCached: features are not in the cache.
    """
    from .run import look

    out = Path(out)
    kind = kind or _kind(out)
    if kind not in WRITERS:
        raise unknown("format that is written", kind, WRITERS)
    if out.is_dir() and kind != "datasets":
        example = out / f"features{WRITERS[kind][1][0]}"
        raise BadCall(f"'{out}' is a folder, and format '{kind}' is one file: say '{example}'")
    named = chosen_nodes(recipe, nodes, corpus, variants, overrides)
    if longest and kind != "pickle":
        raise BadCall(f"format '{kind}' keeps the rows of each utterance: nothing is padded or cut")
    for name in longest or {}:
        if name not in named:
            raise unknown("array to pad or cut", name, named)
    store = cache if isinstance(cache, FeatureStore) else FeatureStore(cache)
    targets = list(named.values())
    _, opened, board = look(recipe, store, corpus, variants, overrides, targets, reporter)
    kept = _kept(opened, splits, parts)
    tables = {n: _table(board, store, node, kept, allow_mixed) for n, node in named.items()}
    modalities = {name: board.workflow.modality(node) for name, node in named.items()}
    part = opened.select(ids=[opened.ids[i] for i in kept])
    writer = importlib.import_module(f"..extract.foreign.{WRITERS[kind][0]}", __package__)
    notes = writer.write(out, Outgoing(part, tables, modalities), longest or {})
    absent = {name: int((table.lengths == 0).sum()) for name, table in tables.items()}
    return Export(
        out,
        len(part),
        {name: (node, absent[name]) for name, node in named.items()},
        tuple(notes),
    )


def chosen_nodes(
    recipe: str | Path,
    nodes: Sequence[str],
    corpus: str | Path | None,
    variants: Sequence[str],
    overrides: Sequence[str],
) -> dict[str, str]:
    """Name in the file -> node.

    Raises:
        BadCall: a node is a fit, two have one name, or several could be meant.
        UnknownName: there is no such node.
    """
    from .recipe import load_recipe

    workflow = load_recipe(recipe, overrides, corpus, variants).workflow
    named: dict[str, str] = {}
    for given in nodes:
        name, equals, node = given.partition("=")
        node = node if equals else name
        if isinstance(workflow[node], Fit):
            raise BadCall(f"'{node}' is a fit and has no features; name nodes that have")
        if name in named:
            raise BadCall(f"two nodes are to be called '{name}'; give each its own: NAME=NODE")
        named[name] = node
    if named:
        return named
    for modality in USUAL:
        found = [n.name for n in workflow.extracts if workflow.modality(n.name) == modality]
        if modality in found:
            found = [modality]
        if len(found) > 1:
            raise BadCall(
                f"nodes {', '.join(found)} are all {modality}: say which is meant, --node "
                f"{modality}={found[0]}"
            )
        if found:
            named[modality] = found[0]
    if not named:
        raise BadCall("no node of this recipe is text, audio or vision: name some with --node")
    return named


def _kind(out: Path) -> str:
    for kind, (_, suffixes, _) in WRITERS.items():
        if out.suffix.lower() in suffixes:
            return kind
    known = ", ".join(f"{' '.join(ends)} ({kind})" for kind, (_, ends, _) in WRITERS.items())
    raise BadCall(f"what format '{out}' should have, its ending does not tell; known: {known}")


def _kept(corpus: Corpus, splits: Sequence[str], parts: Sequence[str]) -> list[int]:
    """Numbers of the utterances of these splits and parts.

    Raises:
        UnknownName: there is no such split or part.
    """
    for split in splits:
        if split not in corpus.sizes:
            raise unknown(f"split of corpus '{corpus.name}'", split, corpus.sizes)
    for part in parts:
        if part not in corpus.families:
            raise unknown(f"part of corpus '{corpus.name}'", part, corpus.families)
    wanted = np.isin(corpus.splits, list(splits)) if splits else np.ones(len(corpus), bool)
    if parts:
        wanted &= np.isin(corpus.domains, list(parts))
    found: list[int] = np.flatnonzero(wanted).tolist()
    return found


def _table(
    board: Board, store: FeatureStore, name: str, kept: Sequence[int], allow_mixed: bool
) -> FeatureTable:
    for node in board.workflow:
        if node.name not in board.states:
            board.look(node)
    state = board.states[name]
    if state.why and not state.fingerprint:
        raise NotCached(f"features of '{name}' are not known yet: {state.why}")
    found: list[Any] = places(store, state)
    if state.todo:
        n = count(len(state.todo), "utterance")
        raise NotCached(
            f"features of '{name}' are not cached for {n}: make them first, affectflow extract"
        )
    ids = [board.corpus.ids[i] for i in kept]
    return store.table(ids, [found[i] for i in kept], allow_mixed=allow_mixed)
