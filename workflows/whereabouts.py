"""Where a key's or an utterance's features lie, in words; or why they are not there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ..cache.contents import told_of
from ..cache.errors import unknown
from ..cache.records import MAIN
from ..cache.runs import Failure
from ..cache.store import FeatureStore
from ..cache.validation import count
from ..cache.whereabouts import Stored, failed_as, stored_as
from .node_state import NodeState
from .nodes import Fit
from .result import Reporter
from .reuse import makings_of
from .run import look


def of_key(root: Path, digits: str) -> Iterator[str]:
    """Lines on the features whose key begins with these hex digits."""
    found = stored_as(root, digits)
    for one in found:
        yield from _stored(root, one)
    there = {(one.node, one.key) for one in found}
    failures = [f for f in failed_as(root, digits) if (f.fingerprint, f.key) not in there]
    for failure in failures:
        yield from _failed(failure)
    if not found and not failures:
        yield f"nothing with a key that begins with '{digits}' is stored here, and nothing failed:"
        yield "  it was never made in this cache, or was pruned since"
        yield "  with --recipe RECIPE, the id of an utterance says what is to be made of it and why"


def of_utterance(
    utterance: str,
    recipe: str,
    cache: Path,
    corpus: Path | None,
    variants: Sequence[str],
    overrides: Sequence[str],
    reporter: Reporter,
) -> Iterator[tuple[str, str, str]]:
    """Of each node of a recipe: its name, the utterance's key, and where that lies or why not.

    Raises:
        UnknownName: the corpus has no such utterance.
    """
    _, opened, board = look(recipe, cache, corpus, variants, overrides, (), reporter, again=False)
    if utterance not in opened.ids:
        raise unknown("utterance", utterance, opened.ids[:20])
    i = opened.ids.index(utterance)
    for state in board.look_all():
        if not isinstance(state.node, Fit):
            key = state.keys[i] if state.keys else None
            yield state.node.name, key.hex() if key else "-", _told(board.store, state, i)


def _told(store: FeatureStore, state: NodeState, i: int) -> str:
    key = state.keys[i] if state.keys else None
    if state.waits_for:
        return state.why
    if key is not None and state.cached[i]:
        [place] = store.places(state.fingerprint, [key])
        return f"row {place.row} of {place.shard}" if place else "removed a moment ago"
    if i in state.failed:
        return f"failed: {state.failed[i].message}"
    if key is None:
        return state.why or "not needed: nothing that is made reads it"
    return f"to be made: {state.why}"


def _stored(root: Path, one: Stored) -> Iterator[str]:
    name, settings = told_of(one.origin.get("description", {}))
    told = ", ".join(f"{key}={value}" for key, value in settings.items())
    yield f"{one.key}: '{name}' ({told or 'no settings'}), node {one.node[:12]}"
    yield f"  lies in {one.place.shard}, row {one.place.row}"
    if one.features is None:
        yield f"  {one.damage}"
    else:
        for array, part in one.features.arrays().items():
            masked = len(part) - int(part.mask.sum())
            span = f", {part.times[0, 0]:.2f} to {part.times[-1, 1]:.2f} s" if len(part) else ""
            rest = f", {masked} of them masked" if masked else ""
            called = "" if array == MAIN else f"'{array}': "
            rows, kind = count(len(part), "row"), f"{part.values.shape[1:]} {part.values.dtype}"
            yield f"  {called}{rows} of {kind}{span}{rest}"
    libraries = one.origin.get("libraries", {})
    if libraries:
        yield f"  made with {', '.join(f'{n} {v}' for n, v in sorted(libraries.items()))}"
    makings = makings_of(root, {one.node}).get(one.node, {})
    if makings:
        yield f"  of a node that these runs made: {', '.join(makings)}"
    for message in one.warnings:
        yield f"  warning: {message}"


def _failed(failure: Failure) -> Iterator[str]:
    yield f"{failure.key}: not there; node '{failure.node}' failed on '{failure.utterance}'"
    yield f"  {failure.error}: {failure.message}"
    again = "the next run tries it again" if failure.transient else "--retry-failed tries it again"
    yield f"  {again}"
