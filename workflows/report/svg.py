"""What charts are drawn with: axes, lines, words, as parts of an inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape


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


def axis(values: Sequence[float], start: float, stop: float) -> Axis:
    """An axis around the finite values, with a little room at both ends."""
    finite = [v for v in values if math.isfinite(v)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    room = 0.05 * (high - low) or 0.5 * (abs(high) or 1)
    low, high = low - room, high + room
    return Axis(low, high, start, stop, step(low, high))


def number(value: float) -> str:
    """Three significant places where they matter: 0.312, -0.05, 12.5, 1,234; NaN is a dash."""
    if not math.isfinite(value):
        return "–"
    size = abs(value)
    text = f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.3f}"
    return text.replace("-", "−") if any(c in "123456789" for c in text) else text.lstrip("-")


def step(low: float, high: float) -> float:
    """Distance of round ticks: 1, 2 or 5 times a power of ten, about four of them."""
    raw = (high - low) / 3.5
    power = 10.0 ** math.floor(math.log10(raw))
    return power * min((1, 2, 5, 10), key=lambda m: abs(math.log(m * power / raw)))


def x_axis(x: Axis, top: float, bottom: float, grid: bool = True) -> str:
    """Ticks and their numbers below a chart, lines up to ``top`` unless told otherwise."""
    parts = []
    for tick in x.ticks:
        if grid:
            parts.append(line(x(tick), top, x(tick), bottom, "grid"))
        parts.append(text(x(tick), bottom + 15, tick_label(tick), "tick middle"))
    return "".join(parts)


def y_axis(y: Axis, left: float, right: float) -> str:
    """Ticks and their numbers at the left, lines up to ``right``."""
    return "".join(
        line(left, y(tick), right, y(tick), "grid")
        + text(left - 6, y(tick) + 4, tick_label(tick), "tick end")
        for tick in y.ticks
    )


def frame(x: Axis, y: Axis) -> str:
    """The left and lower edge of a chart."""
    a, b, c, d = px(x.start), px(x.stop), px(y.stop), px(y.start)
    return f'<path class="edge" d="M{a} {c}V{d}H{b}"/>'


def tick_label(value: float) -> str:
    """A tick's number."""
    return f"{value:,.6g}".replace("-", "−") if value else "0"


def picture(width: float, height: float, title: str, parts: Sequence[str]) -> Markup:
    """The whole chart; its title is what a screen reader says."""
    box = f"0 0 {px(width)} {px(height)}"
    return Markup(
        f'<svg viewBox="{box}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line of a class."""
    return f'<path class="{kind}" d="M{px(x1)} {px(y1)}L{px(x2)} {px(y2)}"/>'


def dot(x: float, y: float, radius: float, kind: str = "", tip: str = "") -> str:
    """A round mark, with a tooltip."""
    kind = f' class="{kind}"' if kind else ""
    tip = f"<title>{escape(tip)}</title>" if tip else ""
    return f'<circle{kind} cx="{px(x)}" cy="{px(y)}" r="{px(radius)}">{tip}</circle>'


def rect(x: float, y: float, width: float, height: float, kind: str, tip: str = "") -> str:
    """A box, from its upper left corner, with a tooltip."""
    tip = f"<title>{escape(tip)}</title>" if tip else ""
    size = f'width="{px(width)}" height="{px(height)}"'
    return f'<rect class="{kind}" x="{px(x)}" y="{px(y)}" {size}>{tip}</rect>'


def cell(x: float, y: float, size: float, share: float, tip: str) -> str:
    """A square whose shade grows with a share from 0 to 1."""
    box = f'x="{px(x)}" y="{px(y)}" width="{px(size)}" height="{px(size)}"'
    opacity = f"{0.06 + 0.86 * share:.2f}"
    return f'<rect class="cell" {box} fill-opacity="{opacity}"><title>{escape(tip)}</title></rect>'


def text(x: float, y: float, text: str, kind: str, full: str = "") -> str:
    """Words of a class at a point; ``full`` is their tooltip where they were cut."""
    title = f"<title>{escape(full)}</title>" if full and full != text else ""
    return f'<text class="{kind}" x="{px(x)}" y="{px(y)}">{escape(text)}{title}</text>'


def side(x: float, y: float, text: str) -> str:
    """Text that reads upwards, for a vertical axis."""
    return (
        f'<text class="small middle" transform="translate({px(x)} {px(y)}) rotate(-90)">'
        f"{escape(text)}</text>"
    )


def short(text: str, letters: int) -> str:
    """Text cut to so many letters."""
    return text if len(text) <= letters else text[: letters - 1] + "…"


def px(value: float) -> str:
    """A pixel position with one decimal at most."""
    return f"{value:.1f}".removesuffix(".0")
