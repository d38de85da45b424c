"""What a fitted model is worth where modalities are missing: inputs masked when it is applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from .dataset import InputSpec
from .reading import MappedReading, Reading
from .settings.base import LETTERS, SOFT

#: Every subset of so many inputs is scored; of more of them, only those that lack a single one.
ALL_SUBSETS = 3


def subsets(specs: Sequence[InputSpec]) -> dict[str, tuple[str, ...]]:
    """Proper subsets of a model's inputs to score it with: label to names, small ones first.

    Labels are letters (``T``, ``TA``) where each input is of another modality, else the names. What
    a fit has predicted (``soft``) stands in no subset of such inputs: it knows of the others.

    >>> subsets([InputSpec("a", "audio", 1, "mean", 1), InputSpec("t", "text", 1, "mean", 1)])
    {'T': ('t',), 'A': ('a',)}
    """
    order = {modality: i for i, modality in enumerate(LETTERS)}
    hard = [spec for spec in specs if spec.modality != SOFT]
    modalities = {spec.modality for spec in hard}
    lettered = len(modalities) == len(hard) and modalities <= set(LETTERS)
    if lettered:
        specs = sorted(hard, key=lambda spec: order[spec.modality])
    first = 1 if len(specs) <= ALL_SUBSETS else len(specs) - 1
    return {
        "".join(LETTERS[s.modality] for s in chosen)
        if lettered
        else "+".join(s.name for s in chosen): tuple(s.name for s in chosen)
        for size in range(first, len(specs))
        for chosen in combinations(specs, size)
    }


def only(
    readings: Mapping[str, Reading | MappedReading], kept: Sequence[str]
) -> dict[str, Reading | MappedReading]:
    """The same readings, those that are not kept masked for every utterance."""
    return {name: r if name in kept else masked(r) for name, r in readings.items()}


def masked(reading: Reading | MappedReading) -> Reading | MappedReading:
    """A reading of which no utterance has anything."""
    if isinstance(reading, MappedReading):
        return replace(reading, length=0)
    if reading.offsets is None:
        return Reading(np.zeros_like(reading.values), np.zeros_like(reading.mask))
    nothing = np.zeros_like(reading.offsets)
    return Reading(reading.values[:0], reading.mask[:0], nothing)
