"""The columns of a corpus: their names, types, and how values that came from anywhere fit them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .errors import BadInput, unknown
from .keys import canonical
from .labels import CLASSES, DIMENSIONS, SENTIMENT, names_of
from .validation import SHOWN, count, listing, show

if TYPE_CHECKING:
    import pandas as pd

    from .records import Array, Utterance

#: Fields of an utterance, in the order of its constructor.
COLUMNS = (
    "id",
    "media",
    "start",
    "end",
    "text",
    "speaker",
    "language",
    "dialogue",
    "turn",
    "split",
)
#: The column that tells apart corpora which were joined; in a corpus of its own it is not there.
CORPUS = "corpus"
#: Columns that are text; the others are numbers.
TEXTS = ("id", "media", "text", "speaker", "language", "dialogue", "split", *CLASSES, CORPUS)
#: Label columns that are numbers: of sentiment, then the dimensions of affect.
TASKS = (*SENTIMENT, *DIMENSIONS)
#: What people write where there is no number, in lower case.
MISSING = frozenset({"", "nan", "na", "n/a", "null", "none", "<na>"})

#: Texts that are put in order together for a digest: so few of them are there twice.
_WAVE = 1 << 16


def typed(columns: Mapping[str, Sequence[Any]] | pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """All columns with their types in their order, and what could not be read as a number.

    Text is never null, ``start``, ``end`` and labels are float64 with NaN, ``turn`` is nullable
    Int64; of the label columns only those given are there. Classes are written ``happy`` or
    ``happy;sad``, whatever blanks stood around them.

    Raises:
        UnknownName: a column has another name.
        BadInput: there is no column ``id``, or the columns differ in length.
    """
    import pandas as pd

    names = [str(name) for name in columns]
    for name in names:
        if name not in (*COLUMNS, *TASKS, *CLASSES, CORPUS):
            raise unknown("column of a corpus", name, (*COLUMNS, *TASKS, *CLASSES, CORPUS))
    if "id" not in names:
        raise BadInput(f"a corpus needs a column 'id', got {', '.join(names) or 'no column'}")
    lengths = {name: len(columns[name]) for name in names}
    if len(set(lengths.values())) > 1:
        raise BadInput(f"columns of a corpus must have one length, got {lengths}")
    n = lengths["id"]
    ids = _texts("id", columns["id"], n)
    done: dict[str, Any] = {"id": ids}
    faults: list[str] = []
    further = (name for name in (*TASKS, *CLASSES, CORPUS) if name in columns)
    for name in (*COLUMNS[1:], *further):
        if name in TEXTS:
            done[name] = _texts(name, columns.get(name), n)
            if name in CLASSES:
                done[name] = done[name].map(lambda label: ";".join(names_of(label)))
            continue
        values = np.full(n, np.nan)
        if name in names:
            values, unread = _numbers(name, columns[name], ids)
            faults += unread
        done[name] = pd.Series(values).astype("Int64") if name == "turn" else values
    return pd.DataFrame(done), faults


def _texts(name: str, values: Iterable[Any] | None, n: int) -> pd.Series[Any]:
    import pandas as pd

    if values is None:
        return pd.Series([""] * n, dtype="str")
    if isinstance(values, pd.Series) and values.dtype == "str" and not values.hasnans:
        return values.reset_index(drop=True)
    texts = [value if type(value) is str else _text(value) for value in values]
    try:
        # Checked here, because it would otherwise be met when the table is written or hashed.
        "".join(texts).encode()
        return pd.Series(texts, dtype="str")
    except UnicodeEncodeError:
        bad = [text for text in texts if any("\ud800" <= letter <= "\udfff" for letter in text)]
        raise BadInput(
            f"column '{name}' holds text that is not Unicode: {listing([show(t) for t in bad])}"
        ) from None


def _text(value: Any) -> str:
    return "" if _missing(value) else str(value)


def _missing(value: Any) -> bool:
    """None, NaN, or what pandas has instead, which compares to nothing, not even to itself."""
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def _numbers(
    name: str, values: Sequence[Any] | pd.Series[Any], ids: pd.Series[Any]
) -> tuple[Array, list[str]]:
    """Values as float64, and sentences about those that are no number (they become NaN)."""
    given: Any  # what a sentence about a fault shows
    dtype = getattr(values, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind in "fiu":
        given, numbers = np.asarray(values), np.array(values, np.float64)
        bad = []
    else:
        given = list(values)
        memory = {text: _number(text) for text in {v for v in given if isinstance(v, str)}}
        read = [memory[v] if isinstance(v, str) else _number(v) for v in given]
        numbers = np.array([np.nan if v is None else v for v in read], np.float64)
        bad = [i for i, v in enumerate(read) if v is None]
    faults = [_unread(name, "number", bad, given, ids)] if bad else []
    if name == "turn":
        # Beyond 2**53 a float does not know each whole number; an infinity is none.
        broken = (numbers != np.round(numbers)) | (np.abs(numbers) > 2.0**53)
        broken &= ~np.isnan(numbers)
        if broken.any():
            rows = np.flatnonzero(broken).tolist()
            faults.append(_unread(name, "whole number", rows, given, ids))
            numbers[broken] = np.nan
    return numbers, faults


def _unread(
    name: str, kind: str, rows: list[int], given: Sequence[Any], ids: pd.Series[Any]
) -> str:
    shown = [f"{show(ids.iloc[i])} ({show(given[i])})" for i in rows[:SHOWN]]
    kind_of = "label" if name in TASKS else "column"
    n = count(len(rows), "value")
    return f"{kind_of} '{name}': {n} not a {kind}: {listing(shown, len(rows))}"


def _number(value: Any) -> float | None:
    """The number that a cell stands for: NaN where it is empty, None where it is none."""
    if isinstance(value, str):
        value = value.strip()
        if value.lower() in MISSING:
            return math.nan
        if "_" in value or not value.isascii():  # Python would take 1_0 and Arabic digits
            return None
    if _missing(value):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def columns_of(utterances: Sequence[Utterance]) -> dict[str, list[Any]]:
    """Columns of utterances; of labels, and of what is seldom there, those that any of them has."""
    tasks = {task for row in utterances for task in row.labels}
    columns: dict[str, list[Any]] = {c: [getattr(row, c) for row in utterances] for c in COLUMNS}
    columns |= {task: [row.labels.get(task) for row in utterances] for task in tasks}
    rest = (*CLASSES, CORPUS)
    return columns | {c: own for c in rest if any(own := [getattr(row, c) for row in utterances])}


def dialogues_of(frame: pd.DataFrame) -> list[str]:
    """The dialogue of each utterance; of those that name none, the file that they are cut from.

    Empty where the id names a video itself, ``video/clip``, or the utterance stands alone. Of a
    joined corpus the id of one that stands alone has a slash, too, and is its own dialogue.
    """
    columns = (frame[c].tolist() for c in ("dialogue", "id", "media"))
    parts = frame[CORPUS].tolist() if CORPUS in frame else [""] * len(frame)
    return [
        dialogue
        or ("" if "/" in name.removeprefix(f"{part}/") else media or (name if part else ""))
        for dialogue, name, media, part in zip(*columns, parts, strict=True)
    ]


def as_rows(frame: pd.DataFrame, tasks: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Arguments of each utterance: plain Python values, None for a missing number or no media."""
    columns: list[Iterable[Any]] = []
    for name in COLUMNS:
        if name == "media":
            columns.append([path or None for path in frame[name].tolist()])
        elif name in TEXTS:
            columns.append(frame[name].tolist())
        else:
            columns.append(_optional(frame[name], whole=name == "turn"))
    labels = _label_maps(tasks, frame[list(tasks)].to_numpy(np.float64))
    rest = (*CLASSES, CORPUS)
    texts = [frame[c].tolist() if c in frame else [""] * len(frame) for c in rest]
    return zip(*columns, labels, *texts, strict=True)


def _optional(column: pd.Series[Any], whole: bool) -> list[Any]:
    numbers = column.to_numpy(np.float64, na_value=np.nan)
    missing = np.isnan(numbers)
    if missing.all():
        return [None] * len(numbers)
    values = np.where(missing, 0, numbers).astype(np.int64 if whole else np.float64).astype(object)
    values[missing] = None
    return cast("list[Any]", values.tolist())


def _label_maps(tasks: Sequence[str], values: Array) -> Iterator[dict[str, float]]:
    """Labels (n, tasks) as a mapping for each utterance, without the missing ones."""
    gaps: Array = np.logical_or.reduce(np.isnan(values), axis=1)
    return (
        {task: value for task, value in zip(tasks, row, strict=True) if value == value}
        if gap
        else dict(zip(tasks, row, strict=True))
        for row, gap in zip(values.tolist(), gaps.tolist(), strict=True)
    )


def as_texts(column: pd.Series[Any]) -> Any:
    """A column of texts as an array of pyarrow's: no Python object for each of them."""
    import pyarrow as pa

    kind = pa.large_string()
    texts = pa.array(column, kind)
    if not isinstance(texts, pa.ChunkedArray):
        return texts
    # Pandas puts columns together from parts of two kinds of text, and arrow takes one kind only.
    return pa.concat_arrays([part.cast(kind) for part in texts.chunks] or [pa.array([], kind)])


def as_bytes(frame: pd.DataFrame) -> Iterator[bytes | memoryview]:
    """Bytes that say all columns and nothing else, for a digest, with utterances sorted by id.

    The folder that all media have in common is left out, so that a corpus can be moved.
    """
    import pyarrow.compute as pc

    order = pc.array_sort_indices(as_texts(frame["id"]))
    yield canonical([len(frame), list(frame.columns)])
    for name in frame.columns:
        if name in TEXTS:
            texts = as_texts(frame[name])
            cut = len(_common_folder(texts)) if name == "media" else 0
            lengths = np.maximum(pc.utf8_length(texts).to_numpy() - cut, 0)
            yield lengths[order.to_numpy()].astype("<i8").tobytes()
            for at in range(0, len(order), _WAVE):
                part = texts.take(order.slice(at, _WAVE))
                yield _letters(pc.utf8_slice_codeunits(part, cut) if cut else part)
        else:
            numbers = frame[name].to_numpy("<f8", na_value=np.nan)[order.to_numpy()] + 0.0
            numbers[np.isnan(numbers)] = np.nan  # one NaN out of many, and -0.0 is 0.0
            yield numbers.tobytes()


def _letters(texts: Any) -> memoryview:
    """The UTF-8 of all texts of a column, one after another, where it lies."""
    _, ends, letters = texts.buffers()
    if not len(texts) or letters is None:
        return memoryview(b"")
    first, last = np.frombuffer(ends, "<i8")[[texts.offset, texts.offset + len(texts)]]
    return memoryview(letters)[first:last]


def _common_folder(paths: Any) -> str:
    """The folder that all paths of a column begin with, but for empty ones."""
    import pyarrow.compute as pc

    ends = pc.min_max(paths.filter(pc.not_equal(paths, "")))
    shared = os.path.commonprefix([ends[end].as_py() or "" for end in ("min", "max")])
    return shared[: shared.rfind("/") + 1]
