"""A folder of computational sequences of the same videos: features, words and labels.

The utterances are the rows of the label sequence, as ``align`` of the CMU Multimodal SDK makes
them: ``video/3`` is its ``video[3]``. Of each other sequence an utterance gets the rows that
overlap it, cut to it, with times from its start; its words are its transcript, and the array
``words``, over which ``pool-words`` aligns the others. A folder without labels has an utterance
for each key.

Source:
    CMU Multimodal SDK, ``mmdatasdk``: which rows ``align`` takes, and that it drops intervals
    without length. The order of MOSEI's labels is that of ``CMU_MOSEI_All_Labels``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...cache.emotions import MOSEI_SIX, mosei_columns
from ...cache.errors import BadInput
from ...cache.hdf5_foreign import ForeignHdf5
from ...cache.records import Array, ArraySpec, Features
from ...cache.validation import count, listing
from ..corpora.mosi import STANDARD
from ..pool_words import TOUCH
from ..text.word_files import SILENCE
from .csd import intervals_of, root_and_ids
from .library import files_below, two_dimensional
from .plain import text_of
from .records import Foreign, ForeignArray, Tally, features_of, kept_dtype, modality_of

#: Columns of labels: sentiment; the six emotions; sentiment and the six.
WIDTHS = (1, len(MOSEI_SIX), 1 + len(MOSEI_SIX))
WORDS = "words"


@dataclass(frozen=True, eq=False)
class Part:
    """One of the sequences; the rows of the last key are kept, as utterances of one follow.

    Args:
        path: its file.
        root: its name within.
        ids: its keys.
        width: columns of its features.
        dtype: of them.
    """

    path: Path
    root: str
    ids: frozenset[str]
    width: int
    dtype: np.dtype[Any]
    _last: dict[str, tuple[Array, Array]] = field(default_factory=dict, init=False, repr=False)

    @property
    def holds(self) -> str:
        """``words``, ``labels`` or ``features``."""
        if self.dtype.kind in "SU":
            return WORDS
        labels = "label" in f"{self.root} {self.path.stem}".lower() and self.width in WIDTHS
        return "labels" if labels else "features"

    def rows(self, key: str) -> tuple[Array, Array]:
        """Features (n, D) and intervals (n, 2) of a key, in the order of time.

        Raises:
            BadInput: they do not fit each other or those of the other keys.
        """
        if key not in self._last:
            self._last.clear()
            self._last[key] = _rows(self, key)
        return self._last[key]


@dataclass(frozen=True)
class Place:
    """Where an utterance lies: a key, and the interval (start, end) of it; None: all of it."""

    key: str
    span: tuple[float, float] | None = None

    def of(self, part: Part) -> tuple[Array, Array] | None:
        """The rows of a sequence that overlap it and their times; None: it has none."""
        if self.key not in part.ids:
            return None
        values, times = part.rows(self.key)
        if self.span is not None:
            start, end = self.span
            inside = (times[:, 0] < end - TOUCH) & (times[:, 1] > start + TOUCH)
            values, times = values[inside], np.clip(times[inside], start, end) - start
        return (values, times) if len(values) else None


def knows(path: Path, head: bytes) -> bool:
    """Whether there are sequences in a folder."""
    return path.is_dir() and any(path.glob("*.csd"))


def read(path: Path) -> Foreign:
    """Read all sequences of a folder.

    Raises:
        BadInput: one cannot be read, there are no features, or labels disagree about intervals.
    """
    files, notes = files_below(path, (".csd",))
    parts = [_part(file) for file in files]
    by_kind = {
        kind: [p for p in parts if p.holds == kind] for kind in (WORDS, "labels", "features")
    }
    labels, words, features = by_kind["labels"], by_kind[WORDS], by_kind["features"]
    if not features or len(words) > 1:
        held = listing([f"'{p.path.name}' ({p.holds})" for p in parts])
        raise BadInput(f"features and at most one sequence of words were wanted, got {held}")
    keys = sorted(set().union(*(part.ids for part in features)))
    places = {key: Place(key) for key in keys}
    columns: dict[str, list[Any]] = {}
    if labels:
        places, columns, told = _labelled(labels)
        notes += told
    if words:
        columns["text"] = [" ".join(_words(words[0], place)[0]) for place in places.values()]
    found = {_name(part, features): _array(part, features, places) for part in features}
    if len(found) < len(features):
        names = listing([f"'{part.path.name}' ({part.root})" for part in features])
        raise BadInput(f"several sequences have one name: {names}. Import them apart")
    if words:
        found[WORDS] = _word_times(words[0], places)
    return Foreign("csd-folder", tuple(places), columns, found, tuple(notes))


def _part(path: Path) -> Part:
    with ForeignHdf5(path) as file:
        root, ids = root_and_ids(file, path)
        first = np.atleast_2d(file.read(f"/{root}/data/{ids[0]}/features"))
    return Part(path, root, frozenset(ids), int(first.shape[-1]), first.dtype)


def _rows(part: Part, key: str) -> tuple[Array, Array]:
    start = f"/{part.root}/data/{key}"
    with ForeignHdf5(part.path) as file:
        values, times = file.read(f"{start}/features"), file.read(f"{start}/intervals")
    where = f"'{key}' of '{part.path.name}'"
    if part.holds != WORDS:
        values = two_dimensional(values, where)
    elif values.dtype.kind not in "SU" or values.ndim > 2:
        raise BadInput(f"{where} holds no words but {values.dtype}")
    if len(values) and np.atleast_2d(values).shape[-1] != part.width and part.holds != WORDS:
        raise BadInput(f"{where} has {values.shape[1]} columns, others have {part.width}")
    times = intervals_of(times, len(values), where)
    order = np.argsort(times[:, 0], kind="stable")
    return values[order], times[order]


def _labelled(
    labels: Sequence[Part],
) -> tuple[dict[str, Place], dict[str, list[Any]], list[str]]:
    """Utterances by id, their labels, and notes."""
    places: dict[str, Place] = {}
    rows: dict[str, list[Array]] = {part.root: [] for part in labels}
    dropped = 0
    for key in sorted(labels[0].ids):
        _, times = labels[0].rows(key)
        for part in labels:
            if key not in part.ids or not np.array_equal(part.rows(key)[1], times):
                raise BadInput(
                    f"'{part.path.name}' and '{labels[0].path.name}' have other intervals for "
                    f"'{key}': import them apart"
                )
        for i, (start, end) in enumerate(times.tolist()):
            if not end - start > TOUCH:
                dropped += 1
                continue
            places[f"{key}/{i}"] = Place(key, (start, end))
            for part in labels:
                rows[part.root].append(part.rows(key)[0][i])
    splits = [STANDARD.get(place.key, "") for place in places.values()]
    columns: dict[str, list[Any]] = {"split": splits}
    notes = [f"{count(dropped, 'interval')} of labels without length dropped"] if dropped else []
    for part in labels:
        values = np.array(rows[part.root], np.float64).reshape(-1, part.width)
        columns.update(mosei_columns(values))
    if "" in splits:
        n = count(splits.count(""), "utterance")
        notes.append(f"{n} of videos that MOSI does not have are in no split")
    return places, columns, notes


def _words(part: Part, place: Place) -> tuple[list[str], Array]:
    """The words of an utterance without pauses, and their times (n, 2)."""
    found = place.of(part)
    if found is None:
        return [], np.empty((0, 2))
    texts = [text_of(one, "a word").strip() for one in found[0].reshape(len(found[0]), -1)[:, 0]]
    spoken = [i for i, text in enumerate(texts) if text.lower() not in SILENCE]
    return [texts[i] for i in spoken], found[1][spoken]


def _word_times(part: Part, places: Mapping[str, Place]) -> ForeignArray:
    all_places = list(places.values())

    def rows(i: int) -> Features | None:
        _, times = _words(part, all_places[i])
        durations = np.diff(times, axis=1).astype(np.float32)
        return Features(durations, times, ("duration",)) if len(times) else None

    return ForeignArray("marks", ArraySpec((1,), "float32", ("duration",)), rows)


def _name(part: Part, features: Sequence[Part]) -> str:
    """The modality, where one sequence alone has it; else what the sequence is called."""
    modality = _modality(part)
    alone = [_modality(other) for other in features].count(modality) == 1
    return modality if alone else part.root.lower()


def _modality(part: Part) -> str:
    return modality_of(part.root) or modality_of(part.path.stem) or "marks"


def _array(part: Part, features: Sequence[Part], places: Mapping[str, Place]) -> ForeignArray:
    dtype = np.dtype(kept_dtype(part.dtype))
    all_places, tally, name = list(places.values()), Tally(), _name(part, features)

    def rows(i: int) -> Features | None:
        found = all_places[i].of(part)
        if found is None:
            return None
        return features_of(i, np.ascontiguousarray(found[0], dtype), tally, found[1])

    spec = ArraySpec((part.width,), dtype.name)
    return ForeignArray(_modality(part), spec, rows, lambda: tally.told(name))
