"""Batches of like length, so that little is padded and memory stays bounded."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush

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


def pack_rows(lengths: Sequence[int], budget: int, row: int = 128) -> list[list[list[int]]]:
    """Group items into batches of rows in which items stand one behind another.

    Args:
        lengths: length of each item.
        budget: padded length of a batch at most (rows times the longest); a longer row goes alone.
        row: length of a row at about; a longer item has a row of its own.

    Returns:
        Batches of rows of item numbers, each number once. The rows of short items are of nearly
        one length, so that nearly nothing is padded.

    >>> pack_rows([6, 5, 4, 3, 3, 2, 30], budget=100, row=12)
    [[[6]], [[0, 3, 4], [1, 2, 5]]]
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    short = [i for i in order if lengths[i] <= row]
    n_rows = -(-sum(lengths[i] for i in short) // row)
    rows: list[list[int]] = [[] for _ in range(n_rows)]
    filled = [(0, k) for k in range(n_rows)]
    for item in short:  # into the emptiest row; the shortest come last and level the rows
        size, k = heappop(filled)
        rows[k].append(item)
        heappush(filled, (size + lengths[item], k))
    rows = [[i] for i in order if lengths[i] > row] + [items for items in rows if items]
    sums = [sum(lengths[i] for i in items) for items in rows]
    return [[rows[k] for k in batch] for batch in pack(sums, budget)]
