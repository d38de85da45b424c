"""Starts dask workers as a ``ClusterSpec`` says: here, by ssh, or as jobs of a batch system.

What listens only for processes of this machine listens on the loopback address alone; a dashboard
always does, wherever its scheduler runs.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..cache.errors import BadCall, ClusterError
from .cluster_spec import BATCH, ClusterSpec
from .interrupts import interrupts_ignored
from .machine import n_cores

#: Pages of dask's schedulers and workers; its default is every address of the machine.
DASHBOARD = "127.0.0.1:0"
PAGE = {"dashboard_address": DASHBOARD}
#: Freed memory stays with the process instead of going back and forth to the kernel; dask's
#: presets cost a HuBERT forward pass a quarter more time.
KEEP_MEMORY = str(8 << 30)
#: What a worker that has a GPU offers, and one that has none.
GPU, CPU = "GPU", "CPU"


def start(spec: ClusterSpec, workers: int, scratch: str) -> Any:
    """Start a cluster; some of its workers may come later.

    Args:
        spec: its description.
        workers: processes, where the description leaves that open.
        scratch: a folder of dask's own, seen by all workers.

    Raises:
        BadCall: a package that this kind needs is not installed.
        ClusterError: it cannot be started.
    """
    # A local one is ours, and its faults are; others meet hosts and commands of other people.
    with interrupts_ignored():
        if spec.kind == "local":
            cluster = _local(spec, workers, scratch)
        else:
            with _remote_words() as said:
                try:
                    cluster = _ssh(spec) if spec.kind == "ssh" else _batch(spec, scratch)
                except BadCall:
                    raise
                except Exception as error:
                    why = "; the last it said: ".join([str(error) or repr(error), *said[-1:]])
                    raise ClusterError(
                        f"the cluster of kind '{spec.kind}' cannot be started: {why}"
                    ) from error
    if spec.most:
        cluster.adapt(minimum=spec.workers, maximum=spec.most)
    return cluster


def _local(spec: ClusterSpec, workers: int, scratch: str) -> Any:
    from distributed import LocalCluster

    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address=DASHBOARD,
        local_directory=scratch,
        silence_logs="CRITICAL",
        resources=_offered(spec) or None,
        protocol="tls://" if spec.tls else None,
    )


def _ssh(spec: ClusterSpec) -> Any:
    """A scheduler on the first host, workers on all of them."""
    _needed("asyncssh", spec.kind)
    from distributed import SSHCluster

    options, hosts = spec.options, spec.options["hosts"]
    connect = {key: options[key] for key in ("username", "port") if key in options}
    processes = options.get("processes", 1)
    workers: dict[str, Any] = {"nthreads": 1, "n_workers": processes, **PAGE}
    if offered := _offered(spec):
        workers["resources"] = offered
    scheduler: dict[str, Any] = {"port": 0, **PAGE}
    if spec.tls:
        workers["protocol"] = scheduler["protocol"] = "tls://"
    return SSHCluster(
        [hosts[0], *hosts],
        connect_options=connect,
        worker_options=workers,
        scheduler_options=scheduler,
    )


def _batch(spec: ClusterSpec, scratch: str) -> Any:
    """A scheduler in this process, workers as jobs."""
    _needed("dask_jobqueue", spec.kind)
    from distributed.security import Security

    name, account = BATCH[spec.kind]
    options = {"cores": 1, "processes": 1, **spec.options}
    if "account" in options:
        options[account] = options.pop("account")
    if gpus := options.pop("gpus", 0):
        options["job_extra_directives"] = [f"--gres=gpu:{gpus}"]
        options["worker_extra_args"] = ["--resources", f"{GPU}={gpus}"]
    # One task at a time each, like everywhere: a task uses its threads itself.
    extra = options.get("worker_extra_args", [])
    pages = ["--dashboard-address", DASHBOARD]
    options["worker_extra_args"] = [*extra, "--nthreads", "1", *pages]
    given = environment(options["cores"] // options["processes"] or 1)
    options["job_script_prologue"] = [f"export {name}={value}" for name, value in given.items()]
    security = Security() if spec.tls else None
    return getattr(importlib.import_module("dask_jobqueue"), name)(
        n_workers=spec.workers,
        scheduler_options={**PAGE},
        security=security,
        protocol="tls://" if spec.tls else None,
        shared_temp_directory=scratch,
        local_directory=scratch,
        **options,
    )


def _offered(spec: ClusterSpec) -> dict[str, int]:
    gpus = spec.options.get("gpus", 0)
    return {GPU: gpus} if gpus else {}


def _needed(module: str, kind: str) -> None:
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.replace("_", "-")
        raise BadCall(
            f"a cluster of kind '{kind}' needs {package}, which is not installed: "
            "pip install 'affectflow[cluster]'"
        ) from error


def share(workers: int) -> int:
    """Threads of each of some workers on this machine."""
    return max(1, n_cores() // workers)


def environment(threads: int) -> dict[str, str]:
    """Environment of a worker: its share of the cores, set before any library is loaded."""
    names = ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "NUMBA")
    return {
        **{f"{name}_NUM_THREADS": str(threads) for name in names},
        "MALLOC_TRIM_THRESHOLD_": KEEP_MEMORY,
        "MALLOC_MMAP_THRESHOLD_": KEEP_MEMORY,
    }


@contextmanager
def _remote_words() -> Iterator[list[str]]:
    """Lines that processes started by ssh say, instead of in the terminal."""
    said: list[str] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    keeper, logger = Keeper(), logging.getLogger("distributed.deploy.ssh")
    logger.addHandler(keeper)
    logger.propagate = False
    try:
        yield said
    finally:
        logger.propagate = True
        logger.removeHandler(keeper)
