"""Plots as inline SVG that take their colours from the page, so that both themes show them.

Marks carry classes (``one``, ``many``, ``train``, ``valid``), never colours; ``style.css`` gives
them. A chart scales with its box: sizes below are pixels at its natural width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

#: Points of a scatter plot that get a tooltip and a line of their own; more are one path.
TOOLTIPS = 150
#: Vertices of a drawn learning curve; longer ones are thinned, their best epoch is kept.
VERTICES = 150
#: Letters of a row's label in ``dots``.
LABEL = 13


@dataclass(frozen=True)
class Axis:
    """Maps ``low`` to ``high`` in data units to ``start`` to ``stop`` in pixels.

    Multiples of ``step`` get a tick.
    """

    low: float
    high: float
    start: float
    stop: float
    step: float

    def __call__(self, value: float) -> float:
        """Pixel of a value."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.stop - self.start)

    @property
    def ticks(self) -> list[float]:
        """Multiples of ``step`` inside the axis."""
        first, last = (
            math.ceil(self.low / self.step - 1e-9),
            math.floor(self.high / self.step + 1e-9),
        )
        return [round(i * self.step, 10) for i in range(first, last + 1)]


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


def axis(values: Sequence[float], start: float, stop: float) -> Axis:
    """An axis around the finite values, with a little room at both ends."""
    finite = [v for v in values if math.isfinite(v)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    room = 0.05 * (high - low) or 0.5 * (abs(high) or 1)
    low, high = low - room, high + room
    return Axis(low, high, start, stop, _step(low, high))


def dots(title: str, rows: Sequence[Row], reference: float | None = None) -> Markup:
    """Every seed as a dot and their mean as a bar, a row a fit; a dashed line at ``reference``."""
    width, top, tall = 340, 22, 26
    bottom = top + tall * len(rows)
    seen = [v for row in rows for v in row.values]
    marks = seen if reference is None else [*seen, reference]
    x = axis(marks, 92, width - 50)
    parts = [_x_axis(x, top, bottom)]
    if reference is not None and math.isfinite(reference):
        parts.append(_line(x(reference), top - 4, x(reference), bottom, "reference"))
        anchor = "end" if x(reference) > 0.75 * (x.start + x.stop) / 1.5 else "middle"
        parts.append(_text(x(reference), top - 9, "constant", f"small {anchor}"))
    for i, row in enumerate(rows):
        y = top + tall * (i + 0.5)
        finite = [v for v in row.values if math.isfinite(v)]
        mean = sum(finite) / len(finite) if finite else math.nan
        points = "".join(
            f'<circle cx="{_n(x(v))}" cy="{_n(y)}" r="3.6"><title>{number(v)}</title></circle>'
            for v in finite
        )
        bar = _line(x(mean), y - 8, x(mean), y + 8, "mean") if finite else ""
        parts.append(_text(0, y + 4, _short(row.name, LABEL), "label", row.name))
        parts.append(f'<g class="{row.kind}">{points}{bar}</g>')
        parts.append(_text(width, y + 4, number(mean), "value end"))
    said = "; ".join(f"{row.name} {_mean(row.values)}" for row in rows)
    return _svg(width, bottom + 20, f"{title}, mean over seeds: {said}", parts)


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
    letters = max((len(_tick(tick)) for tick in both.ticks), default=0)
    left = max(36, 22 + 6 * letters)  # room for the tick labels beside the axis' name
    x = Axis(both.low, both.high, left, width - 8, both.step)
    y = Axis(both.low, both.high, bottom, 8, both.step)
    ends = both.low, both.high
    parts = [_x_axis(x, 8, bottom), _y_axis(y, left, width - 8), _frame(x, y)]
    parts.append(_line(x(ends[0]), y(ends[0]), x(ends[1]), y(ends[1]), "diagonal"))
    spans = "".join(
        f"M{_n(x(t))} {_n(y(a))}V{_n(y(b))}"
        for t, a, b in zip(truth, low, high, strict=True)
        if b > a
    )
    if len(truth) <= TOOLTIPS:
        parts.append(f'<path class="span" d="{spans}"/>')
        parts += [
            f'<circle class="dot" cx="{_n(x(t))}" cy="{_n(y(p))}" r="3.4">'
            f"<title>{escape(name)}: {axes[0]} {number(t)}, {axes[1]} {number(p)}</title></circle>"
            for t, p, name in zip(truth, middle, names, strict=True)
        ]
    else:
        path = "".join(f"M{_n(x(t))} {_n(y(p))}h0" for t, p in zip(truth, middle, strict=True))
        parts.append(f'<path class="dust" d="{path}"/>')
    parts.append(_text((left + width - 8) / 2, height - 2, axes[0], "small middle"))
    parts.append(_side(10, (bottom + 8) / 2, axes[1]))
    return _svg(width, height, title, parts)


def curves(title: str, seeds: Sequence[Curve]) -> Markup:
    """Training and validation loss by epoch, a line a seed; a dot where validation was best."""
    width, height, left, bottom = 340, 214, 44, 176
    losses = [v for seed in seeds for v in (*seed.train, *seed.valid)]
    epochs = max((len(seed.train) for seed in seeds), default=1)
    last = max(epochs, 2)
    x = Axis(1, last, left, width - 10, max(_step(1, last), 1))
    y = axis(losses, bottom, 10)
    parts = [_x_axis(x, 10, bottom), _y_axis(y, left, width - 10), _frame(x, y)]
    for seed in seeds:
        parts += [_curve(seed.train, x, y, "train", seed.best)]
    for seed in seeds:
        parts += [_curve(seed.valid, x, y, "valid", seed.best)]
    for seed in seeds:
        if 1 <= seed.best <= len(seed.valid) and math.isfinite(seed.valid[seed.best - 1]):
            at = _n(x(seed.best)), _n(y(seed.valid[seed.best - 1]))
            said = f"best epoch {seed.best}: {number(seed.valid[seed.best - 1])}"
            parts.append(
                f'<circle class="best" cx="{at[0]}" cy="{at[1]}" r="4">'
                f"<title>{escape(said)}</title></circle>"
            )
    parts.append(_text((left + width - 10) / 2, height - 2, "epoch", "small middle"))
    parts.append(_side(10, (bottom + 10) / 2, "loss"))
    return _svg(width, height, title, parts)


def histograms(
    title: str, splits: Sequence[tuple[str, Sequence[int]]], low: float, high: float
) -> Markup:
    """Label counts of each split in equal bins from ``low`` to ``high``, as shares of the split."""
    width, left, tall = 340, 78, 48
    bottom = tall * len(splits)
    x = Axis(low, high, left, width - 8, _step(low, high))
    shares = [[n / max(sum(counts), 1) for n in counts] for _, counts in splits]
    peak = max((share for row in shares for share in row), default=0) or 1
    parts = [_x_axis(x, 4, bottom, grid=False)]
    for i, ((name, counts), row) in enumerate(zip(splits, shares, strict=True)):
        base = tall * (i + 1)
        parts.append(_text(0, base - 16, _short(name, 9), "label", name))
        parts.append(_text(0, base - 3, f"n = {sum(counts):,}", "small"))
        parts.append(_line(left, base, width - 8, base, "grid"))
        step = (high - low) / len(counts)
        for j, (n, share) in enumerate(zip(counts, row, strict=True)):
            if n:
                at, end = x(low + j * step), x(low + (j + 1) * step)
                up = max((tall - 10) * share / peak, 1)
                said = f"{number(low + j * step)} to {number(low + (j + 1) * step)}: {n:,}"
                parts.append(
                    f'<rect class="bar" x="{_n(at + 0.75)}" y="{_n(base - up)}" '
                    f'width="{_n(end - at - 1.5)}" height="{_n(up)}"><title>{said}</title></rect>'
                )
    return _svg(width, bottom + 20, title, parts)


def number(value: float) -> str:
    """Three significant places where they matter: 0.312, -0.05, 12.5, 1,234; NaN is a dash."""
    if not math.isfinite(value):
        return "–"
    size = abs(value)
    text = f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.3f}"
    return text.replace("-", "−") if any(c in "123456789" for c in text) else text.lstrip("-")


def _curve(values: Sequence[float], x: Axis, y: Axis, kind: str, best: int) -> str:
    step = max(1, math.ceil(len(values) / VERTICES))
    kept = sorted({*range(0, len(values), step), len(values) - 1, best - 1})
    points = [i for i in kept if 0 <= i < len(values) and math.isfinite(values[i])]
    path = " ".join(f"{_n(x(i + 1))},{_n(y(values[i]))}" for i in points)
    return f'<polyline class="curve {kind}" points="{path}"/>'


def _mean(values: Sequence[float]) -> str:
    finite = [v for v in values if math.isfinite(v)]
    return number(sum(finite) / len(finite)) if finite else "undefined"


def _step(low: float, high: float) -> float:
    """Distance of round ticks: 1, 2 or 5 times a power of ten, about four of them."""
    raw = (high - low) / 3.5
    power = 10.0 ** math.floor(math.log10(raw))
    return power * min((1, 2, 5, 10), key=lambda m: abs(math.log(m * power / raw)))


def _x_axis(x: Axis, top: float, bottom: float, grid: bool = True) -> str:
    parts = []
    for tick in x.ticks:
        if grid:
            parts.append(_line(x(tick), top, x(tick), bottom, "grid"))
        parts.append(_text(x(tick), bottom + 15, _tick(tick), "tick middle"))
    return "".join(parts)


def _y_axis(y: Axis, left: float, right: float) -> str:
    return "".join(
        _line(left, y(tick), right, y(tick), "grid")
        + _text(left - 6, y(tick) + 4, _tick(tick), "tick end")
        for tick in y.ticks
    )


def _frame(x: Axis, y: Axis) -> str:
    """The left and lower edge of a chart."""
    a, b, c, d = _n(x.start), _n(x.stop), _n(y.stop), _n(y.start)
    return f'<path class="edge" d="M{a} {c}V{d}H{b}"/>'


def _tick(value: float) -> str:
    return f"{value:,.6g}".replace("-", "−") if value else "0"


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> Markup:
    return Markup(
        f'<svg viewBox="0 0 {_n(width)} {_n(height)}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg>"
    )


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<path class="{kind}" d="M{_n(x1)} {_n(y1)}L{_n(x2)} {_n(y2)}"/>'


def _text(x: float, y: float, text: str, kind: str, full: str = "") -> str:
    title = f"<title>{escape(full)}</title>" if full and full != text else ""
    return f'<text class="{kind}" x="{_n(x)}" y="{_n(y)}">{escape(text)}{title}</text>'


def _side(x: float, y: float, text: str) -> str:
    """Text that reads upwards, for a vertical axis."""
    return (
        f'<text class="small middle" transform="translate({_n(x)} {_n(y)}) rotate(-90)">'
        f"{escape(text)}</text>"
    )


def _short(text: str, letters: int) -> str:
    return text if len(text) <= letters else text[: letters - 1] + "…"


def _n(value: float) -> str:
    """A pixel position with one decimal at most."""
    return f"{value:.1f}".removesuffix(".0")
