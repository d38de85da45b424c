"""What the page says about one block of fits: scores, charts, errors, pictures of a model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from ..blocks import Block
from ..fit_view import FitView
from ..result import Run
from .charts import Row, dots, scatter
from .clouds import cloud, heat
from .figures import bars, boxes, confusion
from .fits import DRAWN, TOLD, chosen, duels, family_note, label_column, points
from .inside import Inside
from .predicted import confusions, predicted, residuals, without
from .svg import number

#: Utterances drawn in a scatter plot; of more, so many are drawn at random.
POINTS = 400


def block_part(run: Run, block: Block, insides: Sequence[Inside]) -> dict[str, Any]:
    """Everything about a block, by the names that the templates call it.

    Args:
        run: whose block.
        block: fits that compare.
        insides: pictures of chosen fits, of which the block's is taken.
    """
    fits, task = block.fits, block.task
    return {
        "block": block,
        "task": task,
        "scores": score_table(block),
        "answer": answer(fits, task),
        "duels": duels(run, fits, task),
        "charts": modality_charts(block),
        "scatters": scatters(run, fits, task),
        "usual": block.usual,
        "errors": errors(fits, task),
        "inside": views(_own(insides, fits)),
        "family_note": family_note(block),
    }


def _own(insides: Sequence[Inside], fits: Sequence[FitView]) -> Inside | None:
    names = {part.name for fit in fits for part in fit.parts}
    return next((one for one in insides if one.fit.name in names), None)


def score_table(block: Block) -> dict[str, Any]:
    """Means and deviations of every metric on the test split, and those of a constant answer."""
    fits, task = block.fits, block.task
    best = {metric: number(block.best(metric)) for metric in block.metrics}
    return {
        "metrics": block.metrics,
        "rows": [(fit, {m: fit.spread(task, m) for m in block.metrics}) for fit in fits],
        "best": best if len(fits) > 1 else {},
        "seen": fits[0].rows(task),
        "constant": block.constant,
        "masked": {name: n for fit in fits for name, n in fit.masked.items()},
        "one_seed": [fit.name for fit in fits if len(fit.seeds) == 1],
    }


def answer(fits: Sequence[FitView], task: str) -> dict[str, Any]:
    """What the first sentence is about: fits chosen on validation, told by their test scores."""
    fusion, single = chosen(fits, task, "many"), chosen(fits, task, "one")
    first = fusion or single
    if first is None:
        return {}
    told = [m for m in TOLD if m in first.metrics(task)]
    return {
        "fusion": fusion,
        "single": single,
        "first": first,
        "leading": first.leading(task),
        "tiles": [(metric, first.spread(task, metric)) for metric in told],
    }


def modality_charts(block: Block) -> list[tuple[str, Markup]]:
    """A chart a metric: each fit's seeds and mean, single modalities first."""
    order = sorted(block.fits, key=lambda fit: len(fit.letters))
    charts = []
    for metric in (m for m in DRAWN if m in block.metrics):
        rows = [Row(fit.name, fit.kind, fit.values(block.task, metric)) for fit in order]
        title = f"{metric} on the test split{of_corpora(block)}"
        charts.append((metric, dots(title, rows, block.constant.get(metric, math.nan))))
    return charts


def of_corpora(block: Block) -> str:
    """Which corpora a block is of, as an end of a title; empty where there is but one."""
    return f" of {block.corpora}" if block.corpora else ""


def scatters(run: Run, fits: Sequence[FitView], task: str) -> list[tuple[FitView, Any, Markup]]:
    """Predicted against true labels of the test split, a chart a fit, all on the same axes."""
    seen = [(fit, points(fit, task, POINTS)) for fit in fits]
    seen = [(fit, found) for fit, found in seen if found.n]
    limits = [v for _, found in seen for v in (*found.truth, *found.low, *found.high)]
    limits += run.corpus.label_range or ()
    charts = []
    for fit, found in seen:
        title = f"Predicted against true {task} of {fit.name}, {found.shown} test utterances"
        chart = scatter(
            title, found.truth, found.middle, found.low, found.high, found.names, limits
        )
        charts.append((fit, found, chart))
    return charts


def errors(fits: Sequence[FitView], task: str) -> dict[str, Any]:
    """Where the chosen fit errs: confusions, residuals by label, scores without some modalities."""
    fit = chosen(fits, task, "many") or chosen(fits, task, "one")
    found = predicted(fit, task) if fit else None
    if fit is None or found is None:
        return {}
    about = f"{fit.name} on the test split"
    bins = [(one.name, one.n, one.marks) for one in residuals(found)]
    drawn = [m for m in DRAWN if without(fit, task, m)][:2]
    return {
        "fit": fit,
        "confusions": [
            (one.metric, confusion(f"{one.metric} of {about}", one.names, one.counts.tolist()))
            for one in confusions(found)
        ],
        "residuals": boxes(f"Predicted less true {task} of {about}", bins) if bins else "",
        "without": [
            (m, bars(f"{m} of {about}, with only these there", without(fit, task, m), "all"))
            for m in drawn
        ],
    }


def views(inside: Inside | None) -> dict[str, Any]:
    """Charts of what the chosen model makes of utterances that it did not learn from."""
    if inside is None or not (inside.cloud or inside.maps or inside.problem):
        return {}
    shown, name = inside.cloud, inside.fit.name
    title = f"Last hidden layer of {name}, held-out utterances in the plane"
    return {
        "fit": inside.fit,
        "cloud": shown,
        "picture": cloud(title, shown.places, shown.groups, shown.names) if shown else "",
        "utterance": inside.utterance,
        "problem": inside.problem,
        "maps": [
            (one.name, one.layer, heat(f"Attention: {one.name}, {one.layer}", one.weights))
            for one in inside.maps
        ],
    }


def other_tasks(run: Run, fits: Sequence[FitView], main: str) -> list[list[dict[str, Any]]]:
    """Scores of the heads that learn other tasks, those of the same metrics together."""
    tables: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for fit in fits:
        for task in fit.tasks:
            metrics = fit.metrics(task)
            if task == main or not metrics:
                continue
            row = {
                "fit": fit,
                "task": task,
                "column": label_column(run, fit, task),
                "spreads": {metric: fit.spread(task, metric) for metric in metrics},
                "rows": fit.rows(task),
            }
            tables.setdefault(metrics, []).append(row)
    return list(tables.values())
