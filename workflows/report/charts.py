"""Plots as inline SVG that take their colours from the page, so that both themes show them.

Marks carry classes (``one``, ``many``, ``train``, ``valid``), never colours; ``style.css`` gives
them. A chart scales with its box: sizes below are pixels at its natural width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from . import svg
from .svg import Axis, axis, number

#: Points of a scatter plot that get a tooltip and a line of their own; more are one path.
TOOLTIPS = 150
#: Vertices of a drawn learning curve; longer ones are thinned, their best epoch is kept.
VERTICES = 150
#: Letters of a row's label in ``dots``.
LABEL = 13


@dataclass(frozen=True)
class Row:
    """One line of ``dots``: a fit's score for each seed.

    Args:
        name: label.
        kind: ``one`` modality or ``many``; its colour.
        values: one a seed, NaN where undefined.
    """

    name: str
    kind: str
    values: Sequence[float]


@dataclass(frozen=True)
class Curve:
    """Losses of one seed, one an epoch, and the number of the best epoch, from 1."""

    train: Sequence[float]
    valid: Sequence[float]
    best: int


def dots(title: str, rows: Sequence[Row], reference: float | None = None) -> Markup:
    """Every seed as a dot and their mean as a bar, a row a fit; a dashed line at ``reference``."""
    width, top, tall = 340, 22, 26
    bottom = top + tall * len(rows)
    seen = [v for row in rows for v in row.values]
    marks = seen if reference is None else [*seen, reference]
    x = axis(marks, 92, width - 50)
    parts = [svg.x_axis(x, top, bottom)]
    if reference is not None and math.isfinite(reference):
        parts.append(svg.line(x(reference), top - 4, x(reference), bottom, "reference"))
        anchor = "end" if x(reference) > 0.75 * (x.start + x.stop) / 1.5 else "middle"
        parts.append(svg.text(x(reference), top - 9, "constant", f"small {anchor}"))
    for i, row in enumerate(rows):
        y = top + tall * (i + 0.5)
        finite = [v for v in row.values if math.isfinite(v)]
        mean = sum(finite) / len(finite) if finite else math.nan
        points = "".join(svg.dot(x(v), y, 3.6, tip=number(v)) for v in finite)
        bar = svg.line(x(mean), y - 8, x(mean), y + 8, "mean") if finite else ""
        parts.append(svg.text(0, y + 4, svg.short(row.name, LABEL), "label", row.name))
        parts.append(f'<g class="{row.kind}">{points}{bar}</g>')
        parts.append(svg.text(width, y + 4, number(mean), "value end"))
    said = "; ".join(f"{row.name} {_mean(row.values)}" for row in rows)
    return svg.picture(width, bottom + 20, f"{title}, mean over seeds: {said}", parts)


def scatter(
    title: str,
    truth: Sequence[float],
    middle: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    names: Sequence[str],
    limits: Sequence[float],
    axes: tuple[str, str] = ("true label", "predicted"),
) -> Markup:
    """Predicted against true: a dot an utterance, a line from its lowest to its highest seed.

    Of more than ``TOOLTIPS`` utterances only the dots are drawn. Both axes hold all of
    ``limits``, so that charts with the same ones compare.
    """
    width, height, bottom = 260, 244, 206
    both = axis(limits, 0, 1)
    letters = max((len(svg.tick_label(tick)) for tick in both.ticks), default=0)
    left = max(36, 22 + 6 * letters)  # room for the tick labels beside the axis' name
    x = Axis(both.low, both.high, left, width - 8, both.step)
    y = Axis(both.low, both.high, bottom, 8, both.step)
    ends = both.low, both.high
    parts = [svg.x_axis(x, 8, bottom), svg.y_axis(y, left, width - 8), svg.frame(x, y)]
    parts.append(svg.line(x(ends[0]), y(ends[0]), x(ends[1]), y(ends[1]), "diagonal"))
    spans = "".join(
        f"M{svg.px(x(t))} {svg.px(y(a))}V{svg.px(y(b))}"
        for t, a, b in zip(truth, low, high, strict=True)
        if b > a
    )
    if len(truth) <= TOOLTIPS:
        parts.append(f'<path class="span" d="{spans}"/>')
        parts += [
            f'<circle class="dot" cx="{svg.px(x(t))}" cy="{svg.px(y(p))}" r="3.4">'
            f"<title>{escape(name)}: {axes[0]} {number(t)}, {axes[1]} {number(p)}</title></circle>"
            for t, p, name in zip(truth, middle, names, strict=True)
        ]
    else:
        path = "".join(
            f"M{svg.px(x(t))} {svg.px(y(p))}h0" for t, p in zip(truth, middle, strict=True)
        )
        parts.append(f'<path class="dust" d="{path}"/>')
    parts.append(svg.text((left + width - 8) / 2, height - 2, axes[0], "small middle"))
    parts.append(svg.side(10, (bottom + 8) / 2, axes[1]))
    return svg.picture(width, height, title, parts)


def curves(title: str, seeds: Sequence[Curve]) -> Markup:
    """Training and validation loss by epoch, a line a seed; a dot where validation was best."""
    width, height, left, bottom = 340, 214, 44, 176
    losses = [v for seed in seeds for v in (*seed.train, *seed.valid)]
    epochs = max((len(seed.train) for seed in seeds), default=1)
    last = max(epochs, 2)
    x = Axis(1, last, left, width - 10, max(svg.step(1, last), 1))
    y = axis(losses, bottom, 10)
    parts = [svg.x_axis(x, 10, bottom), svg.y_axis(y, left, width - 10), svg.frame(x, y)]
    for seed in seeds:
        parts += [_curve(seed.train, x, y, "train", seed.best)]
    for seed in seeds:
        parts += [_curve(seed.valid, x, y, "valid", seed.best)]
    for seed in seeds:
        if 1 <= seed.best <= len(seed.valid) and math.isfinite(seed.valid[seed.best - 1]):
            at = svg.px(x(seed.best)), svg.px(y(seed.valid[seed.best - 1]))
            said = f"best epoch {seed.best}: {number(seed.valid[seed.best - 1])}"
            parts.append(
                f'<circle class="best" cx="{at[0]}" cy="{at[1]}" r="4">'
                f"<title>{escape(said)}</title></circle>"
            )
    parts.append(svg.text((left + width - 10) / 2, height - 2, "epoch", "small middle"))
    parts.append(svg.side(10, (bottom + 10) / 2, "loss"))
    return svg.picture(width, height, title, parts)


def courses(title: str, lines: Mapping[str, Sequence[Sequence[float]]]) -> Markup:
    """Values by epoch, a line a seed, a colour for each name: classes ``g0``, ``g1`` and so on.

    Args:
        title: what is drawn.
        lines: name -> values of each seed, one an epoch, NaN where undefined.
    """
    width, height, left, bottom = 340, 214, 44, 176
    seen = [value for seeds in lines.values() for seed in seeds for value in seed]
    last = max([2, *(len(seed) for seeds in lines.values() for seed in seeds)])
    x = Axis(1, last, left, width - 10, max(svg.step(1, last), 1))
    y = axis(seen, bottom, 10)
    parts = [svg.x_axis(x, 10, bottom), svg.y_axis(y, left, width - 10), svg.frame(x, y)]
    for k, seeds in enumerate(lines.values()):
        parts += [_curve(seed, x, y, f"g{k % 8}") for seed in seeds]
    parts.append(svg.text((left + width - 10) / 2, height - 2, "epoch", "small middle"))
    said = "; ".join(
        f"{name} {_mean([seed[0] for seed in seeds])} to {_mean([seed[-1] for seed in seeds])}"
        for name, seeds in lines.items()
    )
    return svg.picture(
        width, height, f"{title}, mean over seeds, first to last epoch: {said}", parts
    )


def histograms(
    title: str, splits: Sequence[tuple[str, Sequence[int]]], low: float, high: float
) -> Markup:
    """Label counts of each split in equal bins from ``low`` to ``high``, as shares of the split."""
    width, left, tall = 340, 78, 48
    bottom = tall * len(splits)
    x = Axis(low, high, left, width - 8, svg.step(low, high))
    shares = [[n / max(sum(counts), 1) for n in counts] for _, counts in splits]
    peak = max((share for row in shares for share in row), default=0) or 1
    parts = [svg.x_axis(x, 4, bottom, grid=False)]
    for i, ((name, counts), row) in enumerate(zip(splits, shares, strict=True)):
        base = tall * (i + 1)
        parts.append(svg.text(0, base - 16, svg.short(name, 9), "label", name))
        parts.append(svg.text(0, base - 3, f"n = {sum(counts):,}", "small"))
        parts.append(svg.line(left, base, width - 8, base, "grid"))
        step = (high - low) / len(counts)
        for j, (n, share) in enumerate(zip(counts, row, strict=True)):
            if n:
                at, end = x(low + j * step), x(low + (j + 1) * step)
                up = max((tall - 10) * share / peak, 1)
                said = f"{number(low + j * step)} to {number(low + (j + 1) * step)}: {n:,}"
                size = end - at - 1.5, up
                parts.append(svg.rect(at + 0.75, base - up, *size, kind="bar", tip=said))
    return svg.picture(width, bottom + 20, title, parts)


def _curve(values: Sequence[float], x: Axis, y: Axis, kind: str, best: int = 1) -> str:
    step = max(1, math.ceil(len(values) / VERTICES))
    kept = sorted({*range(0, len(values), step), len(values) - 1, best - 1})
    points = [i for i in kept if 0 <= i < len(values) and math.isfinite(values[i])]
    path = " ".join(f"{svg.px(x(i + 1))},{svg.px(y(values[i]))}" for i in points)
    return f'<polyline class="curve {kind}" points="{path}"/>'


def _mean(values: Sequence[float]) -> str:
    finite = [v for v in values if math.isfinite(v)]
    return number(sum(finite) / len(finite)) if finite else "undefined"
