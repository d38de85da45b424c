"""Charts of what a model looks at and how it sees utterances: clouds of points, attention maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from ...cache.records import Array
from . import svg

#: Rows and columns of a drawn map at most; longer ones are averaged in blocks.
CELLS = (28, 40)
#: Shades of a map; the lightest is not drawn.
SHADES = 8


def cloud(title: str, places: Array, groups: Array, names: Sequence[str]) -> Markup:
    """Points in the plane (n, 2), a path for each group: classes ``g0``, ``g1`` and so on."""
    size, edge = 300, 8
    low, high = places.min(axis=0), places.max(axis=0)
    pixels = edge + (places - low) / np.maximum(high - low, 1e-12) * (size - 2 * edge)
    parts = [svg.rect(0.5, 0.5, size - 1, size - 1, "plane")]
    for k in range(len(names)):
        own = pixels[groups == k]
        path = "".join(f"M{svg.px(x)} {svg.px(size - y)}h0" for x, y in own)
        if path:
            parts.append(f'<path class="cloud g{k % 8}" d="{path}"/>')
    said = ", ".join(f"{int((groups == k).sum())} {name}" for k, name in enumerate(names))
    return svg.picture(size, size, f"{title}: {said}. {_apart(places, groups, names)}", parts)


def _apart(places: Array, groups: Array, names: Sequence[str]) -> str:
    """In words, how well neighbours agree: all that a picture of points says."""
    if len(places) < 2:
        return ""
    far = np.square(places[:, None] - places[None]).sum(axis=2)
    np.fill_diagonal(far, np.inf)
    same = float((groups[far.argmin(axis=1)] == groups).mean())
    chance = float(sum(np.square((groups == k).mean()) for k in range(len(names))))
    return (
        f"The nearest neighbour of {100 * same:.0f} % is of the same group, "
        f"{100 * chance:.0f} % by chance"
    )


def heat(title: str, weights: Array) -> Markup:
    """Attention weights (T, U), rows downwards; shades are relative to the largest weight."""
    small = shrunk(weights, CELLS)
    rows, columns = small.shape
    left, top, width = 22, 2, 300
    across, tall = (width - left - 2) / columns, min(22.0, 200 / rows)
    bottom = top + rows * tall
    level = np.ceil(small / max(float(small.max()), 1e-12) * SHADES).astype(int) - 1
    parts = []
    for shade in range(1, SHADES):
        path = "".join(
            f"M{svg.px(left + start * across)} {svg.px(top + (i + 0.5) * tall)}"
            f"h{svg.px((stop - start) * across)}"
            for i in range(rows)
            for start, stop in runs(level[i] == shade)
        )
        if path:
            opacity = f"{(shade + 1) / SHADES:.2f}"
            parts.append(
                f'<path class="heat" stroke-width="{svg.px(tall)}" stroke-opacity="{opacity}" '
                f'd="{path}"/>'
            )
    parts.append(svg.rect(left, top, width - left - 2, bottom - top, "plane"))
    n_rows, n_columns = weights.shape
    parts.append(svg.side(12, max((top + bottom) / 2, top + 24), f"{n_rows} rows"))
    parts.append(svg.text((left + width) / 2, bottom + 15, f"{n_columns} rows", "small middle"))
    most = int(weights.mean(axis=0).argmax()) + 1
    said = f"{title}: {n_rows} rows look at {n_columns}; most at row {most} of these"
    return svg.picture(width, bottom + 20, said, parts)


def shrunk(values: Array, limits: tuple[int, int]) -> Array:
    """A map averaged in blocks, so that it has at most so many rows and columns."""
    for axis, limit in enumerate(limits):
        n = values.shape[axis]
        if n > limit:
            starts = np.arange(limit) * n // limit
            sums = np.add.reduceat(values, starts, axis=axis)
            counts = np.diff([*starts, n])
            values = sums / (counts[:, None] if axis == 0 else counts)
    return values


def runs(there: Array) -> list[tuple[int, int]]:
    """Stretches of True, as (first, one after the last)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], there, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
