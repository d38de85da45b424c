"""Where tasks run: in this process, or on dask workers. The only door to dask.

A sliding window of tasks is in flight, never the whole graph. Retries are ours: dask is told to
give up at once.
"""

from __future__ import annotations

import ast
import secrets
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..cache.errors import BadCall, ClusterError
from ..cache.publish import temporary
from .machine import memory, n_cores
from .news import Hear, heard_by

#: Tasks in flight for each worker: enough that none waits for the driver.
WINDOW = 3
#: Freed memory stays with the process instead of going back and forth to the kernel; dask's
#: presets cost a HuBERT forward pass a quarter more time.
KEEP_MEMORY = str(8 << 30)
#: Seconds in which a dask scheduler elsewhere must have its first worker.
PATIENCE = 60.0
SCHEDULERS = "sync, processes, or the address of a dask scheduler (tcp://host:port)"


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

    def submit(self, function: Callable[[Any], Any], task: Any) -> None:
        """Start a task."""

    def next(self) -> Answer:
        """Wait for one answer."""

    def close(self) -> None:
        """Stop workers; what they published stays."""


class Here:
    """Runs each task at once, in this process: for notebooks, debugging, and tiny jobs."""

    workers = 1

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


class Dask:
    """Runs tasks on a dask cluster: one of this machine's processes, or one at an address.

    News of tasks comes as dask's events, in the thread of dask's client.
    """

    def __init__(
        self, address: str | None, workers: int, scratch: Path, hear: Hear | None = None
    ) -> None:
        import dask
        from distributed import Client, LocalCluster
        from distributed.client import as_completed

        threads = max(1, n_cores() // workers)
        self._scratch = str(temporary(scratch / "dask"))
        self._settings = dask.config.set(
            {
                # Every task on a worker that dies comes back at once; the driver runs each of them
                # again alone, so that the innocent ones pass and the guilty one is found.
                "distributed.scheduler.allowed-failures": 0,
                "distributed.comm.timeouts.connect": "10s",
                "distributed.nanny.pre-spawn-environ": environment(threads),
                "distributed.admin.low-level-log-length": 100,
                "temporary-directory": self._scratch,
            }
        )
        self._client: Any = None
        self._cluster: Any = None
        try:
            if address is None:
                with _interrupts_ignored():
                    self._cluster = LocalCluster(
                        n_workers=workers,
                        threads_per_worker=1,
                        processes=True,
                        host="127.0.0.1",
                        dashboard_address="127.0.0.1:0",
                        local_directory=self._scratch,
                        silence_logs="CRITICAL",
                    )
                self._client = Client(self._cluster, set_as_default=False)
            else:
                self._client = _connect(address)
        except BaseException:
            self.close()
            raise
        self._topic = f"affectflow-{secrets.token_hex(8)}"  # other drivers have theirs
        if hear is not None:
            self._client.subscribe_topic(self._topic, lambda event: hear(*event[1]))
        self._flight = as_completed(loop=self._client.loop)
        self._tasks: dict[str, Any] = {}

    @property
    def dashboard(self) -> str:
        """Address of dask's own page; empty where bokeh is not installed."""
        return str(self._client.dashboard_link or "")

    @property
    def room(self) -> bool:
        """Fewer tasks are in flight than the window allows."""
        return len(self._tasks) < WINDOW * self.workers

    @property
    def workers(self) -> int:
        """Those that the scheduler knows now."""
        return len(self._client.scheduler_info(n_workers=-1)["workers"]) or 1

    @property
    def busy(self) -> bool:
        """Whether any task is in flight."""
        return bool(self._tasks)

    def submit(self, function: Callable[[Any], Any], task: Any) -> None:
        """Send it to a worker; never run again by dask itself."""
        key = f"{getattr(function, '__name__', 'task')}-{secrets.token_hex(16)}"  # as dask names it
        future = self._client.submit(_on_worker, function, self._topic, task, key=key, retries=0)
        self._tasks[str(future.key)] = task
        self._flight.add(future)

    def next(self) -> Answer:
        """Wait for any task that is in flight."""
        from distributed import KilledWorker

        future = next(self._flight)
        task = self._tasks.pop(str(future.key))
        if future.cancelled():  # nobody here cancels: the connection is gone
            raise ClusterError(
                "the dask scheduler went away. What was made is kept: run the same command to go on"
            )
        error = future.exception()
        if error is None:
            answer = Answer(task, future.result())
        elif isinstance(error, KilledWorker):
            answer = Answer(task, error=WorkerDied(str(error)))
        else:
            answer = Answer(task, error=error)
        future.release()
        return answer

    def close(self) -> None:
        """Stop the client and, if it is ours, the cluster; dask's settings are as before."""
        if self._client is not None:
            self._client.close(timeout=5)
        if self._cluster is not None:
            self._cluster.close(timeout=10)
        self._settings.__exit__(None, None, None)
        shutil.rmtree(self._scratch, ignore_errors=True)


def _on_worker(function: Callable[[Any], Any], topic: str, task: Any) -> Any:
    """Run a task on a dask worker; its news goes to the driver."""
    from distributed import get_worker

    worker = get_worker()
    with heard_by(lambda node, words: worker.log_event(topic, (node, words))):
        return function(task)


def _connect(address: str) -> Any:
    """A client of the dask scheduler at an address, once it has a worker."""
    from distributed import Client

    try:
        client = Client(address, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ClusterError(f"no dask scheduler answers at '{address}': {error}") from error
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except TimeoutError as error:
        client.close()
        raise ClusterError(
            f"the dask scheduler at '{address}' has no worker after {PATIENCE:g} s; start one that "
            f"sees the same folders: dask worker {address}"
        ) from error
    return client


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Processes started inside never hear Ctrl-C: the driver alone does, and stops them.

    What a process ignores, its children ignore from their first instruction on.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's; here nobody presses Ctrl-C
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def environment(threads: int) -> dict[str, str]:
    """Environment of a worker: its share of the cores, set before any library is loaded."""
    names = ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "NUMBA")
    return {
        **{f"{name}_NUM_THREADS": str(threads) for name in names},
        "MALLOC_TRIM_THRESHOLD_": KEEP_MEMORY,
        "MALLOC_MMAP_THRESHOLD_": KEEP_MEMORY,
    }


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
        BadCall: it is neither sync, processes, nor an address.
    """
    if scheduler not in ("sync", "processes") and "://" not in scheduler:
        raise BadCall(f"scheduler must be {SCHEDULERS}, not '{scheduler}'")


def open_pool(scheduler: str, workers: int, scratch: Path, hear: Hear | None = None) -> Pool:
    """Make the pool that ``--scheduler`` names.

    Args:
        scheduler: ``sync``, ``processes`` or an address.
        workers: processes on this machine.
        scratch: folder in which dask may make a temporary one of its own.
        hear: hears the news of tasks while they run.
    """
    if scheduler == "sync":
        return Here(hear)
    return Dask(None if scheduler == "processes" else scheduler, workers, scratch, hear)


def main_is_guarded() -> bool:
    """Whether the running script can be imported again by worker processes.

    A worker process of this machine imports the main script; one that calls ``af.run`` outside
    of ``if __name__ == "__main__":`` would start a cluster in each worker without end.
    """
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    if path is None or not Path(path).is_file():
        return True  # a notebook or an interactive session: nothing is imported again
    try:
        tree = ast.parse(Path(path).read_bytes())
    except (SyntaxError, ValueError):
        return True  # not Python source: a frozen program
    return any(_is_guard(node) for node in _statements(tree))


def _statements(tree: ast.Module) -> Iterator[ast.If]:
    return (node for node in tree.body if isinstance(node, ast.If))


def _is_guard(node: ast.If) -> bool:
    return any(isinstance(n, ast.Name) and n.id == "__name__" for n in ast.walk(node.test))
