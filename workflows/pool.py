"""Where tasks run: in this process, or on dask workers (``dask_pool.py``).

A sliding window of tasks is in flight, never the whole graph.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..cache.errors import BadCall
from .cluster_spec import ClusterSpec
from .machine import memory, n_cores
from .news import Hear, heard_by

#: The scheduler that a recipe's ``cluster`` describes.
CLUSTER = "cluster"
SCHEDULERS = (
    "sync, processes, cluster (the recipe's own), or the address of a dask scheduler "
    "(tcp://host:port)"
)


class WorkerDied(Exception):
    """The worker that ran a task died: a segfault or the kernel's memory killer."""


@dataclass(frozen=True)
class Answer:
    """What came back of a task: its result, or the error it ended with."""

    task: Any
    result: Any = None
    error: BaseException | None = None


class Pool(Protocol):
    """Runs functions of one argument; answers come in the order in which they are ready."""

    @property
    def room(self) -> bool:
        """Whether another task may be submitted now."""

    @property
    def busy(self) -> bool:
        """Whether any task is in flight."""

    @property
    def workers(self) -> int:
        """Tasks that run side by side."""

    @property
    def dashboard(self) -> str:
        """Address of a page that shows what runs; empty where there is none."""

    def submit(self, function: Callable[[Any], Any], task: Any) -> None:
        """Start a task."""

    def next(self) -> Answer:
        """Wait for one answer."""

    def close(self) -> None:
        """Stop workers; what they published stays."""


class Here:
    """Runs each task at once, in this process: for notebooks, debugging, and tiny jobs."""

    workers = 1
    dashboard = ""

    def __init__(self, hear: Hear | None = None) -> None:
        self._hear = hear
        self._answers: list[Answer] = []

    @property
    def room(self) -> bool:
        """One task at a time."""
        return not self._answers

    @property
    def busy(self) -> bool:
        """Whether an answer waits to be fetched."""
        return bool(self._answers)

    def submit(self, function: Callable[[Any], Any], task: Any) -> None:
        """Run it."""
        try:
            with heard_by(self._hear):
                self._answers.append(Answer(task, function(task)))
        except Exception as error:  # handed to the driver, which decides
            self._answers.append(Answer(task, error=error))

    def next(self) -> Answer:
        """The answer of the task that ran."""
        return self._answers.pop(0)

    def close(self) -> None:
        """Nothing to stop."""


def n_workers(wanted: int | None, peak_memory: int) -> int:
    """Workers for this machine: one a core, as far as memory reaches.

    Args:
        wanted: what the user asked for; None: decide.
        peak_memory: bytes that one worker may need.

    Raises:
        BadCall: less than one was asked for.
    """
    if wanted is not None:
        if wanted < 1:
            raise BadCall(f"--workers must be at least 1, not {wanted}")
        return wanted
    return max(1, min(n_cores(), memory() // max(peak_memory, 1)))


def check_scheduler(scheduler: str) -> None:
    """Refuse a scheduler that is none.

    Raises:
        BadCall: it is neither sync, processes, cluster, nor an address.
    """
    if scheduler not in ("sync", "processes", CLUSTER) and "://" not in scheduler:
        raise BadCall(f"scheduler must be {SCHEDULERS}, not '{scheduler}'")


def check_cluster(scheduler: str, cluster: ClusterSpec | None) -> None:
    """Refuse to start the cluster of a recipe that has none.

    Raises:
        BadCall: there is none.
    """
    if scheduler == CLUSTER and cluster is None:
        raise BadCall(
            "--scheduler cluster: the recipe has no 'cluster'; say what it is, for example "
            "--set cluster.kind=slurm --set cluster.workers=8 --set cluster.memory=16GB"
        )


def open_pool(
    scheduler: str,
    workers: int,
    scratch: Path,
    hear: Hear | None = None,
    cluster: ClusterSpec | None = None,
) -> Pool:
    """Make the pool that ``--scheduler`` names.

    Args:
        scheduler: ``sync``, ``processes``, ``cluster`` or an address.
        workers: processes on this machine.
        scratch: folder in which dask may make a temporary one of its own.
        hear: hears the news of tasks while they run.
        cluster: the recipe's.
    """
    if scheduler == "sync":
        return Here(hear)
    from .dask_pool import Dask

    own = cluster if scheduler == CLUSTER else None
    where = scheduler if "://" in scheduler else own or ClusterSpec(workers=workers)
    return Dask(where, workers, scratch, hear)
