"""A corpus: utterances, labels and splits as one table, Parquet on disk."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .corpus_columns import CORPUS, TASKS, as_bytes, as_rows, as_texts, columns_of, typed
from .corpus_file import read_file, write_file
from .corpus_html import as_html
from .errors import BadCorpus, UnknownName, unknown
from .labels import CLASSES
from .leaks import find_leaks
from .records import Array, Utterance
from .validation import SPLITS, Faults, as_range, count, find_faults, show

if TYPE_CHECKING:
    import pandas as pd

FILE = "corpus.parquet"
#: Metric families, with the range that their labels lie in. See ``train/metrics.py``.
FAMILIES = {"sims": (-1.0, 1.0), "mosi": (-3.0, 3.0), "mag": (-3.0, 3.0)}
_FIELDS = tuple(field.name for field in dataclasses.fields(Utterance))
#: Fields that are written only where there is something in them, as they were added later.
SELDOM = ("families", "parts", "shared")
#: Up to this many ids, an unknown one is compared with all of them to name the nearest.
COMPARED = 20_000


@dataclass(frozen=True, eq=False, repr=False)
class Corpus:
    """Utterances in a fixed order. Make one with ``from_columns``, ``from_utterances`` or ``read``.

    Faults of the data (a duplicate id, a label outside the range) do not stop it from being
    made; ``check`` finds them all.

    Args:
        name: what it is called in reports.
        family: metric family of its sentiment labels: ``sims``, ``mosi`` or ``mag``; empty where
            it has none.
        label_range: lowest and highest value of every label; None: any finite value.
        note: what a reader must know wherever the corpus is shown ("synthetic demo corpus").
        notes: what its reader repaired, one sentence each.
        reading_faults: what its reader could not read, one sentence each; ``check`` repeats them.
        families: of several corpora that were joined (``cache.joined``), name to metric family;
            empty: it is one of its own.
        parts: of such, name in the whole to the name that the corpus has itself.
        shared: what its official splits are known to share (``speaker``, ``video``): noted, and
            no warning.
    """

    _frame: pd.DataFrame
    name: str
    family: str = ""
    label_range: tuple[float, float] | None = None
    note: str = ""
    notes: tuple[str, ...] = ()
    reading_faults: tuple[str, ...] = ()
    families: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[str, str] = field(default_factory=dict)
    shared: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.family and self.family not in FAMILIES:
            raise unknown("metric family", self.family, FAMILIES)

    @classmethod
    def from_columns(
        cls,
        columns: Mapping[str, Sequence[Any]] | pd.DataFrame,
        *,
        name: str,
        family: str = "",
        label_range: Sequence[float] | None = None,
        note: str = "",
        notes: Iterable[str] = (),
        reading_faults: Iterable[str] = (),
        families: Mapping[str, str] | None = None,
        parts: Mapping[str, str] | None = None,
        shared: Iterable[str] = (),
    ) -> Corpus:
        """Make a corpus of columns: ``id`` and any of the others, numbers also as text.

        Columns are ``id media start end text speaker language dialogue turn split``, times in
        seconds, and the labels ``M T A V TA TV AV valence arousal dominance``, and, as names of
        classes, ``emotion`` (``happy``, ``happy;surprise``, ``none``) and ``polarity``; of corpora
        that were joined also ``corpus``. Empty text, None and NaN stand for a missing number;
        other text that is no number is a fault.

        Raises:
            UnknownName: a column or the metric family has another name.
            BadInput: there is no column ``id``, or the columns differ in length.
        """
        frame, faults = typed(columns)
        said = (note, tuple(notes), (*reading_faults, *faults))
        whole = dict(families or {}), dict(parts or {}), tuple(shared)
        return cls(frame, name, family, as_range(label_range), *said, *whole)

    @classmethod
    def from_utterances(
        cls,
        utterances: Iterable[Utterance],
        *,
        name: str,
        family: str = "",
        label_range: Sequence[float] | None = None,
        note: str = "",
    ) -> Corpus:
        """Make a corpus of utterances, in their order; its labels are all that any of them has.

        Raises:
            UnknownName: a label or the metric family has an unknown name.
        """
        columns = columns_of(list(utterances))
        return cls.from_columns(
            columns, name=name, family=family, label_range=label_range, note=note
        )

    @classmethod
    def read(cls, path: str | Path) -> Corpus:
        """Read a corpus that ``write`` wrote: the Parquet file, or the folder that holds it.

        Media that lay below the file's folder are found there, wherever the folder is now.

        Raises:
            BadCorpus: there is none, it is damaged, or a newer affectflow wrote it.
        """
        file = Path(path)
        columns, about = read_file(file / FILE if file.is_dir() else file)
        return cls.from_columns(columns, **about)

    def write(self, path: str | Path) -> Path:
        """Write ``path`` (``.parquet``), or ``corpus.parquet`` into the folder ``path``.

        The same corpus gives the same bytes; an older file is replaced in one step.

        Returns:
            Path of the file.

        Raises:
            StoreFull: the file system has no room.
            StoreReadOnly: the folder cannot be written to.
            BadCall: there is a file where the folder should be, or it is called like a table.
        """
        file = Path(path)
        file = file if file.suffix == ".parquet" else file / FILE
        about = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if not field.name.startswith("_")
            and (getattr(self, field.name) or field.name not in SELDOM)
        }
        write_file(file, self._frame, about)
        return file

    def __len__(self) -> int:
        return len(self._frame)

    def __iter__(self) -> Iterator[Utterance]:
        """Utterances in order; labels that are missing are absent.

        Raises:
            BadInput: an id or a segment is impossible; ``check`` names all such.
        """
        for row in as_rows(self._frame, self.tasks):
            utterance = object.__new__(Utterance)  # its own __init__ sets field by field: slower
            utterance.__dict__.update(zip(_FIELDS, row, strict=True))
            utterance.__post_init__()
            yield utterance

    def id_of(self, number: int) -> str:
        """Id of one utterance by its number, from 0."""
        return str(self._frame["id"].array[number])

    def rows(self, numbers: Sequence[int] | Array) -> Iterator[Utterance]:
        """Some utterances by their numbers, from 0, in the order of these."""
        return iter(
            dataclasses.replace(self, _frame=self._frame.iloc[np.asarray(numbers, np.int64)])
        )

    def texts(self, column: str) -> Any:
        """A text column, ``id`` or ``text``, as an array of pyarrow's: no objects until asked."""
        return as_texts(self._frame[column])

    def spans(self) -> tuple[Array, Array]:
        """Start and end of each utterance in s, (n,) float64 each, NaN where there is none."""
        return self._frame["start"].to_numpy(np.float64), self._frame["end"].to_numpy(np.float64)

    def files(self) -> tuple[Array, Any]:
        """Which media file each utterance is of, (n,) int32, -1: of none; and their paths, sorted.

        The paths are a column of pyarrow's, which takes no more than their letters.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        media = as_texts(self._frame["media"])
        coded = pc.if_else(pc.equal(media, ""), None, media).dictionary_encode()
        order = pc.sort_indices(coded.dictionary).to_numpy()
        rank = np.empty(len(order), np.int32)
        rank[order] = np.arange(len(order), dtype=np.int32)
        numbers = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        found = np.where(numbers < 0, np.int32(-1), np.append(rank, np.int32(-1))[numbers])
        return found.astype(np.int32), coded.dictionary.take(pa.array(order))

    def __getitem__(self, name: str) -> Utterance:
        """The utterance of this id.

        Raises:
            UnknownName: there is none.
            BadCorpus: there are several.
        """
        rows = self._positions.get(name)
        if rows is None:
            raise self._unknown(name)
        if len(rows) > 1:
            raise BadCorpus(
                f"corpus '{self.name}': {count(len(rows), 'utterance')} have the id {show(name)}"
            )
        return next(iter(dataclasses.replace(self, _frame=self._frame.iloc[rows])))

    def __contains__(self, name: object) -> bool:
        return name in self._positions

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Ids in order."""
        return tuple(self._frame["id"].tolist())

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """Label columns there are, in the order ``M T A V TA TV AV valence arousal dominance``."""
        return tuple(task for task in TASKS if task in self._frame.columns)

    @property
    def label_columns(self) -> tuple[str, ...]:
        """``tasks``, and ``emotion`` and ``polarity`` where there are such columns."""
        return (*self.tasks, *(name for name in CLASSES if name in self._frame.columns))

    def labels(self, task: str) -> Array:
        """Labels of one task, (n,) float64, NaN where there is none.

        Those of ``emotion`` and ``polarity`` are (n,) str, names of classes, empty where there is
        none.

        Raises:
            UnknownName: the corpus has no such label column.
        """
        if task not in self.label_columns:
            raise unknown(f"label column of corpus '{self.name}'", task, self.label_columns)
        if task in CLASSES:
            return np.array(self._frame[task].tolist(), np.str_)
        return self._frame[task].to_numpy(np.float64, copy=True)

    def without(self, labels: Collection[str]) -> Corpus:
        """The same corpus without some label columns; those that it has not are passed over."""
        kept = self._frame.drop(columns=[c for c in self.label_columns if c in labels])
        return dataclasses.replace(self, _frame=kept)

    def with_splits(self, splits: Sequence[str]) -> Corpus:
        """The same corpus with these splits, one for each utterance, in the place of its own."""
        import pandas as pd

        column = pd.Series(list(splits), dtype="str", index=self._frame.index)
        return dataclasses.replace(self, _frame=self._frame.assign(split=column), shared=())

    @property
    def every_family(self) -> tuple[str, ...]:
        """Its metric family, if any; of corpora that were joined, all of theirs."""
        return tuple(sorted({self.family, *self.families.values()} - {""}))

    @property
    def range_hint(self) -> str:
        """What would mend labels outside the range: another family's, where that is wider."""
        if not self.label_range or self.label_range != FAMILIES.get(self.family):
            return ""
        high = self.label_range[1]
        wider = {name: own for name, own in FAMILIES.items() if own[1] > high}
        told = " or ".join(f"family={name}" for name in wider)
        lie = "".join({f"[{low:g}, {top:g}]" for low, top in wider.values()})
        mend = f"labels in {lie} are of {told}" if wider else "another one is given by label_range"
        return f"; that is the range of family '{self.family}': {mend}"

    @cached_property
    def domains(self) -> Array:
        """Which of the corpora that were joined each utterance is from, (n,) str; else empty."""
        if CORPUS not in self._frame:
            return np.full(len(self), "")
        return np.array(self._frame[CORPUS].tolist(), dtype=np.str_)

    @property
    def splits(self) -> Array:
        """Split of each utterance, (n,) str: ``train``, ``valid``, ``test`` or empty."""
        return np.array(self._frame["split"].tolist(), dtype=np.str_)

    @property
    def sizes(self) -> dict[str, int]:
        """Utterances by split, in the order train, valid, test, others, none (empty name)."""
        found = Counter(self._frame["split"].tolist())
        order = [*SPLITS, *sorted({*found} - {*SPLITS, ""}), ""]
        return {split: found[split] for split in order if split in found}

    @property
    def seconds(self) -> float | None:
        """Length of all segments; None unless each of them has an end."""
        ends = self._frame["end"].to_numpy(float)
        starts = np.nan_to_num(self._frame["start"].to_numpy(float))
        return None if np.isnan(ends).any() or not len(ends) else float((ends - starts).sum())

    def select(self, *, split: str | None = None, ids: Collection[str] | None = None) -> Corpus:
        """Some of the utterances, as a corpus.

        Args:
            split: only those of this split.
            ids: only these, in this order.

        Raises:
            UnknownName: no split is called so, or an id is unknown.
        """
        frame = self._frame
        if ids is not None:
            for name in ids:
                if name not in self._positions:
                    raise self._unknown(name)
            frame = frame.iloc[[row for name in ids for row in self._positions[name]]]
        if split is not None:
            if split not in (*SPLITS, *self.sizes):
                raise unknown(f"split of corpus '{self.name}'", split, self.sizes)
            frame = frame[frame["split"] == split]
        return dataclasses.replace(self, _frame=frame.reset_index(drop=True))

    def to_frame(self) -> pd.DataFrame:
        """A copy of the table: text columns (empty, never null), times in s, labels as float64."""
        return self._frame.copy()

    def check(
        self,
        media: bool = True,
        training: bool = False,
        tasks: Sequence[str] = (),
        leaks: bool = True,
    ) -> Faults:
        """Find all faults of the table at once.

        Args:
            media: look for every media file.
            training: also what a fit needs: utterances in ``train`` and ``valid``, labels there.
            tasks: labels that must be there; empty: whatever is missing is a warning.
            leaks: look for speakers, videos and segments that stand in two splits.
        """
        errors, warnings = find_faults(
            self._frame,
            self.label_columns,
            self.label_range,
            media=media,
            training=training,
            tasks=tasks,
            hint=self.range_hint,
        )
        found = find_leaks(self._frame) if leaks else []
        known = tuple(leak.told(self.shared) for leak in found if leak.kind in self.shared)
        leaking = [str(leak) for leak in found if leak.kind not in self.shared]
        faults = (*self.reading_faults, *errors), (*leaking, *warnings)
        return Faults(*faults, self.name, known)

    def digest(self) -> str:
        """SHA-256, 64 hex digits, of all columns, whatever the order of the utterances.

        The folder that all media have in common does not count, so that a corpus can be moved;
        nor do name, notes and range, which are not in the table.
        """
        hasher = hashlib.sha256()
        for part in as_bytes(self._frame):
            hasher.update(part)
        return hasher.hexdigest()

    def __repr__(self) -> str:
        sizes = ", ".join(f"{n:,} {split or 'in no split'}" for split, n in self.sizes.items())
        note = f"; {self.note}" if self.note else ""
        return (
            f"Corpus {self.name!r}: {count(len(self), 'utterance')} ({sizes or 'none'}), "
            f"labels {' '.join(self.tasks) or 'none'}{note}"
        )

    def _repr_html_(self) -> str:
        return as_html(self)

    @cached_property
    def _positions(self) -> dict[str, list[int]]:
        rows: dict[str, list[int]] = {}
        for row, name in enumerate(self.ids):
            rows.setdefault(name, []).append(row)
        return rows

    def _unknown(self, name: str) -> UnknownName:
        kind = f"utterance of corpus '{self.name}'"
        if len(self) <= COMPARED:
            text = str(unknown(kind, name, self._positions)).partition(" Known: ")[0]
        else:
            text = f"unknown utterance {show(name)} of corpus '{self.name}'."
        return UnknownName(f"{text} It has {count(len(self), 'utterance')}.")
