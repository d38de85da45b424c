"""The community's feature pickle, written: a file that today's frameworks train on unchanged."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...cache.errors import BadCall
from ...cache.publish import publish
from ...cache.records import Array
from ...cache.table import FeatureTable
from ...cache.validation import SPLITS, count
from .feature_pickle import FEATURES, LABELS, TOKEN_COLUMNS, TOKENS
from .outgoing import Outgoing, lost_masks, narrow
from .padded import Padded, Together, is_aligned
from .records import their_id

#: Old frameworks run on Python versions that know no later protocol.
PROTOCOL = 4
#: Arrays whose lengths frameworks look for in files that are not aligned.
MEASURED = ("audio", "vision")
CLASSES = ("Negative", "Neutral", "Positive")


def write(path: Path, given: Outgoing, longest: Mapping[str, int]) -> list[str]:
    """Write a feature pickle.

    Args:
        path: the file; one that is there is replaced.
        given: arrays called ``text``, ``audio``, ``vision``, ``text_bert``.
        longest: array -> rows that it is padded or cut to; others: those of their longest.

    Returns:
        Notes for people.

    Raises:
        BadCall: an array has another name, an id cannot be written, or no split has utterances.
        StoreFull: the file system has no room.
    """
    known = (*FEATURES, TOKENS)
    for name in given.arrays:
        if name not in known:
            raise BadCall(
                f"a feature pickle has no array '{name}'; it has {', '.join(known)}: name nodes "
                "so, NAME=NODE"
            )
    if not given.splits:
        raise BadCall(f"no utterance is in a split ({', '.join(SPLITS)}), which such a file needs")
    padded = {
        name: _padded(table, longest.get(name), given) for name, table in given.arrays.items()
    }
    data = {split: _split(given, split) for split in given.splits}
    for name, parts in padded.items():
        for split, part in zip(given.splits, parts, strict=True):
            data[split][name] = _tokens(part) if name == TOKENS else part
    notes = [*_lengths(given, padded, data), *lost_masks(given)]
    image = io.BytesIO()
    pickle.dump(data, image, PROTOCOL)
    publish(path, image.getbuffer(), replace=True)
    left = len(given.corpus) - sum(len(given.rows(split)) for split in given.splits)
    if left:
        notes.append(f"{count(left, 'utterance')} in no split: left out")
    return notes


def _split(given: Outgoing, split: str) -> dict[str, Any]:
    rows = given.rows(split)
    frame = given.corpus.to_frame().iloc[rows]
    data: dict[str, Any] = {
        "raw_text": frame["text"].tolist(),
        "id": [their_id(name) for name in frame["id"].tolist()],
    }
    for key, task in LABELS.items():
        if task in given.corpus.tasks:
            data[key] = narrow(given.corpus.labels(task)[rows])
    if "M" in given.corpus.tasks:
        classes = np.sign(np.nan_to_num(data["regression_labels"])).astype(int) + 1
        data["annotations"] = [CLASSES[k] for k in classes]
        data["classification_labels"] = classes.astype(np.float64)
    return data


def _padded(table: FeatureTable, longest: int | None, given: Outgoing) -> list[Array]:
    """The array of each split, (n, longest, columns), zeros at the end; masked rows as they are."""
    n_rows = longest or max(1, int(table.lengths.max(initial=1)))
    parts = []
    for split in given.splits:
        chosen = given.rows(split)
        part = np.zeros((len(chosen), n_rows, table.values.shape[1]), table.values.dtype)
        for into, i in zip(part, chosen, strict=True):
            own = table.values[slice(int(table.offsets[i]), int(table.offsets[i + 1]))][:n_rows]
            into[: len(own)] = own
        parts.append(part)
    return parts


def _tokens(part: Array) -> Array:
    """Token ids, attention mask, token types as float, (n, 3, L), as frameworks want them."""
    if part.shape[2] != len(TOKEN_COLUMNS):
        raise BadCall(
            f"'{TOKENS}' is {', '.join(TOKEN_COLUMNS)}, not {part.shape[2]} columns: take the "
            "node of an imported file that has it"
        )
    return np.ascontiguousarray(part.transpose(0, 2, 1), np.float64)


def _lengths(
    given: Outgoing, padded: Mapping[str, list[Array]], data: Mapping[str, dict[str, Any]]
) -> list[str]:
    """Add the lengths that a reader could not tell from the padding; notes on what was cut."""
    chosen = np.concatenate([given.rows(split) for split in given.splits])
    names = [name for name in padded if name in FEATURES]
    wanted = {
        name: np.minimum(given.arrays[name].lengths[chosen], padded[name][0].shape[1])
        for name in names
    }
    read = {name: Padded(name, padded[name], None) for name in names}
    aligned = is_aligned(list(read.values())) and all(
        np.array_equal(wanted[name], wanted[names[0]]) for name in names
    )
    group = Together(list(read.values()), aligned)
    plain = {
        name: np.array_equal(group.lengths(read[name]), wanted[name]) and not read[name].front
        for name in names
    }
    told = [name for name in names if not plain[name] or (name in MEASURED and not aligned)]
    starts = np.cumsum([0, *[len(given.rows(split)) for split in given.splits]])
    for name in names if aligned and told else told:
        for k, split in enumerate(given.splits):
            data[split][f"{name}_lengths"] = wanted[name][starts[k] : starts[k + 1]].tolist()
    cut = {name: int((given.arrays[name].lengths[chosen] > wanted[name]).sum()) for name in names}
    return [
        f"'{name}': {count(n, 'utterance')} cut to {padded[name][0].shape[1]} rows"
        for name, n in cut.items()
        if n
    ]
