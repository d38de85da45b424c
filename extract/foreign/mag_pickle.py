"""MAG-BERT's ``mosi.pkl`` and ``mosei.pkl``: splits are lists of word-aligned utterances.

Each is ``((words, visual (n_words, 47), acoustic (n_words, 74)), label (1, 1), segment)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...cache.errors import BadInput
from ...cache.records import Array, ArraySpec, Features
from ...cache.validation import SPLIT_NAMES, SPLITS, count
from .plain import array_of, items_of, kind_of, numbers_of, text_of
from .records import Foreign, ForeignArray, Tally, features_of, kept_dtype, our_id

#: Place of an array in an utterance, and its modality.
ARRAYS = {"vision": 1, "audio": 2}


def splits_of(data: Any) -> dict[str, Sequence[Any]]:
    """Our name of each split -> its utterances; empty where it is no dict of lists."""
    if not isinstance(data, dict):
        return {}
    named = {key: SPLIT_NAMES.get(key, key) for key in data if isinstance(key, str)}
    found = {ours: data[key] for key, ours in named.items() if ours in SPLITS}
    if not all(isinstance(split, list | tuple) for split in found.values()):
        return {}
    return {name: found[name] for name in SPLITS if name in found}


def fits(data: Any) -> bool:
    """Whether plain data have this layout."""
    firsts = [split[0] for split in splits_of(data).values() if len(split)]
    return bool(firsts) and all(
        isinstance(first, list | tuple)
        and len(first) == 3
        and isinstance(first[0], list | tuple)
        and len(first[0]) == 3
        for first in firsts
    )


def read(data: Any) -> Foreign:
    """The utterances, labels and arrays of such a pickle.

    Raises:
        BadInput: an utterance is built otherwise, or its arrays have not one row a word.
    """
    splits = splits_of(data)
    given = [(name, i, item) for name, split in splits.items() for i, item in enumerate(split)]
    parts = [_parts(item, f"{name}[{i}]") for name, i, item in given]
    ids = [our_id(segment) for *_, segment in parts]
    notes = []
    if len(set(ids)) < len(ids):
        n = len(ids) - len(set(ids))
        notes.append(f"{count(n, 'segment')} stand more than once: ids are split and number")
        ids = [f"{name}/{i:05d}" for name, i, _ in given]
    columns: dict[str, Sequence[Any]] = {
        "split": [name for name, _, _ in given],
        "text": [" ".join(words) for words, *_ in parts],
        "M": [label for *_, label, _ in parts],
    }
    arrays = {name: _array(name, [part[at] for part in parts]) for name, at in ARRAYS.items()}
    return Foreign("mag-pickle", tuple(ids), columns, arrays, tuple(notes))


def _parts(item: Any, where: str) -> tuple[list[str], Array, Array, float, str]:
    if not (isinstance(item, list | tuple) and len(item) == 3):
        raise BadInput(f"{where} must be (features, label, segment), not {kind_of(item)}")
    features, label, segment = item
    if not (isinstance(features, list | tuple) and len(features) == 3):
        raise BadInput(f"{where}[0] must be (words, visual, acoustic), not {kind_of(features)}")
    words = [text_of(word, f"{where}: a word") for word in items_of(features[0], f"{where} words")]
    rows = {name: array_of(features[at], f"{where}[0][{at}]") for name, at in ARRAYS.items()}
    for name, found in rows.items():
        if found.ndim != 2 or len(found) != len(words):
            raise BadInput(
                f"{where}: {name} must have a row for each of {len(words)} words, not "
                f"{kind_of(found)}"
            )
    value = float(numbers_of(label, 1, f"{where}[1]")[0])
    return words, rows["vision"], rows["audio"], value, text_of(segment, where)


def _array(name: str, found: Sequence[Any]) -> ForeignArray:
    widths = {rows.shape[1] for rows in found}
    if len(widths) > 1:
        raise BadInput(f"{name} has several widths: {sorted(widths)}")
    dtype = np.dtype(kept_dtype(np.result_type(*{rows.dtype for rows in found})))
    tally = Tally()

    def rows(i: int) -> Features:
        return features_of(i, np.ascontiguousarray(found[i], dtype), tally)

    spec = ArraySpec((widths.pop(),), dtype.name)
    return ForeignArray(name, spec, rows, lambda: tally.told(name))
