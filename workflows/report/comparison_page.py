"""The page of a comparison: a table of agreement, and a chart a column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from markupsafe import Markup

from ...cache.publish import publish
from ..agreement import Agreement
from ..comparison import Comparison
from .charts import scatter
from .template import render_page


def write_comparison(comparison: Comparison, path: Path) -> Path:
    """Write a comparison as one self-contained HTML file; its folder is made.

    Raises:
        StoreFull: the file system has no room.
        StoreReadOnly: the folder cannot be written to.
    """
    publish(path, render_comparison(comparison).encode(), replace=True)
    return path


def render_comparison(comparison: Comparison) -> str:
    """The page as text; names are escaped by the template engine."""
    return render_page(
        "comparison.html",
        figure=lambda value: figure(value).replace("-", "\N{MINUS SIGN}"),
        comparison=comparison,
        turned=[found.column for found in comparison.columns if found.turned],
        charts=[(found, _chart(found, comparison)) for found in comparison.columns if found.n],
    )


def figure(value: float) -> str:
    """A number that may be very small: 0.9987, 3.2e-09; NaN is a dash."""
    return "–" if np.isnan(value) else f"{value:.4g}"


def _chart(found: Agreement, comparison: Comparison) -> Markup:
    a, b = (column.tolist() for column in found.points.T)
    names = [found.column] * len(a)
    limits = [*a, *b]
    title = f"{found.column}: {comparison.a} against {comparison.b}"
    return scatter(title, b, a, a, a, names, limits, axes=("B", "A"))
