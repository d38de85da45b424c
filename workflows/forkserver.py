"""The process that this machine's workers are forked from: it has loaded the big libraries.

It is started while the driver still plans, so that both go on side by side, and no worker has to
load them again. On Linux only: elsewhere libraries are known to break in forked processes, and
workers are started afresh.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver

from .interrupts import interrupts_ignored

#: Whole environment of the server; there is one for as long as this process lives.
_environment: dict[str, str] = {}


def start(environment: Mapping[str, str], modules: Sequence[str]) -> None:
    """Start the server unless there is one; returns at once.

    Args:
        environment: what workers have from before any library is loaded; what this process's own
            environment says wins, as with dask.
        modules: to be loaded; those that are not installed are passed over.
    """
    if _environment or sys.platform != "linux":
        return
    own = dict(os.environ)
    _environment.update({**environment, **own})
    os.environ.update(_environment)
    try:
        with interrupts_ignored():
            forkserver.set_forkserver_preload(list(modules))
            forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(own)


def method(environment: Mapping[str, str]) -> str:
    """How to start workers that have an environment, in the words of ``multiprocessing``.

    Those of the server have its own, which cannot change any more.
    """
    return "forkserver" if _environment == {**environment, **os.environ} else "spawn"
