"""What a process may use of this machine: cores and memory, a container's limits included."""

from __future__ import annotations

import os
from pathlib import Path

from ..cache.errors import BadCall

_CGROUP_MEMORY = Path("/sys/fs/cgroup/memory.max")


def n_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory() -> int:
    """Bytes of memory that this machine, or the container, has."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _CGROUP_MEMORY.read_text().strip() if _CGROUP_MEMORY.is_file() else "max"
    return min(physical, int(limit)) if limit.isdigit() else physical


def n_threads() -> int:
    """Threads that numeric libraries were given in this process; recorded beside results."""
    return int(os.environ.get("OMP_NUM_THREADS", 0)) or n_cores()


def check_device(device: str) -> None:
    """Refuse a GPU that is not there.

    Args:
        device: ``cpu`` or ``cuda``.

    Raises:
        BadCall: it is ``cuda``, and torch sees none.
    """
    if device != "cuda":
        return
    import torch

    if not torch.cuda.is_available():
        raise BadCall("--device cuda: torch finds no usable GPU on this machine; use --device cpu")
