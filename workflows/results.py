"""What earlier runs came to, read from their records; each result traced to where it came from."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..cache.errors import unknown
from ..cache.layout import description_path
from ..cache.validation import count, listing
from ..train.training import primary_task
from .fit_view import FitView, figures
from .run_records import Origin, RunRecord

#: Variants of a metric, which only files tell.
VARIANT = re.compile("predweighted|weak")
#: Code of what was trained before checkpoints said it.
UNTOLD = {"affectflow": "unknown", "source": "unknown", "commit": ""}
#: Digits of a corpus' digest that tell it from another of its name.
DIGITS = 8
#: Kinds of nodes that make features.
MAKERS = ("extract", "encode", "reduce")


@dataclass(frozen=True)
class Result:
    """Scores of one fit on one task and split, and where they came from."""

    run: RunRecord
    fit: FitView
    task: str
    split: str

    @property
    def corpora(self) -> list[Origin]:
        """Where what it learned from was read."""
        return self.run.learned_from(self.fit)

    @property
    def corpus(self) -> str:
        """Name of what it learned from; of several corpora, all of theirs."""
        return "+".join(origin.name or origin.part for origin in self.corpora)

    @property
    def roots(self) -> str:
        """Where that was read from; empty where the record does not say."""
        return ", ".join(origin.root for origin in self.corpora if origin.root)

    @property
    def features(self) -> dict[str, Mapping[str, Any]]:
        """Nodes whose features went in, by name."""
        found: dict[str, Mapping[str, Any]] = {}
        for part in self.fit.parts:
            found |= self.run.upstream(part.name)
        return {name: node for name, node in found.items() if node["kind"] in MAKERS}

    @property
    def code(self) -> Mapping[str, str]:
        """Code that trained it; older checkpoints do not say."""
        found: Mapping[str, str] = self.fit.checkpoint.meta.get("code", UNTOLD)
        return found


def results(
    records: Sequence[RunRecord],
    *,
    corpus: str = "",
    model: str = "",
    feature: str = "",
    task: str = "",
    split: str = "test",
) -> list[Result]:
    """One result for each fit of each run; a model that several runs share stands once.

    Args:
        records: oldest first; of runs that share a model, the latest tells it.
        corpus: only what learned from this one: its name, the folder or file that it was read
            from, or the first digits of its table's digest.
        model: only this one, by its registry name.
        feature: only what was made from it: the first digits of a fingerprint, or the name of an
            extractor.
        task: scores of this task; empty: of each fit's main task.
        split: scores on this split.

    Raises:
        UnknownName: a filter that fits nothing.
    """
    found: dict[tuple[str, str], Result] = {}
    for record in records:
        for fit in record.fits.values():
            one = Result(record, fit, task or primary_task(fit.tasks), split)
            if one.task in fit.tasks and fit.metrics(one.task, split):
                found.pop((fit.checkpoint.digest, one.task), None)
                found[fit.checkpoint.digest, one.task] = one
    kept = list(found.values())
    kept = _filtered(kept, "corpus", corpus, _corpus_names)
    kept = _filtered(kept, "model", model, lambda one: [one.fit.model])
    return _filtered(kept, "feature", feature, _feature_names)


def _filtered(
    rows: Sequence[Result], kind: str, wanted: str, names: Callable[[Result], list[str]]
) -> list[Result]:
    if not wanted or not rows:
        return list(rows)
    kept = [one for one in rows if any(_fits(name, wanted) for name in names(one))]
    if not kept:
        known = {name for one in rows for name in names(one) if name}
        raise unknown(f"{kind} of these results", wanted, {_short(name) for name in known})
    return kept


def _fits(name: str, wanted: str) -> bool:
    digits = _is_mark(name) and len(wanted) >= 4 and name.startswith(wanted)
    return name == wanted or digits or (Path(name).is_absolute() and _is_at(name, wanted))


def _is_at(root: str, wanted: str) -> bool:
    """Whether a path as it is typed here means the one of a record."""
    return Path(root) == Path(os.path.normpath(Path(wanted).absolute()))


def _is_mark(name: str) -> bool:
    return bool(re.fullmatch("[0-9a-f]{64}", name))


def _short(name: str) -> str:
    return name[:12] if _is_mark(name) else name


def _corpus_names(one: Result) -> list[str]:
    names = [name for o in one.corpora for name in (o.name, o.part, o.root) if name]
    return [one.corpus, *names, one.run.digest]


def _feature_names(one: Result) -> list[str]:
    return [mark for node in one.features.values() for mark in (node["what"], node["fingerprint"])]


def untold(records: Sequence[RunRecord]) -> list[str]:
    """What of these runs no result tells, in sentences."""
    old = [record.id for record in records if not record.nodes]
    gone = [f"{record.id}:{name}" for record in records for name in record.gone]
    said = []
    if old:
        said.append(
            f"{count(len(old), 'run')} of an older affectflow did not record their nodes "
            f"({listing(old)}): run the recipe again, nothing is made twice"
        )
    if gone:
        said.append(
            f"{count(len(gone), 'model')} no longer in the cache ({listing(gone)}): run the "
            "recipe again"
        )
    return said


def trace(one: Result) -> list[tuple[str, str]]:
    """Where a result came from: what and value, for people."""
    meta = one.fit.checkpoint.meta
    lines = [
        ("recipe", f"{one.run.recipe}, in {one.run.path}"),
        ("corpus", _corpus_line(one)),
    ]
    for fit in one.fit.parts:
        mark = one.run.nodes[fit.name]["fingerprint"]
        lines.append(("fit", f"{fit.name} ({fit.model}), fingerprint {mark}"))
        lines.append(("weights", f"{fit.checkpoint.digest}, in {fit.checkpoint.folder}"))
    for name, node in one.features.items():
        settings = description_path(one.run.root, node["fingerprint"])
        lines.append((node["kind"], f"{name} ({node['what']}), {node['fingerprint']}, {settings}"))
    code = one.code
    lines.append(
        (
            "code",
            f"affectflow {code['affectflow']}, sources {code['source']}"
            + (f", commit {code['commit']}" if code["commit"] else "")
            + f"; torch {meta.get('torch', 'unknown')}, {meta.get('device', 'unknown')}, "
            f"threads {meta.get('threads', 'unknown')}",
        )
    )
    return lines


def _corpus_line(one: Result) -> str:
    read = f", read from {one.roots}" if one.roots else ""
    return f"{one.corpus or 'unnamed'}{read}, table {one.run.digest}"


def tables(rows: Sequence[Result]) -> list[tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    """Heads and rows for people, a table for each corpus, task and split of scores.

    Corpora of one name that are not the same are told apart by digits of their tables' digests.
    """
    groups: dict[tuple[str, ...], list[Result]] = {}
    for one in rows:
        metrics = one.fit.metrics(one.task, one.split)
        groups.setdefault((_called(one, rows), one.task, one.split, *metrics), []).append(one)
    return [
        (
            (f"{corpus}: {task}, {split}", "model", "seeds", "n", *metrics),
            [_told(one, metrics) for one in group],
        )
        for (corpus, task, split, *every), group in groups.items()
        for metrics in [[name for name in every if not VARIANT.search(name)]]
    ]


def _called(one: Result, rows: Sequence[Result]) -> str:
    """What a result's corpus is called among those of others."""
    name = one.corpus or "unnamed"
    alike = {other.run.digest for other in rows if other.corpus == one.corpus}
    return name if len(alike) == 1 else f"{name} {one.run.digest[:DIGITS]}"


def namesakes(rows: Sequence[Result]) -> list[str]:
    """Which corpora share a name though they differ, and where each was read, in sentences."""
    found: dict[str, dict[str, str]] = {}
    for one in rows:
        found.setdefault(one.corpus, {})[one.run.digest] = one.roots
    return [
        f"{name or 'unnamed'} {digest[:DIGITS]}: {roots or 'an older record does not say where'}; "
        f"only this one: --corpus {digest[:DIGITS]}"
        for name, tables in found.items()
        if len(tables) > 1
        for digest, roots in tables.items()
    ]


def _told(one: Result, metrics: Sequence[str]) -> tuple[str, ...]:
    seen = one.fit.rows(one.task, one.split)
    scores = [one.fit.spread(one.task, metric, one.split) for metric in metrics]
    return (
        f"{one.run.id}:{one.fit.name}",
        one.fit.model,
        str(len(one.fit.seeds)),
        str(seen.get("labelled", "")),
        *[figures(score) for score in scores],
    )
