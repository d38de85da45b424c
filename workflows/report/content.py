"""What the report says beside scores: corpus, features, fits and failures."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from ...cache.corpus import Corpus
from ...cache.errors import Damaged
from ...cache.keys import settings_of
from ...cache.runs import Failure
from ..nodes import Encode, Extract, Fit
from ..plan import NodeState
from ..result import Run, WarningGroup
from .charts import histograms

#: Bars of a histogram; odd, so that 0 and the steps of 0.2 of CH-SIMS fall inside a bar each.
BINS = 11
#: Rows of the failures table; the records in the run's folder hold all of them.
FAILURES = 200
#: Letters of a failure's message.
MESSAGE = 400


@dataclass(frozen=True)
class SplitRow:
    """One line of the corpus table; minutes are None where a segment's end is not given."""

    name: str
    utterances: int
    speakers: int
    minutes: float | None
    labelled: Mapping[str, int]


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


def split_rows(corpus: Corpus) -> list[SplitRow]:
    """Counts of each split, then of all."""
    rows = [_split_row(name or "in no split", _part(corpus, name)) for name in corpus.sizes]
    return rows if len(rows) < 2 else [*rows, _split_row("all", corpus)]


def _part(corpus: Corpus, split: str) -> Corpus:
    splits = corpus.splits
    names = [name for name, its in zip(corpus.ids, splits, strict=True) if its == split]
    return corpus.select(split=split) if split else corpus.select(ids=names)


def _split_row(name: str, part: Corpus) -> SplitRow:
    frame = part.to_frame()
    speakers = int(frame.loc[frame["speaker"] != "", "speaker"].nunique())
    labelled = {task: int(np.isfinite(part.labels(task)).sum()) for task in part.tasks}
    minutes = None if part.seconds is None else part.seconds / 60
    return SplitRow(name, len(part), speakers, minutes, labelled)


@dataclass(frozen=True)
class Distribution:
    """Labels of one task: how many, their mean and deviation, and a histogram a split."""

    task: str
    n: int
    mean: float
    std: float
    outside: int
    chart: Markup


def distributions(corpus: Corpus) -> list[Distribution]:
    """One for each label column that holds any label."""
    found = []
    splits = corpus.splits
    for task in corpus.tasks:
        values = corpus.labels(task)
        known = values[np.isfinite(values)]
        if not len(known):
            continue
        low, high = corpus.label_range or (float(known.min()), float(known.max()))
        if low == high:
            low, high = low - 0.5, high + 0.5
        counts = []
        for split in corpus.sizes:
            mine = values[(splits == split) & np.isfinite(values)]
            bars = np.histogram(mine, BINS, (low, high))[0]
            counts.append((split or "no split", [int(n) for n in bars]))
        said = "; ".join(f"{split} {sum(bars)}" for split, bars in counts)
        title = f"Distribution of the labels of {task} by split: {said} labels"
        std = float(known.std(ddof=1)) if len(known) > 1 else float("nan")
        outside = int(((known < low) | (known > high)).sum())
        chart = histograms(title, counts, low, high)
        found.append(Distribution(task, len(known), float(known.mean()), std, outside, chart))
    return found


def node_rows(run: Run) -> list[NodeRow]:
    """Extract and encode nodes, in order."""
    return [_node_row(run, s) for s in run.states.values() if not isinstance(s.node, Fit)]


def _node_row(run: Run, state: NodeState) -> NodeRow:
    node = state.node
    settings = _settings(settings_of(node.extractor)) if isinstance(node, Extract) else ""
    if isinstance(node, Encode):
        settings = f"on={','.join(node.on)}"
    elif node.inputs:
        settings = ", ".join(filter(None, [settings, f"on={','.join(node.inputs)}"]))
    libraries, damage = _libraries(run, state)
    return NodeRow(
        name=node.name,
        what=node.what,
        modality=run.workflow.modality(node.name),
        settings=settings,
        stored=state.n_cached,
        made=run.made.get(node.name, 0),
        failed=len(state.failed),
        seconds=run.seconds.get(node.name),
        libraries=libraries,
        damage=damage,
        fingerprint=state.fingerprint,
        waits_for=state.waits_for,
    )


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
