"""How a corpus shows itself in a notebook."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .corpus import Corpus
    from .records import Array

BINS = 12
WIDTH, HEIGHT = 96, 20  # pixels of a histogram


def as_html(corpus: Corpus) -> str:
    """Note, counts by split, hours if known, and each label with a small histogram.

    Colours are those of the page, so that it reads in light and dark.
    """
    n = len(corpus)
    head = f"<b>Corpus {html.escape(corpus.name)}</b>: {n:,} utterances"
    if corpus.family:
        head += f", family {html.escape(corpus.family)}"
    hours = "unknown" if corpus.seconds is None else f"{corpus.seconds / 3600:.2f}"
    splits = ", ".join(
        f"{html.escape(split) or 'in no split'} {size:,}" for split, size in corpus.sizes.items()
    )
    parts = [f"<p>{head}<br>splits: {splits or 'none'}; hours: {hours}</p>"]
    if corpus.note:
        parts.append(f"<p><b>Note:</b> {html.escape(corpus.note)}</p>")
    if corpus.tasks:
        parts.append(_labels(corpus))
    if corpus.notes:
        items = "".join(f"<li>{html.escape(note)}</li>" for note in corpus.notes)
        parts.append(
            f"<details><summary>Repaired while reading</summary><ul>{items}</ul></details>"
        )
    return "".join(parts)


def _labels(corpus: Corpus) -> str:
    rows = []
    for task in corpus.tasks:
        values = corpus.labels(task)
        values = values[np.isfinite(values)]
        if len(values):
            low, high = corpus.label_range or (float(values.min()), float(values.max()))
            shown = f"<td>{values.mean():.3g}</td><td>{values.min():g} to {values.max():g}</td>"
            shown += f"<td>{_histogram(values, low, high)}</td>"
        else:
            shown = "<td></td><td></td><td></td>"
        rows.append(f"<tr><th>{task}</th><td>{len(values):,} of {len(corpus):,}</td>{shown}</tr>")
    head = "".join(f"<th>{name}</th>" for name in ("label", "known", "mean", "from", ""))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _histogram(values: Array, low: float, high: float) -> str:
    """Inline SVG of BINS bars; values outside the range are not in it."""
    counts, edges = np.histogram(values, BINS, (low, high))
    step = WIDTH / BINS
    bars = []
    for i, size in enumerate(counts.tolist()):
        tall = HEIGHT * size / max(int(counts.max()), 1)
        title = f"<title>{edges[i]:.2g} to {edges[i + 1]:.2g}: {size:,}</title>"
        bars.append(
            f'<rect x="{i * step:g}" y="{HEIGHT - tall:g}" width="{step - 1:g}" '
            f'height="{tall:g}">{title}</rect>'
        )
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" fill="currentColor" '
        f'aria-label="histogram from {low:g} to {high:g}">{"".join(bars)}</svg>'
    )
