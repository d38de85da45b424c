"""News of a task while it runs, from wherever that is, to the driver that waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

#: Called with a node's name and words for people; maybe in another thread than the caller's.
Hear = Callable[[str, str], None]
#: Seconds between two pieces of news of a task.
EVERY = 1.0
_HEARS: ContextVar[Hear | None] = ContextVar("hears", default=None)


@contextmanager
def heard_by(hear: Hear | None) -> Iterator[None]:
    """Whoever hears the news of what runs inside; None: nobody."""
    before = _HEARS.set(hear)
    try:
        yield
    finally:
        _HEARS.reset(before)


class EpochNews:
    """How a fit goes on, told after an epoch (``train.course.Progress``).

    Args:
        node: of the fit.
        seeds: of the fit; they run side by side, or some at a time.
    """

    def __init__(self, node: str, seeds: int) -> None:
        self.node, self.seeds = node, seeds
        self._last = -EVERY

    def __call__(self, epoch: int, most: int, best: Sequence[float]) -> None:
        """Tell it, unless something was told just now."""
        hear, now = _HEARS.get(), time.monotonic()
        if hear is None or now - self._last < EVERY:
            return
        self._last = now
        low, high = (f"{end(best):.4g}" for end in (min, max))
        score = low if low == high else f"{low} to {high}"
        some = f" ({len(best)} of {self.seeds} seeds)" if len(best) < self.seeds else ""
        hear(self.node, f"epoch {epoch} of at most {most}, best validation error {score}{some}")
