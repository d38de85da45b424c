"""Feature sets to compare: nodes of a cache by recipe or fingerprint, or files."""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..cache.contents import show
from ..cache.corpus import Corpus
from ..cache.digests import Digested, default_memory, digest_and_look
from ..cache.errors import BadCall, BadInput
from ..cache.records import MAIN, Array, Features, no_times
from ..cache.store import FeatureStore, NodeKeys
from ..cache.validation import count
from .comparison import FeatureSet, listed
from .descriptions import content_digests, extract_key
from .nodes import CONTENTS, Extract

if TYPE_CHECKING:
    import pandas as pd

FILES = (".npz", ".csv", ".parquet")
#: What readers of broken files raise; our own errors are ValueErrors too.
UNREADABLE = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)
#: Columns of a table that are no features.
UTTERANCE = ("utterance", "id")
TIMES = ("start", "end", "time", "frameTime")
MASK = "mask"
#: What arrays of an .npz are called that hold a matrix and the names of its columns.
MATRIX = (("values", "columns"), ("features", "names"))


def feature_set(
    source: str, cache: Path, corpus: Path | None = None, array: str = MAIN, utterance: str = ""
) -> FeatureSet:
    """Find a feature set.

    Args:
        source: ``RECIPE:NODE``; the first digits of a cached node's fingerprint; or a file: an
            .npz with ``values`` and ``columns`` (and ``times``), a .csv or .parquet with one
            column a feature (and ``utterance``, ``start`` and ``end``, or ``time``).
        cache: folder of the feature store.
        corpus: folder or table of the utterances; default: the recipe's. Fingerprints need one.
        array: which of a cached node's named arrays.
        utterance: only this one; a file that knows no utterances is taken to be it.

    Raises:
        BadCall: a fingerprint without a corpus, or nothing that could be one.
        UnknownName: no node has this name or fingerprint.
        NotCached: no utterance has features.
        BadInput: the file cannot be read, has no columns with names, or has no such utterance; a
            column holds text among numbers.
    """
    path = Path(source)
    if path.suffix.lower() in FILES:
        found = _read_file(path)
    elif path.is_file():
        raise BadInput(f"cannot read '{source}': of files, {', '.join(FILES)} are known")
    else:
        found = _read_cache(source, cache, corpus, array)
    if not found.columns:
        raise BadInput(f"the columns of '{source}' have no names, so they cannot be matched")
    _once(source, found.columns)
    if not utterance or set(found.parts) == {""}:
        return found
    if utterance not in found.parts:
        raise BadInput(
            f"'{source}' has no utterance '{utterance}', but "
            f"{count(len(found.parts), 'other')}, the first is '{next(iter(found.parts))}'"
        )
    return FeatureSet(found.name, {utterance: found.parts[utterance]}, found.columns)


def _once(source: str, names: Sequence[str]) -> None:
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        raise BadInput(f"'{source}' has {count(len(twice), 'name')} twice: {listed(twice)}")


#: What an extract may read of an utterance.
READ = (("media",), ("text",), ("media", "text"), ("media", "name"), CONTENTS)


@dataclass(frozen=True)
class StoredExtract:
    """An extract that is known by its fingerprint only.

    Which of media, text and name are in its keys follows from which keys are stored.
    """

    fingerprint: str

    def keys(self, store: FeatureStore, corpus: Corpus) -> Sequence[bytes | None]:
        """Key of each utterance's features; None where it cannot have any."""
        digests = _digests(corpus)
        best: list[bytes | None] = []
        most = -1
        for contents in READ:
            keys = [
                extract_key(self.fingerprint, found, contents)
                if all(content in found for content in contents)
                else None
                for found in digests
            ]
            n = int(store.has(self.fingerprint, [key for key in keys if key is not None]).sum())
            if n > most:
                best, most = keys, n
        return best


def _digests(corpus: Corpus) -> list[dict[str, bytes]]:
    utterances = list(corpus)
    paths = sorted({u.media for u in utterances if u.media is not None})
    media = digest_and_look(paths, default_memory())
    digests = []
    for utterance in utterances:
        file = media.get(utterance.media or "")
        digest = file.digest if isinstance(file, Digested) else None
        digests.append(content_digests(utterance, digest, CONTENTS))
    return digests


def _read_cache(source: str, cache: Path, corpus: Path | None, array: str) -> FeatureSet:
    with_recipe = ":" in source
    opened, node = (_of_recipe if with_recipe else _of_fingerprint)(source, cache, corpus)
    store = FeatureStore(cache)
    try:
        table = store.table(opened, node, array, allow_mixed=True)
    finally:
        store.close()
    present = table.present
    parts = {name: table[i] for i, name in enumerate(table.ids) if present[i]}
    return FeatureSet(source, parts, table.columns)


def _of_recipe(source: str, cache: Path, corpus: Path | None) -> tuple[Corpus, NodeKeys]:
    from .notebook import NodeRef
    from .prepared import prepared
    from .result import Reporter

    recipe_name, _, name = source.rpartition(":")
    recipe, opened = prepared(recipe_name, corpus, (), (), (), Reporter())
    if not isinstance(recipe.workflow[name], Extract):
        raise BadCall(f"node '{name}' of '{recipe_name}' is no extract; only those can be compared")
    part = recipe.workflow.upto([name])
    return opened, NodeRef(part, name)


def _of_fingerprint(source: str, cache: Path, corpus: Path | None) -> tuple[Corpus, NodeKeys]:
    from .corpora import CorpusSpec

    if not source or not set(source) <= set("0123456789abcdef"):
        raise BadCall(
            f"'{source}' is neither a file ({', '.join(FILES)}), nor the first digits of a "
            "fingerprint ('affectflow cache ls' prints them), nor RECIPE:NODE"
        )
    facts = show(cache, source)
    if corpus is None:
        raise BadCall(
            f"'{source}' is a fingerprint: say with --corpus which utterances to look up, or "
            "name the node of a recipe (RECIPE:NODE), which knows its corpus"
        )
    if facts["description"].get("kind") != "extract":
        raise BadCall(f"node '{source}' is no extract; only those can be compared")
    return CorpusSpec(str(corpus)).open(), StoredExtract(facts["fingerprint"])


def _read_file(path: Path) -> FeatureSet:
    try:
        if path.suffix.lower() == ".npz":
            return _read_npz(path)
        import pandas as pd

        if path.suffix.lower() == ".csv":
            frame = pd.read_csv(path)
            # pandas gives a name that stands there twice another ending.
            header = pd.read_csv(path, header=None, nrows=1, dtype=str)
            _once(str(path), [str(name) for name in header.iloc[0]])
        else:
            frame = pd.read_parquet(path)
        return _of_frame(path, frame)
    except UNREADABLE as error:
        raise BadInput(f"cannot read '{path}': {str(error).strip()}") from error


def _read_npz(path: Path) -> FeatureSet:
    with path.open("rb") as file:
        opened = np.load(file, allow_pickle=False)
        if isinstance(opened, np.ndarray):
            raise BadInput("it holds one array, not an archive of arrays with names")
        found: dict[str, Array] = {name: opened[name] for name in opened.files}
    for matrix, names in MATRIX:
        if matrix in found and names in found:
            values, columns = found[matrix], tuple(str(name) for name in found[names])
            break
    else:
        lines = {name: x for name, x in found.items() if x.ndim == 1 and x.dtype.kind in "fiub"}
        columns = tuple(name for name in lines if name not in (*TIMES, MASK, "times"))
        if not columns or len({len(line) for line in lines.values()}) != 1:
            raise BadInput(
                "it holds neither a matrix 'values' with its 'columns' nor one array of "
                f"the same length a column, but {listed(found)}"
            )
        values = np.stack([lines[name] for name in columns], axis=1)
    if values.ndim != 2 or not len(values):
        raise BadInput(f"its values must be rows of columns, not of shape {values.shape}")
    times = found.get("times", found.get("time", no_times(len(values))))
    times = times if times.ndim == 2 else np.stack([times, times], axis=1)
    part = Features(values, times, columns, found.get(MASK, np.ones(len(values), bool)))
    return FeatureSet(str(path), {"": part}, columns)


def _of_frame(path: Path, frame: pd.DataFrame) -> FeatureSet:
    if any(name is not None for name in frame.index.names):  # to_frame() puts times there
        frame = frame.reset_index()
    columns = _numeric(frame)
    by = next((name for name in UTTERANCE if name in frame), None)
    for name in (by, MASK):
        if name in frame and frame[name].isna().any():
            raise BadInput(f"{count(int(frame[name].isna().sum()), 'row')} without '{name}'")
    groups = [("", frame)] if by is None else list(frame.groupby(frame[by].astype(str), sort=False))
    parts = {}
    for name, rows in groups:
        starts = next((rows[t] for t in ("start", "time", "frameTime") if t in rows), None)
        times = no_times(len(rows))
        if starts is not None:
            times[:, 0] = starts
            times[:, 1] = rows.get("end", starts)
        mask = rows[MASK].to_numpy(bool) if MASK in rows else np.ones(len(rows), bool)
        values = rows[list(columns)].to_numpy(np.float64)
        parts[str(name)] = Features(values, times, columns, mask)
    return FeatureSet(str(path), parts, columns)


def _numeric(frame: pd.DataFrame) -> tuple[str, ...]:
    """Columns that hold features; those of text only (names of files) are none.

    Raises:
        BadInput: there are no rows or no such columns; text stands among numbers.
    """
    import pandas as pd

    if not len(frame):
        raise BadInput("it has no rows")
    for name in frame.select_dtypes(exclude=["number", "bool"]):
        if name in UTTERANCE:
            continue
        texts = frame[name].dropna()
        words = texts[pd.to_numeric(texts, errors="coerce").isna()]
        if len(words) and (name in (*TIMES, MASK) or len(words) < len(texts)):
            raise BadInput(
                f"column '{name}' holds no number in row {words.index[0]} (from 0): "
                f"{words.iloc[0]!r}"
            )
    others = {*UTTERANCE, *TIMES, MASK}
    numbers = frame.select_dtypes(["number", "bool"])
    columns = tuple(str(name) for name in numbers if name not in others)
    named = tuple(name for name in columns if not name.startswith("Unnamed: "))  # pandas' numbers
    if not named:
        raise BadInput(f"it has no column of numbers, but {listed(frame)}")
    return named
