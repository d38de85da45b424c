"""Further charts: differences as intervals, confusion matrices, residuals, clouds, attention.

As in ``charts``, marks carry classes and the page gives the colours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from . import svg
from .svg import axis, number

#: Letters of a row's label.
LABEL = 15


@dataclass(frozen=True)
class Difference:
    """One line of ``differences``: a difference, its interval, and whether it is one."""

    name: str
    value: float
    low: float
    high: float
    real: bool


def differences(title: str, rows: Sequence[Difference]) -> Markup:
    """Differences from a reference, which is the line at 0, a row each, with their intervals."""
    width, top, tall = 340, 6, 26
    bottom = top + tall * len(rows)
    ends = [v for row in rows for v in (row.value, row.low, row.high)]
    x = axis([*ends, 0.0], 104, width - 52)
    parts = [svg.x_axis(x, top, bottom), svg.line(x(0), top, x(0), bottom, "reference")]
    for i, row in enumerate(rows):
        y = top + tall * (i + 0.5)
        parts.append(svg.text(0, y + 4, svg.short(row.name, LABEL), "label", row.name))
        said = f"{number(row.value)}, {number(row.low)} to {number(row.high)}"
        mark = ""
        if math.isfinite(row.low) and math.isfinite(row.high):
            mark = svg.line(x(row.low), y, x(row.high), y, "whisker")
        if math.isfinite(row.value):
            mark += svg.dot(x(row.value), y, 4.2, "real" if row.real else "open", said)
        parts.append(f'<g class="apart">{mark}</g>')
        parts.append(svg.text(width, y + 4, number(row.value), "value end"))
    said = "; ".join(
        f"{r.name} {number(r.value)} ({number(r.low)} to {number(r.high)}"
        f"{', differs' if r.real else ''})"
        for r in rows
    )
    return svg.picture(width, bottom + 20, f"{title}: {said}", parts)
