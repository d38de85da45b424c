"""Batches of like length, so that little is padded and memory stays bounded."""

from __future__ import annotations

from collections.abc import Sequence

from ..cache.errors import BadCall


def pack(lengths: Sequence[int], budget: int, waste: float = 0.25) -> list[list[int]]:
    """Group items into batches that are padded to their longest item.

    Args:
        lengths: length of each item (tokens, samples, frames).
        budget: padded length of a batch at most (items times the longest); an item longer than
            this goes alone.
        waste: share of its row that padding may take at most; 0 puts only equal lengths
            together, so that nothing is padded.

    Returns:
        Batches of item numbers, each number once, the longest items first.

    >>> pack([3, 10, 9, 3, 2], budget=20)
    [[1, 2], [0, 3], [4]]
    """
    if budget < 1 or not 0 <= waste < 1:
        raise BadCall(
            f"a batch needs a budget above 0 and a waste in [0, 1), not {budget}, {waste}"
        )
    batches: list[list[int]] = []
    longest = 0
    for item in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        fits = batches and (len(batches[-1]) + 1) * longest <= budget
        if fits and lengths[item] >= (1 - waste) * longest:
            batches[-1].append(item)
        else:
            batches.append([item])
            longest = lengths[item]
    return batches
