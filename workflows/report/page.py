"""One self-contained HTML file a run: the answer first, then all that stands behind it.

Nothing in it is loaded from elsewhere and no script runs. Everything that came from a recipe, a
corpus or an error message is escaped by the template engine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ...cache.publish import publish
from ..fit_view import FitView
from ..result import Run
from . import again, content
from .charts import TOOLTIPS, Curve, Row, curves, dots, scatter
from .fits import (
    DRAWN,
    F1_NOTE,
    FAMILIES,
    LEVEL,
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
from .svg import number

#: Utterances drawn in a scatter plot; of more, so many are drawn at random.
POINTS = 400
MODALITIES = {"T": "text", "A": "audio", "V": "vision"}


def write_report(run: Run, path: Path | None = None) -> Path:
    """Write the report of a run as one HTML file.

    Args:
        run: what a run came to.
        path: the file; its folder is made. Default: ``report.html`` in the run's folder.

    Returns:
        The path of the file.

    Raises:
        Damaged: a checkpoint's predictions are not what was written.
        StoreFull: the file system has no room.
        StoreReadOnly: the folder cannot be written to.
    """
    file = run.folder / "report.html" if path is None else Path(path)
    publish(file, render(run).encode(), replace=True)
    return file


def render(run: Run) -> str:
    """The page as text."""
    import jinja2

    fits = fits_of(run)
    task = main_task(fits)
    own = [fit for fit in fits if fit.metrics(task)]
    folder = resources.files(__package__)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "number": number,
        "message": content.message,
        "seconds": seconds,
        "p": p_value,
        "sentence": sentence,
    }
    template = environment.from_string((folder / "page.html").read_text(encoding="utf-8"))
    style = Markup((folder / "style.css").read_text(encoding="utf-8"))  # our own file
    command, shipped = again.command(run)
    return template.render(
        run=run,
        style=style,
        fits=fits,
        task=task,
        scores=score_table(run, own, task),
        answer=answer(own, task),
        duels=duels(run, own, task),
        charts=modality_charts(run, own, task),
        scatters=scatters(run, own, task),
        curves=[(fit, _curves(fit)) for fit in fits],
        others=other_tasks(run, fits, task),
        splits=content.split_rows(run.corpus),
        labels=content.distributions(run.corpus),
        nodes=content.node_rows(run),
        trained=content.fit_rows(run),
        repeats=again.repeats(run),
        failures=content.failures(run),
        warnings=content.warnings(run),
        source=again.source(run),
        command=command,
        shipped=shipped,
        versions=again.versions(),
        family_note=f"{FAMILIES[run.corpus.family]} {F1_NOTE}" if run.corpus.family else "",
        modality=lambda letters: ", ".join(MODALITIES[letter] for letter in letters),
        isfinite=math.isfinite,
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


def _curves(fit: FitView) -> Markup:
    best = ", ".join(str(seed["best_epoch"]) for seed in fit.seeds)
    seeds = [Curve(s["train_loss"], s["valid_loss"], s["best_epoch"]) for s in fit.seeds]
    return curves(f"Learning curves of {fit.name}; best epoch of each seed: {best}", seeds)


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


def seconds(value: float | None) -> str:
    """A time for people: 0.4 s, 12 s, 3 min 5 s, 2 h 10 min."""
    if value is None:
        return "–"
    if value < 9.95:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def p_value(value: float) -> str:
    """A p-value with its relation: = 0.031, < 0.001, = – where it is undefined."""
    return "< 0.001" if value < 0.001 else f"= {number(value)}"


def sentence(text: str) -> str:
    """A note as a sentence: a capital first, a full stop last."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
