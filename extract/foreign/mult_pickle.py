"""MulT's ``mosi_data.pkl``, ``mosei_senti_data.pkl`` and their like: splits with ``labels``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...cache.emotions import MOSEI_SIX, mosei_columns
from ...cache.errors import BadInput
from ...cache.records import Array
from .feature_pickle import FEATURES, _size, padded_arrays, splits_of
from .padded import Together, is_aligned
from .plain import array_of, items_of, text_of
from .records import Foreign, our_id


def fits(data: Any) -> bool:
    """Whether plain data have this layout."""
    splits = splits_of(data)
    return bool(splits) and all(
        "labels" in split and "regression_labels" not in split and "text" in split
        for split in splits.values()
    )


def read(data: Any) -> Foreign:
    """The utterances, labels and arrays of such a pickle.

    Raises:
        BadInput: a split lacks an array that another has, or they differ in length or width.
    """
    splits = splits_of(data)
    sizes = {name: _size(split, name) for name, split in splits.items()}
    ids, notes = _ids(splits, sizes)
    columns: dict[str, Sequence[Any]] = {
        "split": [name for name, n in sizes.items() for _ in range(n)]
    }
    labels = [array_of(split["labels"], f"{name}/labels") for name, split in splits.items()]
    values, told = _values(labels, sizes)
    if values is not None:
        columns.update(mosei_columns(values))
    arrays = padded_arrays(splits, sizes, tuple(FEATURES))
    group = Together(arrays, is_aligned(arrays))
    if group.aligned:
        notes.append("the arrays are word-aligned: all have the length of the longest of them")
    found = {array.name: group.foreign(array, FEATURES[array.name]) for array in arrays}
    return Foreign("mult-pickle", ids, columns, found, (*notes, *told))


def _ids(
    splits: Mapping[str, Mapping[str, Any]], sizes: Mapping[str, int]
) -> tuple[tuple[str, ...], list[str]]:
    """Ids: a name each, or video, start and end each; made where there are none."""
    ids: list[str] = []
    for name, split in splits.items():
        given = items_of(split["id"], f"{name}/id") if "id" in split else range(sizes[name])
        for i, item in enumerate(given):
            parts = item if isinstance(item, list | tuple) else [item]
            texts = [text_of(part, f"{name}/id[{i}]") for part in parts]
            ids.append(our_id(texts[0]) if len(texts) == 1 else f"{texts[0]}/{'_'.join(texts[1:])}")
    if len(set(ids)) == len(ids) and all("id" in split for split in splits.values()):
        return tuple(ids), []
    made = (f"{name}/{i:05d}" for name, n in sizes.items() for i in range(n))
    return tuple(made), ["ids are missing or not unique: utterances are called by split and number"]


def _values(labels: Sequence[Any], sizes: Mapping[str, int]) -> tuple[Array | None, list[str]]:
    """Labels (n, 1, 1) as (n, 1), MOSEI's (n, 1, 7) as (n, 7); others are not what we know."""
    flat = []
    for found, n in zip(labels, sizes.values(), strict=True):
        if len(found) != n:
            raise BadInput(f"'labels' has {len(found):,} entries, its split {n:,} utterances")
        single = found.ndim == 1 or (found.ndim <= 3 and all(k == 1 for k in found.shape[1:-1]))
        if not single:
            shape = found.shape
            return None, [f"labels of shape {shape} are no sentiment values: left out"]
        flat.append(found.reshape(n, -1).astype(np.float64) if n else np.empty((0, 1)))
    widths = {part.shape[1] for part in flat}
    if widths == {1}:
        return np.concatenate(flat), []
    if widths == {1 + len(MOSEI_SIX)}:
        told = f"labels have 7 columns, taken for MOSEI's: sentiment, {', '.join(MOSEI_SIX)}"
        return np.concatenate(flat), [told]
    return None, [f"labels of {sorted(widths)} columns are no sentiment values: left out"]
