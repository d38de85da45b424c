"""Pickles of strangers, read by a machine that can make plain data and nothing else.

Python's own ``pickle`` is not used: it calls what a file names. Here a name is looked up in a
short table (``unpickle_made``), everything else is refused before anything of it is run. Large
arrays are not copied: they are views of the file, which stays mapped as long as they are held.

Sizes are held against the file before memory is taken, and what a file can make of few bytes
(containers, memory of things made before) is counted.
"""

from __future__ import annotations

import mmap
import os
import stat
import struct
from pathlib import Path
from typing import Any

from ...cache.errors import BadInput
from . import pickle_codes  # noqa: F401  # the machine's instructions
from .pickle_machine import Machine


def load_plain(path: Path) -> Any:
    """What a pickle holds: numbers, text, bytes, plain containers, numpy arrays, scalars, dtypes.

    A ``str`` of Python 2 is ``OldText``: bytes that are text where text is wanted. Large bytes are
    read-only views.

    Raises:
        BadInput: it names anything else (nothing of it was run), is no pickle, or is not whole.
        OSError: it cannot be read.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or not found.st_size:
            raise BadInput(f"'{path}' is empty or no plain file: a pickle was wanted")
        data = mmap.mmap(handle, 0, access=mmap.ACCESS_READ)
    finally:
        os.close(handle)
    return load_data(data, str(path))


def load_data(data: bytes | mmap.mmap, source: str = "the pickle") -> Any:
    """The same of bytes in memory, or of a mapped file; ``source`` is named in errors."""
    machine = Machine(data)
    try:
        return machine.run()
    except BadInput as error:
        raise BadInput(f"'{source}', byte {machine.begun:,}: {error}") from error
    except (IndexError, KeyError, struct.error, ValueError, TypeError, OverflowError) as error:
        raise BadInput(
            f"'{source}', byte {machine.begun:,}: this is no pickle, or it is damaged "
            f"({type(error).__name__}: {str(error)[:80]})"
        ) from error
