"""Read ahead: make the next items while the reader still works on the last one."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from queue import SimpleQueue
from typing import TypeVar

Item = TypeVar("Item")


def read_ahead(items: Iterator[Item], room: int) -> Generator[Item, None, None]:
    """The same items in the same order, made by a thread of their own.

    An error comes where the item would have come. The thread ends with the items, or when the
    reader closes this generator; nothing of it is left then.

    Args:
        items: what is read; closed in the end, if it can be.
        room: items that may wait for the reader, at least 1: they are what it takes in memory.
    """
    slots = threading.Semaphore(room)
    ready: SimpleQueue[tuple[list[Item], BaseException | None]] = SimpleQueue()
    stopped = threading.Event()

    def fill() -> None:
        try:
            for item in items:
                ready.put(([item], None))
                slots.acquire()
                if stopped.is_set():
                    break
            ready.put(([], None))
        except BaseException as error:  # raised again where the reader is
            ready.put(([], error))
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()

    thread = threading.Thread(target=fill, name="read-ahead", daemon=True)
    thread.start()
    try:
        while True:
            found, error = ready.get()
            if error is not None:
                raise error
            if not found:
                return
            yield found[0]
            slots.release()
    finally:
        stopped.set()
        slots.release()
        thread.join()
