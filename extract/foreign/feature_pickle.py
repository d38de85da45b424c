"""The community's feature pickle: ``aligned_50.pkl``, ``unaligned_50.pkl``, ``unaligned_39.pkl``.

A dict of splits, each a dict of lists and arrays over its utterances; see ``KEYS``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...cache.errors import BadInput
from ...cache.records import Array, ArraySpec, Features, no_times
from ...cache.validation import SPLIT_NAMES, SPLITS, count
from .padded import Padded, Together, is_aligned
from .plain import array_of, kind_of, numbers_of, texts_of
from .records import Foreign, ForeignArray, our_id

#: Arrays that are features, and their modality.
FEATURES = {"text": "text", "audio": "audio", "vision": "vision"}
#: Token ids, attention mask, token types, (n, 3, L).
TOKENS = "text_bert"
TOKEN_COLUMNS = ("input_ids", "attention_mask", "token_type_ids")
#: Labels and our names for them.
LABELS = {"regression_labels": "M", **{f"regression_labels_{m}": m for m in "TAV"}}
#: What is read of a split; what else there may be is deprecated.
KEYS = ("raw_text", "id", *FEATURES, TOKENS, "audio_lengths", "vision_lengths", *LABELS)
DEPRECATED = ("annotations", "classification_labels")


def splits_of(data: Any) -> dict[str, Mapping[str, Any]]:
    """Our name of each split -> its dict; empty where it is no dict of splits."""
    if not isinstance(data, dict):
        return {}
    named = {key: SPLIT_NAMES.get(key, key) for key in data if isinstance(key, str)}
    found = {ours: data[key] for key, ours in named.items() if ours in SPLITS}
    whole = all(isinstance(split, dict) for split in found.values())
    return {name: found[name] for name in SPLITS if name in found} if whole else {}


def fits(data: Any) -> bool:
    """Whether plain data have this layout."""
    splits = splits_of(data)
    return bool(splits) and all("regression_labels" in split for split in splits.values())


def read(data: Any) -> Foreign:
    """The utterances, labels and arrays of a feature pickle.

    Raises:
        BadInput: a split lacks an array that another has, or they differ in length or width.
    """
    splits = splits_of(data)
    notes = [f"top-level key '{key}' not used" for key in _others(data)]
    notes += _unused(splits, (*KEYS, *DEPRECATED))
    sizes = {name: _size(split, name) for name, split in splits.items()}
    ids, told = ids_of(splits, sizes)
    columns: dict[str, Sequence[Any]] = {
        "split": [name for name, n in sizes.items() for _ in range(n)]
    }
    if all("raw_text" in split for split in splits.values()):
        columns["text"] = [
            text
            for name, split in splits.items()
            for text in texts_of(split["raw_text"], sizes[name], f"{name}/raw_text")
        ]
    for key, ours in LABELS.items():
        if any(key in split for split in splits.values()):
            columns[ours] = labels_of(splits, sizes, key).tolist()
    arrays = padded_arrays(splits, sizes, tuple(FEATURES))
    aligned = is_aligned(arrays)
    group = Together(arrays, aligned)
    if aligned:
        notes.append("the arrays are word-aligned: all have the length of the longest of them")
    found = {array.name: group.foreign(array, FEATURES[array.name]) for array in arrays}
    if all(TOKENS in split for split in splits.values()):
        found[TOKENS] = _tokens(splits, sizes)
    return Foreign("feature-pickle", ids, columns, found, (*notes, *told))


def padded_arrays(
    splits: Mapping[str, Mapping[str, Any]], sizes: Mapping[str, int], names: Sequence[str]
) -> list[Padded]:
    """Those of the named arrays that the splits have.

    Raises:
        BadInput: only some splits have one, or its shape differs between them.
    """
    arrays = []
    for key in names:
        having = [name for name, split in splits.items() if key in split]
        if not having:
            continue
        if len(having) < len(splits):
            raise BadInput(f"'{key}' is in {', '.join(having)}, but not in the other splits")
        parts = [_three(splits[name][key], sizes[name], f"{name}/{key}") for name in splits]
        if len({part.shape[2] for part in parts}) > 1:
            shapes = ", ".join(f"{name} {p.shape}" for name, p in zip(splits, parts, strict=True))
            raise BadInput(f"'{key}' has several widths: {shapes}")
        arrays.append(Padded(key, parts, _lengths(splits, sizes, f"{key}_lengths")))
    return arrays


def ids_of(
    splits: Mapping[str, Mapping[str, Any]], sizes: Mapping[str, int]
) -> tuple[tuple[str, ...], list[str]]:
    """Ids in our form, made where there are none, and notes."""
    if not all("id" in split for split in splits.values()):
        made = (f"{name}/{i:05d}" for name, n in sizes.items() for i in range(n))
        return tuple(made), ["there are no ids: utterances are called by split and number"]
    theirs = [
        (name, text)
        for name, split in splits.items()
        for text in texts_of(split["id"], sizes[name], f"{name}/id")
    ]
    ours = [our_id(text) for _, text in theirs]
    if len(set(ours)) == len(ours):
        return tuple(ours), []
    n = len(ours) - len(set(ours))
    told = f"{count(n, 'id')} stand more than once: all ids begin with their split now"
    return tuple(f"{name}/{our_id(text)}" for name, text in theirs), [told]


def labels_of(splits: Mapping[str, Mapping[str, Any]], sizes: Mapping[str, int], key: str) -> Array:
    """Labels of all splits, (n_all,) float64; NaN where a split has none."""
    return np.concatenate(
        [
            numbers_of(split[key], sizes[name], f"{name}/{key}")
            if key in split
            else np.full(sizes[name], np.nan)
            for name, split in splits.items()
        ]
    )


def _others(data: Mapping[Any, Any]) -> list[str]:
    splits = {*SPLITS, *SPLIT_NAMES}
    return [str(key)[:40] for key in data if key not in splits]


def _unused(splits: Mapping[str, Mapping[str, Any]], known: Sequence[str]) -> list[str]:
    keys = {str(key)[:40] for split in splits.values() for key in split}
    rest = sorted(key for key in keys if not key.startswith(tuple(known)))
    return [f"not used: {', '.join(rest)}"] if rest else []


def _size(split: Mapping[str, Any], name: str) -> int:
    """Utterances of a split: what its arrays, all of them, have."""
    sizes = {
        key: len(value)
        for key in (*FEATURES, "regression_labels", "labels", "id")
        if isinstance(value := split.get(key), list | tuple)
        or (isinstance(value, np.ndarray) and value.ndim)
    }
    if len(set(sizes.values())) != 1:
        told = ", ".join(f"{key} {n:,}" for key, n in sizes.items()) or "nothing"
        raise BadInput(f"split '{name}' must have one number of utterances: {told}")
    return next(iter(sizes.values()))


def _three(value: Any, n: int, where: str) -> Array:
    found = array_of(value, where)
    if found.ndim == 2 and n:  # one row an utterance
        found = found[:, None, :]
    if found.ndim != 3 or len(found) != n or not found.shape[2]:
        raise BadInput(f"{where} must be ({n:,} utterances, rows, columns), not {kind_of(found)}")
    return found


def _lengths(
    splits: Mapping[str, Mapping[str, Any]], sizes: Mapping[str, int], key: str
) -> Array | None:
    if not all(key in split for split in splits.values()):
        return None
    values = labels_of(splits, sizes, key)
    if not np.isfinite(values).all():
        raise BadInput(f"'{key}' must hold whole numbers; some are NaN or infinite")
    return np.clip(values, 0, 1 << 40).astype(np.int64)


def _tokens(splits: Mapping[str, Mapping[str, Any]], sizes: Mapping[str, int]) -> ForeignArray:
    parts = []
    for name, split in splits.items():
        part = _three(split[TOKENS], sizes[name], f"{name}/{TOKENS}")
        if part.shape[1] != len(TOKEN_COLUMNS):
            raise BadInput(f"{name}/{TOKENS} must be (n, 3, tokens), not {kind_of(part)}")
        parts.append(part)
    starts = np.cumsum([0, *map(len, parts)])

    def rows(i: int) -> Features:
        split = int(np.searchsorted(starts, i, "right")) - 1
        block = parts[split][i - starts[split]]  # (3, L)
        n = int(np.count_nonzero(block[1]))
        return Features(block[:, :n].T.astype(np.int32), no_times(n), TOKEN_COLUMNS)

    return ForeignArray("marks", ArraySpec((3,), "int32", TOKEN_COLUMNS), rows)
