"""What a run spent: bytes by node, the slowest utterances, the most memory of each process."""

from __future__ import annotations

import heapq
import resource
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ..cache.layout import size_of

if TYPE_CHECKING:
    from .result import Run

#: Slowest utterances that a run remembers.
SLOWEST = 10


@dataclass(frozen=True, order=True)
class Slow:
    """Seconds that one utterance took at one node; in a group, its share of the group's."""

    seconds: float
    node: str
    utterance: str


@dataclass
class Spent:
    """What a run spent so far.

    Args:
        bytes: of the shards made, by node.
        slowest: utterances, the slowest first.
        workers: bytes of memory that the hungriest worker process ever held.
        driver: bytes of memory that this process ever held.
    """

    bytes: dict[str, int] = field(default_factory=dict)
    slowest: list[Slow] = field(default_factory=list)
    workers: int = 0
    driver: int = 0

    def wrote(self, node: str, n_bytes: int) -> None:
        """Count a shard."""
        self.bytes[node] = self.bytes.get(node, 0) + n_bytes

    def took(self, slow: Iterable[Slow], memory: int) -> None:
        """Take what a worker says of a task: its slowest utterances, and its memory at most."""
        self.slowest = slowest([*self.slowest, *slow])
        self.workers = max(self.workers, memory)

    def add(self, other: Spent) -> None:
        """Count what another part of the run spent."""
        for node, n_bytes in other.bytes.items():
            self.wrote(node, n_bytes)
        self.took(other.slowest, other.workers)
        self.driver = max(self.driver, other.driver)

    def as_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def costs(run: Run) -> dict[str, Any]:
    """What a run spent, its fits included, as plain JSON values: also ``seconds`` by node."""
    record = run.spent.as_record()
    record["seconds"] = dict(run.seconds)
    for name, state in run.states.items():
        if state.checkpoint is not None and run.made.get(name):
            record["seconds"][name] = state.checkpoint.meta.get("seconds", 0.0)
            record["bytes"][name] = size_of(state.checkpoint.folder)
    return record


def ended(done: Run) -> dict[str, object]:
    """What a run came to, for programs: how it ended, what it made, what that cost."""
    return {
        "state": "done" if done.ok else "failures",
        "made": done.made,
        "failures": done.n_failures,
        "spent": costs(done),
    }


def slowest(found: Iterable[Slow]) -> list[Slow]:
    """The slowest of some, the slowest first."""
    return heapq.nlargest(SLOWEST, found)


def most_memory() -> int:
    """Bytes of memory that this process held at most so far."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
