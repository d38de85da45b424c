"""What flows through affectflow: utterances in, features out.

Both are frozen dataclasses that refuse bad shapes when they are made, so that no later file
has to check again. Everything here is plain numpy; pandas is imported only to show or convert.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .errors import BadInput
from .mapped import MappedRows

if TYPE_CHECKING:
    import pandas as pd

Array = npt.NDArray[Any]
#: Bytes of a table's values that are looked at at once, whatever the size of the table.
BLOCK = 16 << 20
#: Name of a node's main array, the one that trainers read unless told otherwise.
MAIN = "values"


@dataclass(frozen=True)
class Utterance:
    """One thing that somebody said: where it lies, what was said, how it was labelled.

    Args:
        id: name within the corpus, usually ``video/clip``; any text without a line break.
        media: path of the media file, or None where there is only text.
        start: first second of the segment inside the file; None: from the beginning.
        end: second at which the segment stops (half open); None: to the end.
        text: transcript; empty where there is none.
        split: ``train``, ``valid``, ``test``, or empty.
        labels: task name (``M``, ``T``, ``AV``, ``valence`` ...) to value; a missing label is
            absent or NaN, never 0.
    """

    id: str
    media: str | None = None
    start: float | None = None
    end: float | None = None
    text: str = ""
    speaker: str = ""
    language: str = ""
    dialogue: str = ""
    turn: int | None = None
    split: str = ""
    labels: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.id or "\n" in self.id or "\r" in self.id:
            raise BadInput(f"an utterance needs an id of one line, got {self.id!r}")
        if self.start is not None and not self.start >= 0:
            raise BadInput(f"utterance '{self.id}': start must be >= 0 s, not {self.start!r}")
        if self.end is not None and not self.end > (self.start or 0.0):
            raise BadInput(
                f"utterance '{self.id}': end ({self.end!r} s) must come after "
                f"start ({self.start or 0.0!r} s)"
            )


@dataclass(frozen=True)
class ArraySpec:
    """What one named array of a node looks like, promised before anything is computed.

    Args:
        shape: shape of one row; ``(33,)`` for 33 columns a frame.
        dtype: dtype it is stored in (values are cast to it before anybody sees them).
        columns: a name for each column where rows are one-dimensional; may be empty.
        hop: seconds from row to row where rows are regular; None where they are not.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    columns: tuple[str, ...] = ()
    hop: float | None = None

    def __post_init__(self) -> None:
        if self.columns and self.shape != (len(self.columns),):
            raise BadInput(
                f"{len(self.columns)} column names do not fit rows of shape {self.shape}"
            )


#: A node's named arrays; the one called ``values`` is its main one.
FeatureSpec = Mapping[str, ArraySpec]


def frame_times(n: int, hop: float, width: float | None = None, start: float = 0.0) -> Array:
    """Start and end in seconds, (n, 2) float64, of n regular frames: ``start + i * hop``."""
    times = np.empty((n, 2))
    times[:, 0] = start + np.arange(n) * hop
    times[:, 1] = times[:, 0] + (hop if width is None else width)
    return times


def no_times(n: int) -> Array:
    """Times of rows that have none, (n, 2) NaN: words of a transcript that was not aligned."""
    return np.full((n, 2), np.nan)


@dataclass(frozen=True, eq=False)
class Features:
    """One utterance's rows of one node, each with its time and whether it is real.

    Args:
        values: (n_rows, ...) array; what it means is said by the extractor.
        times: (n_rows, 2) float64, start and end of each row in seconds from the start of the
            utterance, half open; NaN where a row has no time.
        columns: a name for each column of two-dimensional values; may be empty.
        mask: (n_rows,) bool, True on rows that hold a measurement; default all True. A frame
            without a face is a masked row.
        more: further named arrays of the same node (boxes, spans), themselves without ``more``.

    Raises:
        BadInput: the shapes do not fit each other.
    """

    values: Array
    times: Array
    columns: tuple[str, ...] = ()
    mask: Array = None  # type: ignore[assignment]  # filled in below, never None afterwards
    more: Mapping[str, Features] = field(default_factory=dict)

    def __post_init__(self) -> None:
        values = np.asarray(self.values)
        times = np.asarray(self.times, np.float64)
        n = len(values) if values.ndim else -1
        mask = np.ones(max(n, 0), bool) if self.mask is None else np.asarray(self.mask, bool)
        columns = tuple(self.columns)
        if values.ndim < 2:
            raise BadInput(f"values must have rows and columns, got shape {values.shape}")
        if values.dtype.kind not in "fiub":
            raise BadInput(f"values must be numbers, got dtype {values.dtype}")
        if times.shape != (n, 2):
            raise BadInput(f"{n} rows need times of shape ({n}, 2), got {times.shape}")
        if mask.shape != (n,):
            raise BadInput(f"{n} rows need a mask of shape ({n},), got {mask.shape}")
        if columns and values.shape[1:] != (len(columns),):
            raise BadInput(f"{len(columns)} column names do not fit values of {values.shape}")
        if (times[:, 1] < times[:, 0]).any():
            raise BadInput("a row ends before it starts")
        for name, part in self.more.items():
            if name == MAIN or part.more:
                raise BadInput(f"array '{name}' cannot stand inside features of one node")
        for name, value in (("values", values), ("times", times), ("mask", mask)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "columns", columns)

    def __len__(self) -> int:
        return len(self.values)

    def arrays(self) -> dict[str, Features]:
        """Every named array, the main one first under ``values``."""
        main = Features(self.values, self.times, self.columns, self.mask) if self.more else self
        return {MAIN: main, **self.more}

    def __getitem__(self, name: str) -> Features:
        return self.arrays()[name]

    def cast(self, spec: FeatureSpec) -> Features:
        """Bring every array to the dtype and columns it was promised in; check the row shape.

        This happens before anything downstream reads them, so that what was computed a moment
        ago and what was read from the cache are the same bits.

        Raises:
            BadInput: an array is missing, unexpected, of another row shape, does not fit the
                promised dtype (a finite value that would become infinite), or holds NaN or an
                infinity in a row that the mask calls real.
        """
        arrays = self.arrays()
        if set(arrays) != set(spec):
            raise BadInput(f"promised arrays {sorted(spec)}, got {sorted(arrays)}")
        done = {name: _cast(name, arrays[name], spec[name]) for name in arrays}
        main = done.pop(MAIN)
        if main is self:
            return self
        return Features(main.values, main.times, main.columns, main.mask, done)

    def to_frame(self) -> pd.DataFrame:
        """As a pandas table: one row a frame, indexed by start and end in seconds."""
        import pandas as pd

        flat = self.values.reshape(len(self), math.prod(self.values.shape[1:]))
        names = self.columns or tuple(str(i) for i in range(flat.shape[1]))
        index = pd.MultiIndex.from_arrays(
            [self.times[:, 0], self.times[:, 1]], names=["start", "end"]
        )
        table = pd.DataFrame(flat, index=index, columns=list(names))
        return table.assign(mask=self.mask)

    def to_xarray(self) -> Any:
        """As an ``xarray.DataArray`` with dims ``time`` and ``column`` (needs xarray)."""
        try:
            import xarray
        except ImportError as error:
            raise BadInput(
                "to_xarray needs the package 'xarray': pip install 'affectflow[notebook]'"
            ) from error
        flat = self.values.reshape(len(self), math.prod(self.values.shape[1:]))
        coords: dict[str, Any] = {
            "time": self.times[:, 0],
            "end": ("time", self.times[:, 1]),
            "mask": ("time", self.mask),
            "column": list(self.columns) or list(range(flat.shape[1])),
        }
        return xarray.DataArray(flat, dims=("time", "column"), coords=coords)

    def __repr__(self) -> str:
        more = f"; also {', '.join(self.more)}" if self.more else ""
        return (
            f"Features: {len(self)} rows of {self.values.shape[1:]} {self.values.dtype}, "
            f"{int(self.mask.sum())} unmasked, {_span(self.times)}{more}"
        )

    def _repr_html_(self) -> str:
        parts = "".join(
            f"<li><code>{html.escape(name)}</code>: {part.values.shape} {part.values.dtype}</li>"
            for name, part in self.more.items()
        )
        table = self.to_frame().head(5).to_html(float_format=lambda x: f"{x:.4g}", max_cols=12)
        head = html.escape(repr(self))
        return f"<p><b>{head}</b></p>{table}" + (f"<ul>{parts}</ul>" if parts else "")


def _span(times: Array) -> str:
    if not len(times) or np.all(np.isnan(times)):
        return "no times"
    return f"{np.nanmin(times):.3g} to {np.nanmax(times):.3g} s"


def _check_finite(name: str, part: Features, columns: Sequence[str]) -> None:
    finite = np.isfinite(part.values)
    if finite.all():
        return
    bad = ~finite & part.mask.reshape(-1, *[1] * (part.values.ndim - 1))
    if not bad.any():
        return
    row, *place = (int(i) for i in np.argwhere(bad)[0])
    column = f"'{columns[place[0]]}'" if columns else ", ".join(map(str, place))
    raise BadInput(
        f"array '{name}': {int(bad.sum())} values of real rows are not finite, the first "
        f"{part.values[(row, *place)]} in column {column} of row {row}, "
        f"which starts at {part.times[row, 0]:g} s"
    )


def _cast(name: str, part: Features, spec: ArraySpec) -> Features:
    if part.values.shape[1:] != spec.shape:
        raise BadInput(
            f"array '{name}': rows of {spec.shape} promised, got {part.values.shape[1:]}"
        )
    if part.values.dtype.kind == "f":
        _check_finite(name, part, spec.columns)
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(part.values, np.dtype(spec.dtype))
    if values is part.values and part.columns == spec.columns:
        return part
    if values.dtype.kind == "f" and part.values.dtype.kind == "f":
        lost = np.isfinite(part.values) & ~np.isfinite(values)
        if lost.any():
            raise BadInput(
                f"array '{name}': {int(lost.sum())} values pass the range of {spec.dtype} "
                f"(largest: {np.abs(part.values[lost]).max():g}); store it as float32"
            )
    return Features(values, part.times, spec.columns, part.mask)


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """One array of one node for many utterances: ragged rows, one after another.

    Args:
        ids: the n utterances, in order.
        values: (n_rows, ...) rows of all utterances: an array, or ``MappedRows`` that stay on the
            disk.
        offsets: (n + 1,) int64; utterance i owns rows ``offsets[i]:offsets[i + 1]``.
        mask: (n_rows,) bool, True on real rows.
        times: (n_rows, 2) float64 seconds.
        columns: names of the columns; may be empty.

    An utterance whose features could not be made has no rows; ``present`` says which have.
    """

    ids: tuple[str, ...]
    values: Array | MappedRows
    offsets: Array
    mask: Array
    times: Array
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.offsets) != len(self.ids) + 1 or self.offsets[-1] != len(self.values):
            raise BadInput(
                f"{len(self.ids)} utterances and {len(self.values)} rows do not fit offsets of "
                f"shape {self.offsets.shape} that end at {self.offsets[-1]}"
            )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> Array:
        """Rows of each utterance, (n,) int64, masked ones counted."""
        return np.diff(self.offsets)

    @property
    def present(self) -> Array:
        """(n,) bool: the utterance has at least one real row."""
        counts = np.concatenate([[0], np.cumsum(self.mask)])
        result: Array = (counts[self.offsets[1:]] - counts[self.offsets[:-1]]) > 0
        return result

    def __getitem__(self, i: int) -> Features:
        rows = slice(int(self.offsets[i]), int(self.offsets[i + 1]))
        return Features(self.values[rows], self.times[rows], self.columns, self.mask[rows])

    def frame(self, i: int) -> pd.DataFrame:
        """Utterance i as a pandas table."""
        return self[i].to_frame()

    def padded(self, length: int | None = None) -> tuple[Array, Array]:
        """All utterances at one length: values (n, length, ...) and mask (n, length).

        Shorter ones are filled with zeros under a False mask, longer ones keep their first rows;
        ``length=None`` is that of the longest.
        """
        longest = int(self.lengths.max(initial=0)) if length is None else length
        values = np.zeros((len(self), longest, *self.values.shape[1:]), self.values.dtype)
        mask = np.zeros((len(self), longest), bool)
        for first, last, rows in self._blocks():
            lengths = np.diff(self.offsets[first : last + 1])
            into = np.arange(longest) < np.minimum(lengths, longest)[:, None]  # (n, length)
            place = np.arange(rows.start, rows.stop) - np.repeat(self.offsets[first:last], lengths)
            kept = place < longest  # (n_rows,)
            values[first:last][into] = self.values[rows][kept]
            mask[first:last][into] = self.mask[rows][kept]
        values[~mask] = 0
        return values, mask

    def means(self) -> Array:
        """Mean over each utterance's real rows, (n, ...) float64; NaN where it has none."""
        sums = np.zeros((len(self), *self.values.shape[1:]))
        counts = np.full(len(self), np.nan)
        for first, last, rows in self._blocks():
            mask = self.mask[rows]
            lengths = np.diff(self.offsets[first : last + 1])
            owner = np.repeat(np.arange(last - first), lengths)[mask]
            np.add.at(sums[first:last], owner, self.values[rows][mask])
            n_real = np.bincount(owner, minlength=last - first)
            counts[first:last][n_real > 0] = n_real[n_real > 0]
        result: Array = sums / counts.reshape(-1, *[1] * (self.values.ndim - 1))
        return result

    def select(self, chosen: Array) -> FeatureTable:
        """Only these utterances, by number, in this order."""
        starts, lengths = self.offsets[chosen], self.lengths[chosen]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        rows = np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])
        values = self.values
        return FeatureTable(
            ids=tuple(self.ids[i] for i in chosen),
            values=values.select(chosen) if isinstance(values, MappedRows) else values[rows],
            offsets=offsets,
            mask=self.mask[rows],
            times=self.times[rows],
            columns=self.columns,
        )

    def _blocks(self) -> Iterator[tuple[int, int, slice]]:
        """Utterances ``first:last`` and their rows, some megabytes at a time."""
        row_bytes = max(1, math.prod(self.values.shape[1:]) * self.values.dtype.itemsize)
        first = 0
        while first < len(self):
            limit = int(self.offsets[first]) + BLOCK // row_bytes
            last = max(first + 1, int(self.offsets.searchsorted(limit, "right")) - 1)
            yield first, last, slice(int(self.offsets[first]), int(self.offsets[last]))
            first = last

    def __repr__(self) -> str:
        return (
            f"FeatureTable: {len(self)} utterances ({int(self.present.sum())} present), "
            f"{len(self.values)} rows of {self.values.shape[1:]} {self.values.dtype}"
        )

    def _repr_html_(self) -> str:
        return f"<p><b>{html.escape(repr(self))}</b></p>"


def concat(ids: Sequence[str], parts: Sequence[Features | None], like: ArraySpec) -> FeatureTable:
    """Join utterances' rows into one table; None stands for an utterance without features."""
    empty = np.empty((0, *like.shape), np.dtype(like.dtype))
    values = [empty if part is None else part.values for part in parts]
    offsets = np.concatenate([[0], np.cumsum([len(v) for v in values])]).astype(np.int64)
    return FeatureTable(
        ids=tuple(ids),
        values=np.concatenate([empty, *values]),
        offsets=offsets,
        mask=np.concatenate([np.empty(0, bool), *[p.mask for p in parts if p is not None]]),
        times=np.concatenate([np.empty((0, 2)), *[p.times for p in parts if p is not None]]),
        columns=like.columns,
    )
