"""Every metric as a function of sums over utterances, so that a thousand samples are one product.

What an utterance adds to the sums is its part: an absolute error and a 1 for a mean, products for a
correlation, hits and misses for F1. The values are those of ``metrics`` and ``class_metrics``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .metrics import SIMS_3, SIMS_5, SIMS_WEAK, mosi_classes, sims_bins
from .targets import Target

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Tally:
    """A metric of S seeds over n utterances.

    Args:
        parts: (S, n, k) what each utterance adds.
        finish: sums (..., k) to scores (...); NaN where they are undefined.
        errors: (n,) where the metric is a mean over utterances: how wrong each one is, averaged
            over seeds, NaN where the metric does not look at it; else None. Less is better.
    """

    parts: Array
    finish: Callable[[Array], Array]
    errors: Array | None = None

    @property
    def scores(self) -> Array:
        """Score of each seed, (S,)."""
        return self.finish(self.parts.sum(axis=1))


def tallies(target: Target, family: str, p: Array, y: Array) -> dict[str, Tally]:
    """All metrics of a task by name, those that ``outcome.target_scores`` gives.

    Args:
        target: the task.
        family: of the corpus, for its sentiment labels.
        p: (S, n, size) predictions: a value, or the probability of each class.
        y: (n, size) truth, without gaps.
    """
    if target.kind == "class":
        return _one_class(p.argmax(axis=2), y.argmax(axis=1), target.names)
    if target.kind == "several":
        return _several(p > 0.5, y > 0.5, target.names)
    p, y = np.asarray(p, np.float32)[..., 0], np.asarray(y, np.float32)[:, 0]
    if not target.is_sentiment:
        return _dimension(p, y)
    return {"sims": _sims, "mosi": _mosi, "mag": _mag}[family](p, y)


def _sims(p: Array, y: Array) -> dict[str, Tally]:
    p, y = (np.clip(v, np.float32(-1), np.float32(1)) for v in (p, y))
    weak = np.abs(y) <= np.float32(SIMS_WEAK)
    return {
        "MAE": _mae(p, y),
        "Corr": _moments(p, y, _corr),
        "Acc2": _accuracy(p > 0, y > 0),
        "Acc3": _accuracy(sims_bins(p, SIMS_3), sims_bins(y, SIMS_3)),
        "Acc5": _accuracy(sims_bins(p, SIMS_5), sims_bins(y, SIMS_5)),
        "Acc2_weak": _accuracy(p > 0, y > 0, weak),
        **_both_f1("", p > 0, y > 0),
    }


def _mosi(p: Array, y: Array) -> dict[str, Tally]:
    kept = y != 0
    return {
        "MAE": _mae(p, y),
        "Corr": _moments(p, y, _corr),
        "Acc7": _accuracy(mosi_classes(p, 3), mosi_classes(y, 3)),
        "Acc5": _accuracy(mosi_classes(p, 2), mosi_classes(y, 2)),
        "Acc2_has0": _accuracy(p >= 0, y >= 0),
        "Acc2_non0": _accuracy(p > 0, y > 0, kept),
        **_both_f1("_has0", p >= 0, y >= 0),
        **_both_f1("_non0", p > 0, y > 0, kept),
    }


def _mag(p: Array, y: Array) -> dict[str, Tally]:
    kept = y != 0
    return {
        "MAE": _mae(p, y, kept),
        "Corr": _moments(p, y, _corr, kept),
        "Acc7": _accuracy(mosi_classes(p, 3), mosi_classes(y, 3), kept),
        "Acc2": _accuracy(p >= 0, y >= 0, kept),
        **_both_f1("", p >= 0, y >= 0, kept),
    }


def _dimension(p: Array, y: Array) -> dict[str, Tally]:
    return {
        "CCC": _moments(p, y, _ccc),
        "MAE": _mae(p, y),
        "Corr": _moments(p, y, _corr),
        "R2": _moments(p, y, _r2),
    }


def _one_class(guess: Array, true: Array, names: tuple[str, ...]) -> dict[str, Tally]:
    hot = np.arange(len(names))
    parts = _cells(guess[..., None] == hot, true[:, None] == hot)
    found = {"Acc": _accuracy(guess, true), "F1": Tally(parts, _of_cells(_f1_by_truth))}
    found["MacroF1"] = Tally(parts, lambda sums: _mean_of(_f1(_grid(sums))))
    found["UAR"] = Tally(parts, lambda sums: _mean_of(_recall(_grid(sums))))
    for k, name in enumerate(names):
        found[f"F1_{name}"] = Tally(parts[..., 4 * k : 4 * k + 4], _of_cells(_only(_f1)))
    return found


def _several(guess: Array, true: Array, names: tuple[str, ...]) -> dict[str, Tally]:
    parts = _cells(guess, true)
    found = {
        "Acc": _mean((guess == true).mean(axis=2), None, better=1),
        "WA": Tally(parts, lambda sums: _mean_of(_weighted_accuracy(_grid(sums)))),
        "F1": Tally(parts, lambda sums: _mean_of(_two_sided_f1(_grid(sums)))),
    }
    for prefix, value in (("WA", _weighted_accuracy), ("F1", _two_sided_f1)):
        for k, name in enumerate(names):
            own = parts[..., 4 * k : 4 * k + 4]
            found[f"{prefix}_{name}"] = Tally(own, _of_cells(_only(value)))
    return found


def _mae(p: Array, y: Array, kept: Array | None = None) -> Tally:
    return _mean(np.abs(p.astype(np.float64) - y), kept, better=-1)


def _accuracy(guess: Array, true: Array, kept: Array | None = None) -> Tally:
    return _mean((guess == true).astype(np.float64), kept, better=1)


def _mean(values: Array, kept: Array | None, better: int) -> Tally:
    """The mean of (S, n) over the rows that are kept; an error is its opposite where more is good.

    ``better`` is 1 where a larger value is the better one, else -1.
    """
    kept = np.ones(values.shape[1], bool) if kept is None else kept
    parts = np.stack([values * kept, np.broadcast_to(kept, values.shape)], axis=2)
    errors = np.where(kept, -better * values.mean(axis=0) + (better > 0), np.nan)
    return Tally(parts, lambda sums: _share(sums[..., 0], sums[..., 1]), errors)


def _moments(
    p: Array, y: Array, finish: Callable[[Array], Array], kept: Array | None = None
) -> Tally:
    """Sums of 1, p, y, p^2, y^2, p y; both less the mean of the truth, so that little is lost."""
    kept = np.ones(len(y), bool) if kept is None else kept
    middle = y[kept].mean(dtype=np.float64) if kept.any() else 0.0
    a, b = p.astype(np.float64) - middle, np.broadcast_to(y.astype(np.float64) - middle, p.shape)
    parts = np.stack([np.ones_like(a), a, b, a * a, b * b, a * b], axis=2) * kept[:, None]
    return Tally(parts, finish)


def _central(sums: Array) -> tuple[Array, Array, Array, Array, Array]:
    """n, difference of means, and population var(p), var(y), cov(p, y); 0 where rounding is all."""
    n, p, y, pp, yy, py = np.moveaxis(sums, -1, 0)
    n = np.where(n > 0, n, np.nan)
    p, y = p / n, y / n
    spread_p, spread_y = pp / n - p * p, yy / n - y * y
    spread_p = np.where(spread_p > 1e-12 * pp / n, spread_p, 0.0)
    spread_y = np.where(spread_y > 1e-12 * yy / n, spread_y, 0.0)
    return n, p - y, spread_p, spread_y, py / n - p * y


def _corr(sums: Array) -> Array:
    _, _, p, y, both = _central(sums)
    return np.clip(_share(both, np.sqrt(p * y)), -1.0, 1.0)


def _ccc(sums: Array) -> Array:
    _, apart, p, y, both = _central(sums)
    return _share(2 * both, p + y + apart**2)


def _r2(sums: Array) -> Array:
    _, apart, p, y, both = _central(sums)
    missed = p + y - 2 * both + apart**2
    return 1 - _share(missed, y)


def _both_f1(suffix: str, guess: Array, true: Array, kept: Array | None = None) -> dict[str, Tally]:
    kept = np.ones(len(true), bool) if kept is None else kept
    both = np.array([False, True])
    parts = _cells(guess[..., None] == both, true[:, None] == both) * kept[:, None]
    return {
        f"F1{suffix}": Tally(parts, _of_cells(_f1_by_truth)),
        f"F1_predweighted{suffix}": Tally(parts, _of_cells(_f1_by_guess)),
    }


def _cells(guess: Array, true: Array) -> Array:
    """Hits, false alarms, misses, right rejections of each class: bool (S, n, C) to (S, n, 4 C)."""
    cells = np.stack([guess & true, guess & ~true, ~guess & true, ~guess & ~true], axis=-1)
    return cells.reshape(*guess.shape[:2], -1).astype(np.float64)


def _grid(sums: Array) -> Array:
    return sums.reshape(*sums.shape[:-1], -1, 4)


def _of_cells(value: Callable[[Array], Array]) -> Callable[[Array], Array]:
    return lambda sums: value(_grid(sums))


def _only(value: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """The value of a single class."""
    return lambda cells: value(cells)[..., 0]


def _f1(cells: Array) -> Array:
    """F1 of each class, (..., C, 4) to (..., C); NaN where it is neither true nor predicted."""
    hit, alarm, miss, _ = np.moveaxis(cells, -1, 0)
    return _share(2 * hit, 2 * hit + alarm + miss)


def _recall(cells: Array) -> Array:
    return _share(cells[..., 0], cells[..., 0] + cells[..., 2])


def _f1_by_truth(cells: Array) -> Array:
    return _weighted(_f1(cells), cells[..., 0] + cells[..., 2])


def _f1_by_guess(cells: Array) -> Array:
    return _weighted(_f1(cells), cells[..., 0] + cells[..., 1])


def _two_sided_f1(cells: Array) -> Array:
    """F1 of having a class and of not having it, weighted by how often each is true."""
    hit, alarm, miss, right = np.moveaxis(cells, -1, 0)
    sides = np.stack([cells, np.stack([right, miss, alarm, hit], axis=-1)], axis=-2)
    return _f1_by_truth(sides)


def _weighted_accuracy(cells: Array) -> Array:
    hit, alarm, miss, right = np.moveaxis(cells, -1, 0)
    sides = [_share(hit, hit + miss), _share(right, right + alarm)]
    return _mean_of(np.stack(sides, axis=-1))


def _weighted(values: Array, weights: Array) -> Array:
    return _share((np.nan_to_num(values) * weights).sum(axis=-1), weights.sum(axis=-1))


def _mean_of(values: Array) -> Array:
    """Mean over the last axis of what is defined there; NaN where nothing is."""
    known = np.isfinite(values)
    return _share(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1))


def _share(top: Array, bottom: Array) -> Array:
    """Top / bottom; NaN where the bottom is 0."""
    top, bottom = np.broadcast_arrays(np.asarray(top, np.float64), np.asarray(bottom, np.float64))
    out = np.full(top.shape, np.nan)
    np.divide(top, bottom, out=out, where=bottom > 0)
    return out
