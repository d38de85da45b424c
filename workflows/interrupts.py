"""Who hears Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interrupts_ignored() -> Iterator[None]:
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
