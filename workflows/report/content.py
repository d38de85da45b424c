"""What the report says beside scores: features, fits and failures."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...cache.errors import Damaged
from ...cache.keys import settings_of
from ...cache.runs import Failure
from ..node_state import NodeState
from ..nodes import FOR_TRAINING, Encode, Extract, Fit, Reduce
from ..result import Run, WarningGroup

#: Rows of the failures table; the records in the run's folder hold all of them.
FAILURES = 200
#: Letters of a failure's message.
MESSAGE = 400


@dataclass(frozen=True)
class NodeRow:
    """One node that makes features: what it is, and what became of every utterance.

    ``damage`` says why its libraries cannot be told; empty where they can.
    """

    name: str
    what: str
    modality: str
    settings: str
    stored: int
    of: int
    made: int
    failed: int
    seconds: float | None
    libraries: tuple[str, ...]
    damage: str
    fingerprint: str
    waits_for: tuple[str, ...]

    @property
    def mixed(self) -> bool:
        """Whether two versions of one library made what is stored."""
        names = [library.partition(" ")[0] for library in self.libraries]
        return len(set(names)) < len(names)


@dataclass(frozen=True)
class FitRow:
    """One fit: what it learned, from what, at what cost; or why it could not."""

    name: str
    model: str
    reads: str
    tasks: str
    settings: str
    training: str
    lengths: str
    seeds: str
    seconds: float | None
    threads: int | None
    fingerprint: str
    digest: str
    error: str
    waits_for: tuple[str, ...]
    notes: tuple[str, ...]


def node_rows(run: Run) -> list[NodeRow]:
    """Nodes that make features, in order."""
    return [_node_row(run, s) for s in run.states.values() if not isinstance(s.node, Fit)]


def _node_row(run: Run, state: NodeState) -> NodeRow:
    node = state.node
    settings = _extractor(node.extractor) if isinstance(node, Extract) else ""
    if isinstance(node, Reduce):
        settings = f"columns={node.columns}"
        if state.basis is not None:
            settings += f" ({state.basis.meta['share']:.1%} of the training rows' variance)"
    if isinstance(node, Encode):
        told = {"on": ",".join(node.on), "gives": node.gives, "dtype": node.dtype}
        settings = _settings({k: v for k, v in told.items() if v != getattr(Encode, k, "")})
    elif node.inputs:
        settings = ", ".join(filter(None, [settings, f"on={','.join(node.inputs)}"]))
    libraries, damage = _libraries(run, state)
    return NodeRow(
        name=node.name,
        what=node.what,
        modality=run.workflow.modality(node.name),
        settings=settings,
        stored=state.n_cached,
        of=state.n,
        made=run.made.get(node.name, 0),
        failed=len(state.failed),
        seconds=run.seconds.get(node.name),
        libraries=libraries,
        damage=damage,
        fingerprint=state.fingerprint,
        waits_for=state.waits_for,
    )


def _extractor(extractor: Any) -> str:
    """Its settings, first those that only say where its weights are: which model it is."""
    places = {
        field.name: value
        for field in dataclasses.fields(extractor)
        if field.metadata.get("where")
        and (value := getattr(extractor, field.name)) not in ("", None)
    }
    return _settings(places | settings_of(extractor))


def _libraries(run: Run, state: NodeState) -> tuple[tuple[str, ...], str]:
    """Libraries that made what is stored, as recorded beside it; several versions are all told.

    A damaged shard says nothing of its libraries; its error's text comes second.
    """
    if not state.n_cached:
        return (), ""
    try:
        origins = run.store.origins(state.fingerprint)
    except Damaged as error:
        return (), str(error)
    found = {
        f"{name} {version}"
        for origin in origins
        for name, version in origin.get("libraries", {}).items()
    }
    return tuple(sorted(found)), ""


def _lengths(state: NodeState) -> str:
    """Rows kept of each input, where FmlMSN's rule says it; see ``train.dataset``."""
    return "; ".join(
        f"{name}: {one.values['rows']:.0f} rows kept (mean {one.values['mean']:.1f}, "
        f"deviation {one.values['std']:.1f}, {one.values['longer']:.0f} of "
        f"{one.values['n']:.0f} are longer; statistic {one.fingerprint[:12]})"
        for name, one in state.statistics.items()
        if one is not None
    )


def fit_rows(run: Run) -> list[FitRow]:
    """Every fit of the recipe, done or not."""
    rows = []
    for state in run.states.values():
        node, checkpoint = state.node, state.checkpoint
        if not isinstance(node, Fit):
            continue
        meta = checkpoint.meta if checkpoint else {}
        training = settings_of(node.training)
        told = (*FOR_TRAINING, "corpora")
        training |= {name: own for name in told if (own := getattr(node, name))}
        rows.append(
            FitRow(
                name=node.name,
                model=node.model,
                reads=", ".join(node.on),
                tasks=", ".join(node.tasks),
                settings=_settings(settings_of(node.settings)),
                training=_settings({k: v for k, v in training.items() if k != "seeds"}),
                lengths=_lengths(state),
                seeds=", ".join(str(seed) for seed in node.training.seeds),
                seconds=meta.get("seconds"),
                threads=meta.get("threads"),
                fingerprint=state.fingerprint,
                digest=checkpoint.digest if checkpoint else "",
                error=run.errors.get(node.name, ""),
                waits_for=state.waits_for,
                notes=tuple(meta.get("notes", ())),
            )
        )
    return rows


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_value(value)}" for name, value in settings.items())


def _value(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


@dataclass(frozen=True)
class Failures:
    """Failures in short: how many of what, the first ones in full, and how many utterances."""

    rows: Sequence[Failure]
    counts: Sequence[tuple[str, str, int]]
    n: int
    utterances: int
    of: int

    @property
    def hidden(self) -> int:
        """Failures that are counted but not listed."""
        return self.n - len(self.rows)


def failures(run: Run) -> Failures:
    """The run's failures; where one was inherited from upstream, it is told once."""
    found = run.failures
    counts = Counter((failure.node, failure.error) for failure in found)
    return Failures(
        rows=found[:FAILURES],
        counts=[(node, error, n) for (node, error), n in counts.most_common()],
        n=len(found),
        utterances=len({failure.utterance for failure in found}),
        of=len(run.corpus),
    )


@dataclass(frozen=True)
class Warnings:
    """Warnings in short: the first groups, how many there are, and of how many utterances."""

    rows: Sequence[WarningGroup]
    n: int
    utterances: int
    hidden: int


def warnings(run: Run) -> Warnings:
    """What is to be known of features that were made."""
    groups = run.warning_groups
    names = {warned.utterance for warned in run.warnings}
    return Warnings(groups[:FAILURES], len(run.warnings), len(names), len(groups[FAILURES:]))


def message(failure: Failure) -> str:
    """What a failure said, cut where it is very long."""
    text = failure.message
    return text if len(text) <= MESSAGE else f"{text[:MESSAGE]}…"
