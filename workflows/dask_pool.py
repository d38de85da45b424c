"""Runs tasks on dask workers. With ``cluster.py`` and ``tls.py`` the only door to dask.

Retries are ours: dask is told to give up at once. Workers that do not come back are started anew.
"""

from __future__ import annotations

import re
import secrets
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from ..cache.errors import ClusterError
from ..cache.names import temporary
from . import cluster, forkserver
from .cluster_spec import ClusterSpec
from .news import Hear, heard_by
from .pool import Answer, WorkerDied
from .tls import write_certificates

#: Tasks in flight for each worker: enough that none waits for the driver.
WINDOW = 3
#: Seconds in which a dask scheduler elsewhere must have its first worker, or another one when all
#: of them are gone.
PATIENCE = 60.0
#: Seconds between two looks whether workers are missing, while no task is ready.
LOOK = 2.0


class Dask:
    """Runs tasks on a dask cluster: one that is started for it, or one at an address.

    News of tasks comes as dask's events, in the thread of dask's client.

    Args:
        where: a cluster that is to be started, or the address of a scheduler.
        workers: processes, where the cluster's description leaves that open.
        scratch: folder in which dask gets one of its own for as long as this lives.
        hear: hears the news of tasks.

    Raises:
        ClusterError: the cluster cannot be started, nobody answers, or there is no worker.
        BadCall: a package that the cluster needs is missing.
    """

    def __init__(
        self, where: str | ClusterSpec, workers: int, scratch: Path, hear: Hear | None = None
    ) -> None:
        import dask
        from distributed import Client

        spec = where if isinstance(where, ClusterSpec) else None
        self._wanted = (spec.workers or workers) if spec else 0
        self._most = spec.most if spec else 0
        self._heals = spec is not None and spec.kind == "local" and not spec.most
        self._dead: set[Any] = set()
        self._scratch = temporary(scratch.absolute() / "dask")  # other hosts begin elsewhere
        self._settings = dask.config.set(_settings(spec, self._wanted or workers, self._scratch))
        self._client: Any = None
        self._cluster: Any = None
        try:
            if isinstance(where, ClusterSpec):
                self._cluster = cluster.start(where, self._wanted, str(self._scratch))
                self._client = Client(self._cluster, set_as_default=False)
            else:
                self._client = _connect(where)
            if spec is None or spec.kind != "local":
                _wait_for_workers(self._client, spec)
        except BaseException:
            self.close()
            raise
        self._topic = f"affectflow-{secrets.token_hex(8)}"  # other drivers have theirs
        if hear is not None:
            self._client.subscribe_topic(self._topic, lambda event: hear(*event[1]))
        self._ready: SimpleQueue[Any] = SimpleQueue()
        self._tasks: dict[str, Any] = {}

    @property
    def dashboard(self) -> str:
        """Address of dask's own page; empty where bokeh is not installed.

        Where the scheduler was started for this pool, it is one on the scheduler's own host.
        """
        link = str(self._client.dashboard_link or "")
        return link if self._cluster is None else re.sub("//.*:", "//127.0.0.1:", link)

    @property
    def room(self) -> bool:
        """Fewer tasks are in flight than the window allows."""
        return len(self._tasks) < WINDOW * max(self.workers, self._most)

    @property
    def workers(self) -> int:
        """Those that the scheduler knows now."""
        return len(self._known()) or 1

    @property
    def busy(self) -> bool:
        """Whether any task is in flight."""
        return bool(self._tasks)

    def submit(self, function: Callable[[Any], Any], task: Any) -> None:
        """Send it to a worker; never run again by dask itself.

        Where workers offer GPUs or are marked as having none, it goes to one of its kind.
        """
        key = f"{getattr(function, '__name__', 'task')}-{secrets.token_hex(16)}"  # as dask names it
        kind = cluster.GPU if getattr(task, "wants_gpu", False) else cluster.CPU
        offered = any(kind in worker["resources"] for worker in self._known().values())
        future = self._client.submit(
            _on_worker,
            function,
            self._topic,
            task,
            key=key,
            retries=0,
            resources={kind: 1} if offered else None,
        )
        self._tasks[str(future.key)] = task
        future.add_done_callback(self._ready.put)

    def next(self) -> Answer:
        """Wait for any task that is in flight."""
        from distributed import KilledWorker

        future = self._wait()
        task = self._tasks.pop(str(future.key))
        if future.cancelled():  # nobody here cancels: the connection is gone
            raise _gone()
        error = future.exception()
        if error is None:
            answer = Answer(task, future.result())
        elif isinstance(error, KilledWorker):
            answer = Answer(task, error=WorkerDied(str(error)))
        else:
            answer = Answer(task, error=error)
        future.release()
        return answer

    def _wait(self) -> Any:
        """The next future that is done; meanwhile, workers that are missing are seen to."""
        alone_since: float | None = None
        while True:
            try:
                return self._ready.get(timeout=LOOK)
            except Empty:
                known = len(self._known())
            if known:
                alone_since = None
            if self._heals:
                self._restart()
            elif not known and self._cluster is None:
                alone_since = alone_since or time.monotonic()
                if time.monotonic() - alone_since > PATIENCE:
                    raise ClusterError(
                        f"the dask scheduler has no worker left for {PATIENCE:g} s. What was made "
                        "is kept: start workers, and run the same command to go on"
                    )

    def _restart(self) -> None:
        """Start workers whose process was dead at the last look too.

        Dask does that itself, except for one that dies in the moment when it starts.
        """
        dead = {nanny for nanny in self._cluster.workers.values() if nanny.pid is None}
        for nanny in dead & self._dead:
            self._cluster.loop.add_callback(nanny.instantiate)
        self._dead = dead

    def _known(self) -> dict[str, Any]:
        """The workers that the scheduler knows now, by address."""
        try:
            found: dict[str, Any] = self._client.scheduler_info(n_workers=-1)["workers"]
        except OSError as error:
            raise _gone() from error
        return found

    def close(self) -> None:
        """Stop the client and, if it is ours, the cluster; dask's settings are as before."""
        if self._client is not None:
            self._client.close(timeout=5)
        if self._cluster is not None:
            # A worker that died while dask started it may never be heard to have closed; it is
            # gone, and whatever is not yet goes with this process.
            with suppress(TimeoutError):
                self._cluster.close(timeout=10)
        self._settings.__exit__(None, None, None)
        shutil.rmtree(self._scratch, ignore_errors=True)


def _settings(spec: ClusterSpec | None, workers: int, scratch: Path) -> dict[str, Any]:
    """Dask's settings while a pool is open."""
    beside = 1 if spec is None or spec.kind != "local" else workers  # on one machine
    threads = (spec.options.get("cores") if spec else None) or cluster.share(beside)
    environment = cluster.environment(threads)
    return {
        "distributed.worker.multiprocessing-method": forkserver.method(environment),
        # Every task on a worker that dies comes back at once; the driver runs each of them
        # again alone, so that the innocent ones pass and the guilty one is found.
        "distributed.scheduler.allowed-failures": 0,
        "distributed.comm.timeouts.connect": "10s",
        # A worker that starts slowly on a busy machine is not lost; see ``_restart``.
        "distributed.deploy.lost-worker-timeout": "1d",
        "distributed.nanny.pre-spawn-environ": environment,
        "distributed.admin.low-level-log-length": 100,
        "temporary-directory": str(scratch),
        **(write_certificates(scratch / "tls") if spec is not None and spec.tls else {}),
    }


def _on_worker(function: Callable[[Any], Any], topic: str, task: Any) -> Any:
    """Run a task on a dask worker; its news goes to the driver."""
    from distributed import get_worker

    worker = get_worker()
    with heard_by(lambda node, words: worker.log_event(topic, (node, words))):
        return function(task)


def _connect(address: str) -> Any:
    """A client of the dask scheduler at an address."""
    from distributed import Client

    try:
        return Client(address, set_as_default=False)
    except (OSError, TypeError, ValueError) as error:
        hint = (
            "; certificates are dask's own settings (distributed.comm.tls)"
            if address.startswith("tls://")
            else ""
        )
        raise ClusterError(f"no dask scheduler answers at '{address}': {error}{hint}") from error


def _wait_for_workers(client: Any, spec: ClusterSpec | None) -> None:
    """Wait for the first worker of a scheduler elsewhere; a batch system takes as long as it takes.

    Raises:
        ClusterError: there is none in time.
    """
    if spec is not None and spec.kind != "ssh":
        return
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except TimeoutError as error:
        address = client.scheduler.address
        raise ClusterError(
            f"the dask scheduler at '{address}' has no worker after {PATIENCE:g} s; start one that "
            f"sees the same folders: dask worker {address}"
        ) from error


def _gone() -> ClusterError:
    return ClusterError(
        "the dask scheduler went away. What was made is kept: run the same command to go on"
    )
