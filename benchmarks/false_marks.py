"""How often 'affectflow compare' marks a difference where there is none.

Two models are equally good by six metrics, but utterances of one video are alike: ``alike`` is the
share of the variance of a difference that lies between videos. Counted are tables with at least one
mark; beside it, what Holm's correction of the paired t-test over utterances would have called.
"""

from __future__ import annotations

import numpy as np

from affectflow.cache.records import Array
from affectflow.train.compare import holm
from affectflow.train.tallies import Tally
from affectflow.workflows.versus import LEVEL, cells_of

TABLES, TESTS, DRAWS = 400, 6, 1000
#: Utterances of each video, and how alike they are.
CASES = {
    "60 videos of 7, alike 0.1": ([7] * 60, 0.1),
    "60 videos of 7, not alike": ([7] * 60, 0.0),
    "20 videos of 20, alike 0.1": ([20] * 20, 0.1),
    "20 videos of 2 to 40, alike 0.2": (list(range(2, 42, 2)), 0.2),
    "12 videos of 30, alike 0.2": ([30] * 12, 0.2),
    "12 videos of 5 to 60, alike 0.2": (list(range(5, 65, 5)), 0.2),
}


def tally(errors: Array) -> Tally:
    """A mean of errors (n,) of one seed."""
    parts = np.stack([errors, np.ones(len(errors))], axis=1)[None]
    return Tally(parts, lambda sums: sums[..., 0] / sums[..., 1], errors)


def rates(sizes: list[int], alike: float) -> tuple[float, float]:
    """Share of tables with a mark, and with an adjusted p of the t-test below the level."""
    rng = np.random.default_rng(0)
    video = np.repeat(np.arange(len(sizes)), sizes)
    marked = naive = 0
    for _ in range(TABLES):
        shared = rng.normal(0, alike**0.5, (TESTS, len(sizes)))[:, video]
        apart = shared + rng.normal(0, (1 - alike) ** 0.5, shared.shape)
        found = {
            "reference": {f"{k}": tally(np.zeros(len(video))) for k in range(TESTS)},
            "other": {f"{k}": tally(row) for k, row in enumerate(apart)},
        }
        cells = cells_of(found, "reference", video, video, DRAWS, seed=0)["other"].values()
        versus = [cell.versus for cell in cells if cell.versus]
        marked += any(one.differs for one in versus)
        naive += min(holm([one.p_t for one in versus])) < LEVEL
    return marked / TABLES, naive / TABLES


def main() -> None:
    """Print both shares of each case."""
    print(f"{TABLES} tables of {TESTS} tests, {DRAWS} draws; level {LEVEL:g}")
    for name, case in CASES.items():
        marked, naive = rates(*case)
        print(f"figure false_marks ({name}) = {marked:.3f}; t-test over utterances {naive:.3f}")


if __name__ == "__main__":
    main()
