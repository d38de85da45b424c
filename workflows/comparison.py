"""Does a new extraction match an old one? Agreement of two feature sets, column by column."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..cache.errors import BadCall, BadInput, unknown
from ..cache.records import Array, Features
from .agreement import Agreement, agreement

#: Seconds by which two distances may differ and still be the same.
SAME_TIME = 1e-6
#: Names and letters of a name that a message shows.
MANY, LONG = 8, 40


@dataclass(frozen=True)
class FeatureSet:
    """Features of some utterances, with named columns.

    Args:
        name: what the user calls it.
        parts: utterance id -> features; a file that knows no utterances has one part, ``""``.
        columns: names of the columns, the same for all parts.
    """

    name: str
    parts: Mapping[str, Features]
    columns: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Agreement of two feature sets.

    Args:
        a: name of the first set.
        b: name of the second one, to which errors are relative.
        columns: one a shared column, in the order of A.
        only_a: columns that only A has.
        only_b: columns that only B has.
        utterances: how many are in both, only in A, only in B.
        rows: how many were compared; unmasked rows of A and of B in utterances that both have.
        by_number: utterances whose rows were matched by their number, for want of times.
        where: column of B that was greater than 0 in all compared rows; empty: no such condition.
    """

    a: str
    b: str
    columns: tuple[Agreement, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    utterances: tuple[int, int, int]
    rows: tuple[int, int, int]
    by_number: int = 0
    where: str = ""

    @property
    def least(self) -> tuple[Agreement, ...]:
        """Up to three columns that differ, those with the lowest correlation, the lowest first."""
        known = [c for c in self.columns if np.isfinite(c.correlation) and c.most > 0]
        return tuple(sorted(known, key=lambda column: column.correlation)[:3])


def compare(
    a: FeatureSet, b: FeatureSet, circular: Sequence[str] = (), where: str = ""
) -> Comparison:
    """Compare the columns that two feature sets share, row by row.

    Rows belong together where the middles of their times lie nearest to each other, at most half
    a row apart; where rows have no times, by their number. Of two equally near the earlier counts,
    so that tables which give the starts of rows match those which give both ends.

    Args:
        a: the first set.
        b: the second one, to which errors are relative.
        circular: patterns (``HMPDM_*``) of columns that hold angles in rad.
        where: only rows in which this column of B is greater than 0 (``VUV``: voiced rows).

    Raises:
        BadInput: they share no utterance, no column or no row.
        UnknownName: B has no column ``where``.
        BadCall: a pattern fits no shared column.
    """
    if set(a.parts) == {""} != set(b.parts) and len(b.parts) == 1:
        b = FeatureSet(b.name, {"": next(iter(b.parts.values()))}, b.columns)
    if set(b.parts) == {""} != set(a.parts) and len(a.parts) == 1:
        a = FeatureSet(a.name, {"": next(iter(a.parts.values()))}, a.columns)
    names = [name for name in a.columns if name in b.columns]
    common = [part for part in a.parts if part in b.parts]
    if not names:
        raise BadInput(
            f"'{a.name}' and '{b.name}' share no column: the first has {listed(a.columns)}, "
            f"the second {listed(b.columns)}"
        )
    if not common:
        raise BadInput(
            f"'{a.name}' and '{b.name}' share no utterance: the first has {_ids(a)}, "
            f"the second {_ids(b)}"
        )
    angles = _matching(circular, names)
    first, second, counts = _joined(a, b, common, names, where)
    if not len(first):
        raise BadInput(_no_row(a, b, counts, where))
    return Comparison(
        a.name,
        b.name,
        tuple(
            agreement(name, name in angles, x, y)
            for name, x, y in zip(names, first.T, second.T, strict=True)
        ),
        tuple(name for name in a.columns if name not in b.columns),
        tuple(name for name in b.columns if name not in a.columns),
        (len(common), len(a.parts) - len(common), len(b.parts) - len(common)),
        (len(first), *counts),
        sum(not _timed(a.parts[part], b.parts[part]) for part in common),
        where,
    )


def _no_row(a: FeatureSet, b: FeatureSet, counts: tuple[int, int], where: str) -> str:
    begin = f"'{a.name}' and '{b.name}' share no row"
    if not counts[0]:
        return f"{begin}: the first has none that is not masked"
    if not counts[1]:
        return f"{begin}: the second has none that is not masked" + (
            f" and has '{where}' greater than 0" if where else ""
        )
    return f"{begin}: their times lie nowhere together"


def pairs(a: Features, b: Features) -> tuple[Array, Array]:
    """Numbers of the rows of A and of B that belong together, both (n,).

    Rows may stand in any order. Where others have a time, one without belongs to none.

    Raises:
        BadInput: rows have no times, and there are not as many in both.
    """
    if not len(a) or not len(b):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    if not _timed(a, b):
        if len(a) != len(b):
            raise BadInput(
                f"{len(a)} and {len(b)} rows, and no times to tell which belong together"
            )
        rows = np.arange(len(a))
        return rows, rows
    (our_rows, ours), (their_rows, theirs) = _by_time(a), _by_time(b)
    hops = [np.median(np.diff(times)) for times in (ours, theirs) if len(times) > 1]
    after = np.clip(np.searchsorted(theirs, ours), 1, max(len(theirs) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(theirs) - 1)
    nearer = np.abs(theirs[before] - ours) <= np.abs(theirs[after] - ours) + SAME_TIME
    nearest = np.where(nearer, before, after)
    reach = min(hops, default=np.inf) / 2 + SAME_TIME
    found = np.abs(theirs[nearest] - ours) <= reach
    return our_rows[found], their_rows[nearest[found]]


def _timed(a: Features, b: Features) -> bool:
    """Both have rows with times, or one has no rows at all."""
    return all(not len(part) or bool(np.isfinite(part.times).all(axis=1).any()) for part in (a, b))


def _by_time(part: Features) -> tuple[Array, Array]:
    """Numbers of the rows with times, in the order of their middles, and these in s; (n,) each."""
    middles = part.times.mean(axis=1)
    order = np.argsort(middles, kind="stable")
    order = order[np.isfinite(middles[order])]
    return order, middles[order]


def _joined(
    a: FeatureSet, b: FeatureSet, common: Sequence[str], names: Sequence[str], where: str
) -> tuple[Array, Array, tuple[int, int]]:
    """Rows of all utterances that belong together, (n, n_names) of A and B; real rows of each."""
    if where and where not in b.columns:
        raise unknown(f"column of '{b.name}'", where, b.columns)
    of_a = [a.columns.index(name) for name in names]
    of_b = [b.columns.index(name) for name in names]
    firsts, seconds, counts = [], [], [0, 0]
    for part in common:
        one, two = a.parts[part], b.parts[part]
        try:
            rows, others = pairs(one, two)
        except BadInput as error:
            raise BadInput(f"utterance '{part}': {error}" if part else str(error)) from error
        real = one.mask[rows] & two.mask[others]
        wanted = two.mask.copy()
        if where:
            wanted &= two.values[:, b.columns.index(where)] > 0
            real &= wanted[others]
        counts[0] += int(one.mask.sum())
        counts[1] += int(wanted.sum())
        firsts.append(np.asarray(one.values[rows[real]], np.float64)[:, of_a])
        seconds.append(np.asarray(two.values[others[real]], np.float64)[:, of_b])
    return np.concatenate(firsts), np.concatenate(seconds), (counts[0], counts[1])


def _matching(patterns: Sequence[str], names: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for pattern in patterns:
        fitting = fnmatch.filter(names, pattern)
        if not fitting:
            raise BadCall(f"no shared column is called '{pattern}': there are {listed(names)}")
        found.update(fitting)
    return found


def _ids(of: FeatureSet) -> str:
    if set(of.parts) == {""}:
        return "no ids (choose one of the other's utterances with --utterance)"
    return listed(of.parts)


def listed(names: Iterable[object]) -> str:
    """The first names of many, in quotes, long ones cut: ``'F0', 'VUV', 72 more``."""
    words = [str(name) for name in names]
    shown = [f"'{word if len(word) <= LONG else word[:LONG] + '...'}'" for word in words]
    if len(shown) > MANY:
        shown = [*shown[:MANY], f"{len(shown) - MANY} more"]
    return ", ".join(shown) or "none"
