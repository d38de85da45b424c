"""What earlier runs came to, read from their records; each result traced to where it came from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..cache.errors import BadCall, unknown
from ..cache.layout import description_path
from ..cache.publish import publish
from ..cache.validation import count, listing
from ..train.training import primary_task
from .fit_view import FitView, figures
from .run_records import RunRecord

#: Variants of a metric, which only files tell.
VARIANT = re.compile("predweighted|weak")
#: Code of what was trained before checkpoints said it.
UNTOLD = {"affectflow": "unknown", "source": "unknown", "commit": ""}
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
    def node(self) -> Mapping[str, Any]:
        """What the record says of the fit's node."""
        return self.run.nodes[self.fit.name]

    @property
    def features(self) -> dict[str, Mapping[str, Any]]:
        """Nodes whose features went in, by name."""
        upstream = self.run.upstream(self.fit.name)
        return {name: node for name, node in upstream.items() if node["kind"] in MAKERS}

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
        corpus: only this one: its name, or the first digits of its table's digest.
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
    return name == wanted or (_is_mark(name) and len(wanted) >= 4 and name.startswith(wanted))


def _is_mark(name: str) -> bool:
    return bool(re.fullmatch("[0-9a-f]{64}", name))


def _short(name: str) -> str:
    return name[:12] if _is_mark(name) else name


def _corpus_names(one: Result) -> list[str]:
    return [one.run.corpus, str(one.run.content["corpus"])]


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
    meta, content = one.fit.checkpoint.meta, one.run.content
    lines = [
        ("recipe", f"{one.run.recipe}, in {one.run.path}"),
        ("corpus", f"{one.run.corpus or 'unnamed'}, table {content['corpus']}"),
        ("fit", f"{one.fit.name} ({one.fit.model}), fingerprint {one.node['fingerprint']}"),
        ("weights", f"{one.fit.checkpoint.digest}, in {one.fit.checkpoint.folder}"),
    ]
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


def tables(rows: Sequence[Result]) -> list[tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    """Heads and rows for people, a table for each corpus, task and split of scores."""
    groups: dict[tuple[str, ...], list[Result]] = {}
    for one in rows:
        metrics = one.fit.metrics(one.task, one.split)
        groups.setdefault((one.run.corpus, one.task, one.split, *metrics), []).append(one)
    return [
        (
            (f"{corpus or 'unnamed'}: {task}, {split}", "model", "seeds", "n", *metrics),
            [_told(one, metrics) for one in group],
        )
        for (corpus, task, split, *every), group in groups.items()
        for metrics in [[name for name in every if not VARIANT.search(name)]]
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


def check_suffix(path: Path) -> None:
    """Refuse a file that results are not written as.

    Raises:
        BadCall: its suffix is not .csv.
    """
    if path.suffix.lower() != ".csv":
        raise BadCall(f"cannot write '{path}': results are written as .csv")


#: Columns of the table of results that say where a row came from.
ORIGIN = (
    "fit_fingerprint", "weights", "features", "corpus_digest",
    "affectflow", "source", "commit", "torch", "device", "threads", "record",
)  # fmt: skip


def write_results(rows: Sequence[Result], path: Path) -> Path:
    """Write results as CSV: a row for each metric, all that stands behind it beside it.

    Raises:
        StoreFull: the file system has no room.
        StoreReadOnly: the folder cannot be written to.
    """
    import pandas as pd

    table = pd.DataFrame([line for one in rows for line in _lines(one)])
    publish(path, table.to_csv(index=False).encode(), replace=True)
    return path


def _lines(one: Result) -> Iterator[dict[str, Any]]:
    fit, meta = one.fit, one.fit.checkpoint.meta
    features = [f"{name}={node['fingerprint']}" for name, node in one.features.items()]
    origin = (
        one.node["fingerprint"], fit.checkpoint.digest, " ".join(features),
        one.run.content["corpus"], one.code["affectflow"], one.code["source"], one.code["commit"],
        meta.get("torch", ""), meta.get("device", ""), meta.get("threads", ""), str(one.run.path),
    )  # fmt: skip
    seen = fit.rows(one.task, one.split)
    for metric in fit.metrics(one.task, one.split):
        score = fit.spread(one.task, metric, one.split)
        yield {
            "run": one.run.id,
            "recorded": one.run.time.isoformat(),
            "recipe": one.run.recipe,
            "corpus": one.run.corpus,
            "family": fit.family,
            "fit": fit.name,
            "model": fit.model,
            "task": one.task,
            "split": one.split,
            "metric": metric,
            "mean": score.mean,
            "std": score.std,
            "seeds": score.n,
            "n": seen.get(metric, ""),
            **dict(zip(ORIGIN, origin, strict=True)),
        }
