"""The page of a comparison: a table of agreement, and a chart a column."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
from markupsafe import Markup

from ...cache.publish import publish
from ...cache.validation import count
from ..comparison import Agreement, Comparison
from .charts import scatter


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
    import jinja2

    folder = resources.files(__package__)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["figure"] = lambda value: figure(value).replace("-", "\N{MINUS SIGN}")
    environment.filters["count"] = count
    template = environment.from_string((folder / "comparison.html").read_text(encoding="utf-8"))
    return template.render(
        comparison=comparison,
        turned=[found.column for found in comparison.columns if found.turned],
        charts=[(found, _chart(found, comparison)) for found in comparison.columns if found.n],
        style=Markup((folder / "style.css").read_text(encoding="utf-8")),  # our own file
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
