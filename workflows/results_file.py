"""Results of earlier runs as a file: a row for each metric, and all that stands behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..cache.errors import BadCall
from ..cache.publish import publish
from .results import Result


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
