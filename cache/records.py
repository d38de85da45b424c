"""What flows through affectflow: utterances in, features out.

Both are frozen dataclasses that refuse bad shapes when they are made, so that no later file
has to check again. Everything here is plain numpy; pandas is imported only to show or convert.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

Array = npt.NDArray[Any]
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
        emotion: its class, or several parted by ``;``; ``none``: none of the corpus' classes;
            empty: there is no label.
        polarity: ``negative``, ``neutral`` or ``positive``; empty: there is no label.
        corpus: of several that were joined, the name of the one that it is from; else empty.
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
    emotion: str = ""
    polarity: str = ""
    corpus: str = ""

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
