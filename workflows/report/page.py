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
from ...cache.validation import sentence
from ..blocks import fits_of, main_blocks, main_task, trained
from ..fit_view import FitView
from ..label_agreement import label_pairs
from ..measured import measured_in
from ..reproduced_files import said_of
from ..result import Run, seconds
from ..reuse import reused, saved
from ..versus import LEVEL
from . import again, content, corpus_part
from .block_part import block_part, other_tasks
from .cases import cases
from .charts import TOOLTIPS, Curve, courses, curves
from .folds import fold_sentence, fold_tables
from .inside import Inside
from .soft_labels import soft_samples
from .template import p_value, render_page

__all__ = ["p_value", "render", "seconds", "sentence", "write_report"]

MODALITIES = {"T": "text", "A": "audio", "V": "vision"}


def write_report(run: Run, path: Path | None = None, inside: Sequence[Inside] = ()) -> Path:
    """Write the report of a run as one HTML file.

    Args:
        run: what a run came to.
        path: the file; its folder is made. Default: ``report.html`` in the run's folder.
        inside: pictures of the chosen model of each block; the report goes without the others.

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


def render(run: Run, inside: Sequence[Inside] = ()) -> str:
    """The page as text."""
    fits = fits_of(run)
    command, shipped = again.command(run)
    return render_page(
        "page.html",
        run=run,
        fits=fits,
        task=main_task(fits),
        parts=(said := block_parts(run, fits, inside)),
        several=len(said) > 1,
        cases=cases(run),
        folded=fold_sentence(run),
        folds=[one for block in main_blocks(fits) for one in fold_tables(run, block)],
        curves=[(fit, _curves(fit)) for fit in trained(run)],
        followed=[(fit, *drawn) for fit in trained(run) for drawn in followed(fit)],
        published=[(found, said_of(found)) for found in measured_in(run)],
        soft=soft_samples(run),
        splits=corpus_part.split_rows(run.corpus),
        leaks=corpus_part.leaks(run),
        classes=corpus_part.class_tables(run.corpus),
        class_names=corpus_part.class_names(run.corpus),
        pairs=label_pairs(run.corpus),
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
        modality=lambda letters: ", ".join(MODALITIES[letter] for letter in letters),
        message=content.message,
        lined=TOOLTIPS,
        level=LEVEL,
    )


def block_parts(
    run: Run, fits: Sequence[FitView], insides: Sequence[Inside]
) -> list[dict[str, Any]]:
    """What is said of each block; of other tasks with the first block of the same corpora."""
    parts: list[dict[str, Any]] = []
    seen = set()
    blocks = main_blocks(fits)
    for i, block in enumerate(blocks, 1):
        corpora = block.fits[0].corpora
        same = [fit for fit in fits if fit.corpora == corpora and corpora not in seen]
        seen.add(corpora)
        own = {
            "mark": f"-{i}" if len(blocks) > 1 else "",
            "of": f" · {block.title}" if len(blocks) > 1 else "",
            "others": other_tasks(run, same, block.task),
        }
        parts.append(block_part(run, block, insides) | own)
    return parts


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
