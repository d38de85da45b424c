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


def confusion(title: str, names: Sequence[str], counts: Sequence[Sequence[float]]) -> Markup:
    """True classes as rows, predicted ones as columns; a cell's shade is its share of the row."""
    letters = max(len(name) for name in names)
    left, size = min(16 + 6.6 * letters, 110), 212 / len(names)
    bottom, right = 22 + 212, left + 212
    parts = []
    said = []
    for i, (name, row) in enumerate(zip(names, counts, strict=True)):
        y, total = 22 + i * size, sum(row)
        parts.append(svg.text(left - 6, y + size / 2 + 4, svg.short(name, 14), "label end", name))
        told = []
        for j, count in enumerate(row):
            share = count / total if total else 0.0
            x = left + j * size
            tip = f"true {name}, predicted {names[j]}: {_mean(count)} of {_mean(total)}"
            parts.append(svg.cell(x + 0.75, y + 0.75, size - 1.5, share, tip))
            if total and (share >= 0.005 or size > 40):
                at = x + size / 2, y + size / 2 + 4
                parts.append(svg.text(*at, f"{100 * share:.0f}", "share middle"))
            if round(100 * share):
                told.append(f"{100 * share:.0f} % predicted {names[j]}")
        said.append(f"true {name} ({_mean(total)}): {', '.join(told) or 'none'}")
    for j, name in enumerate(names):
        parts.append(
            svg.text(left + (j + 0.5) * size, 16, svg.short(name, int(size / 5.5)), "tick middle")
        )
    parts.append(svg.text((left + right) / 2, bottom + 16, "predicted (%)", "small middle"))
    return svg.picture(right + 2, bottom + 20, f"{title}. {'; '.join(said)}", parts)


def boxes(title: str, bins: Sequence[tuple[str, int, Sequence[float]]]) -> Markup:
    """Distributions as boxes: name, number, and the 5, 25, 50, 75, 95 % quantiles of each."""
    width, height, left, bottom = 340, 224, 44, 170
    y = axis([v for _, _, marks in bins for v in (*marks, 0.0)], bottom, 10)
    step = (width - 10 - left) / max(len(bins), 1)
    parts = [svg.y_axis(y, left, width - 10)]
    parts.append(svg.line(left, y(0), width - 10, y(0), "reference"))
    half = min(step * 0.3, 22)
    for i, (name, n, (low, first, middle, third, high)) in enumerate(bins):
        x = left + (i + 0.5) * step
        tip = f"{name}: median {number(middle)}, half of {n:,} from {number(first)} to "
        tip += f"{number(third)}"
        parts.append(svg.line(x, y(low), x, y(high), "whisker"))
        tall = max(y(first) - y(third), 1.5)
        parts.append(svg.rect(x - half, y(third), 2 * half, tall, "box", tip))
        parts.append(svg.line(x - half, y(middle), x + half, y(middle), "median"))
        parts.append(svg.text(x, bottom + 16, svg.short(name, int(step / 5.2)), "tick middle"))
        parts.append(svg.text(x, bottom + 31, f"{n:,}", "small middle"))
    parts.append(svg.side(10, (bottom + 10) / 2, "predicted − true"))
    parts.append(svg.text((left + width - 10) / 2, height - 4, "true label, n", "small middle"))
    said = "; ".join(f"{name} median {number(marks[2])} of {n}" for name, n, marks in bins)
    return svg.picture(width, height, f"{title}: {said}", parts)


def bars(title: str, rows: Sequence[tuple[str, float, float]], whole: str) -> Markup:
    """A bar from 0 for each name, its mean and deviation; the one called ``whole`` stands out."""
    width, top, tall = 340, 4, 24
    bottom = top + tall * len(rows)
    ends = [mean + (dev if math.isfinite(dev) else 0) for _, mean, dev in rows]
    x = axis([0.0, *ends, *[mean for _, mean, _ in rows]], 104, width - 50)
    parts = [svg.x_axis(x, top, bottom)]
    for i, (name, mean, deviation) in enumerate(rows):
        y = top + tall * (i + 0.5)
        parts.append(svg.text(0, y + 4, svg.short(name, LABEL), "label", name))
        if math.isfinite(mean):
            ends = sorted((x(0), x(mean)))
            kind = "bar" if name == whole else "bar less"
            tip = f"{name}: {number(mean)}"
            parts.append(svg.rect(ends[0], y - 8, max(ends[1] - ends[0], 1), 16, kind, tip))
        if math.isfinite(deviation):
            parts.append(svg.line(x(mean - deviation), y, x(mean + deviation), y, "error"))
        parts.append(svg.text(width, y + 4, number(mean), "value end"))
    parts.append(svg.line(x(0), top, x(0), bottom, "edge"))
    said = "; ".join(f"{name} {number(mean)}" for name, mean, _ in rows)
    return svg.picture(width, bottom + 20, f"{title}: {said}", parts)


def _mean(count: float) -> str:
    """A count that may be a mean over seeds."""
    return f"{count:,.0f}" if count == round(count) else f"{count:,.1f}"
