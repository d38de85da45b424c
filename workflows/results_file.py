"""Results of earlier runs as a file: a row for each metric, and all that stands behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .results import Result
from .table_files import TableFiles

#: Columns of the table of results that say where a row came from.
ORIGIN = (
    "fit_fingerprint", "weights", "features", "corpus_digest",
    "affectflow", "source", "commit", "torch", "device", "threads", "record",
)  # fmt: skip


def as_csv(rows: Sequence[Result]) -> str:
    """A row for each metric, all that stands behind it beside it."""
    import pandas as pd

    return pd.DataFrame([line for one in rows for line in _lines(one)]).to_csv(index=False)


def _lines(one: Result) -> Iterator[dict[str, Any]]:
    fit, meta = one.fit, one.fit.checkpoint.meta
    features = [f"{name}={node['fingerprint']}" for name, node in one.features.items()]
    origin = (
        fit.checkpoint.fingerprint, fit.checkpoint.digest, " ".join(features),
        one.run.digest, one.code["affectflow"], one.code["source"], one.code["commit"],
        meta.get("torch", ""), meta.get("device", ""), meta.get("threads", ""), str(one.run.path),
    )  # fmt: skip
    seen = fit.rows(one.task, one.split)
    for metric in fit.metrics(one.task, one.split):
        score = fit.spread(one.task, metric, one.split)
        yield {
            "run": one.run.id,
            "recorded": one.run.time.isoformat(),
            "recipe": one.run.recipe,
            "corpus": one.corpus,
            "corpus_root": one.roots,
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


#: How results are written to a file.
FILES = TableFiles("results are", {".csv": as_csv})
