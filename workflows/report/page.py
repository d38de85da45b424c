"""One self-contained HTML file a run: the answer first, then all that stands behind it.

Nothing in it is loaded from elsewhere and no script runs. Everything that came from a recipe, a
corpus or an error message is escaped by the template engine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ...cache.publish import publish
from ..fit_view import FitView
from ..measured import measured_in, our_cell, published_cell, row_name, told
from ..result import Run, seconds
from ..reuse import reused, saved
from ..versus import LEVEL
from . import again, content, corpus_part
from .cases import cases
from .charts import TOOLTIPS, Curve, Row, courses, curves, dots, scatter
from .clouds import cloud, heat
from .figures import bars, boxes, confusion
from .fits import (
    DRAWN,
    F1_NOTE,
    FAMILIES,
    TOLD,
    better,
    chosen,
    constant,
    duels,
    fits_of,
    label_column,
    main_task,
    points,
)
from .inside import Inside
from .predicted import confusions, predicted, residuals, without
from .soft_labels import soft_samples
from .svg import number
from .template import p_value, render_page, sentence

__all__ = ["p_value", "render", "seconds", "sentence", "write_report"]

#: Utterances drawn in a scatter plot; of more, so many are drawn at random.
POINTS = 400
MODALITIES = {"T": "text", "A": "audio", "V": "vision"}


def write_report(run: Run, path: Path | None = None, inside: Inside | None = None) -> Path:
    """Write the report of a run as one HTML file.

    Args:
        run: what a run came to.
        path: the file; its folder is made. Default: ``report.html`` in the run's folder.
        inside: pictures of the chosen model; None: the report goes without.

    Returns:
        The path of the file.

    Raises:
        Damaged: a checkpoint's predictions are not what was written.
        StoreFull: the file system has no room.
        StoreReadOnly: the folder cannot be written to.
    """
    file = run.folder / "report.html" if path is None else Path(path)
    publish(file, render(run, inside).encode(), replace=True)
    return file


def render(run: Run, inside: Inside | None = None) -> str:
    """The page as text."""
    fits = fits_of(run)
    task = main_task(fits)
    own = [fit for fit in fits if fit.metrics(task)]
    command, shipped = again.command(run)
    return render_page(
        "page.html",
        run=run,
        fits=fits,
        task=task,
        scores=score_table(run, own, task),
        answer=answer(own, task),
        duels=duels(run, own, task),
        charts=modality_charts(run, own, task),
        scatters=scatters(run, own, task),
        usual=usual(own, task),
        errors=errors(own, task),
        inside=views(inside),
        cases=cases(run),
        curves=[(fit, _curves(fit)) for fit in fits],
        followed=[(fit, *drawn) for fit in fits for drawn in followed(fit)],
        others=other_tasks(run, fits, task),
        published=[(found, told(found)) for found in measured_in(run)],
        printed=published_cell,
        ours=our_cell,
        called=row_name,
        soft=soft_samples(run),
        splits=corpus_part.split_rows(run.corpus),
        labels=corpus_part.distributions(run.corpus),
        nodes=content.node_rows(run),
        reused=(parts := reused(run)),
        saved=saved(parts),
        trained=content.fit_rows(run),
        repeats=again.repeats(run),
        failures=content.failures(run),
        warnings=content.warnings(run),
        source=again.source(run),
        command=command,
        shipped=shipped,
        versions=again.versions(),
        family_note=" ".join([FAMILIES[own] for own in run.corpus.every_family] + [F1_NOTE])
        if run.corpus.every_family
        else "",
        modality=lambda letters: ", ".join(MODALITIES[letter] for letter in letters),
        message=content.message,
        lined=TOOLTIPS,
        level=LEVEL,
    )


def score_table(run: Run, fits: Sequence[FitView], task: str) -> dict[str, Any]:
    """Means and deviations of every metric on the test split, and those of a constant answer."""
    if not fits:
        return {}
    metrics = fits[0].metrics(task)
    best = {m: number(better(m, [f.spread(task, m).mean for f in fits])) for m in metrics}
    return {
        "metrics": metrics,
        "rows": [(fit, {m: fit.spread(task, m) for m in metrics}) for fit in fits],
        "best": best if len(fits) > 1 else {},
        "seen": fits[0].rows(task),
        "constant": constant(run, fits[0], task),
        "masked": {name: n for fit in fits for name, n in fit.masked.items()},
        "one_seed": [fit.name for fit in fits if len(fit.seeds) == 1],
    }


def usual(fits: Sequence[FitView], task: str) -> str:
    """What the constant answer is (``constant_scores``), in words."""
    kinds = {fit.target(task).kind for fit in fits}
    return "median training label" if kinds <= {"value"} else "most frequent training label"


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


def modality_charts(run: Run, fits: Sequence[FitView], task: str) -> list[tuple[str, Markup]]:
    """A chart a metric: each fit's seeds and mean, single modalities first."""
    if not fits:
        return []
    order = sorted(fits, key=lambda fit: len(fit.letters))
    reference = constant(run, fits[0], task)
    charts = []
    for metric in (m for m in DRAWN if m in fits[0].metrics(task)):
        rows = [Row(fit.name, fit.kind, fit.values(task, metric)) for fit in order]
        title = f"{metric} on the test split"
        charts.append((metric, dots(title, rows, reference.get(metric, math.nan))))
    return charts


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
        "maps": [(one.name, heat(f"Attention: {one.name}", one.weights)) for one in inside.maps],
    }


def _curves(fit: FitView) -> Markup:
    best = ", ".join(str(seed["best_epoch"]) for seed in fit.seeds)
    seeds = [Curve(s["train_loss"], s["valid_loss"], s["best_epoch"]) for s in fit.seeds]
    return curves(f"Learning curves of {fit.name}; best epoch of each seed: {best}", seeds)


def followed(fit: FitView) -> Iterator[tuple[str, list[str], Markup]]:
    """Charts of what a fit's course shows beside its losses: title, names of the lines, chart."""
    charts: dict[str, dict[str, list[list[float]]]] = {}
    for name in dict.fromkeys(name for seed in fit.seeds for name in seed.get("watched", ())):
        title, _, line = name.partition("/")
        seeds = [seed["watched"][name] for seed in fit.seeds]
        values = [[math.nan if value is None else value for value in seed] for seed in seeds]
        charts.setdefault(title, {})[line or title] = values
    for title, lines in charts.items():
        about = f"{title} of {fit.name} on the validation split"
        yield title, list(lines), courses(about, lines)


def other_tasks(run: Run, fits: Sequence[FitView], main: str) -> list[dict[str, Any]]:
    """Scores of the heads that learn other tasks, each against a label column of its own."""
    return [
        {
            "fit": fit,
            "task": task,
            "column": label_column(run, fit, task),
            "spreads": {m: fit.spread(task, m) for m in fit.metrics(task)},
            "rows": fit.rows(task),
        }
        for fit in fits
        for task in fit.tasks
        if task != main and fit.metrics(task)
    ]
