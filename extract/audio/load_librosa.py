"""librosa, imported by one process at a time: numba's compiled files bear no race."""

from __future__ import annotations

import functools
import importlib
from pathlib import Path
from typing import Any

from ...cache.index import cache_folder
from ...cache.publish import store_errors

#: Modules of librosa that compile gufuncs when they are imported.
_COMPILED = ("librosa.util.utils", "librosa.core.audio", "librosa.core.pitch")


@functools.cache
def load_librosa() -> Any:
    """The module ``librosa``, its gufuncs compiled, or read as another process has compiled them.

    numba keeps a gufunc in two files. Two processes that compile it at once can leave one file
    each; the pair is then used by all later processes, which die of a null pointer (numba's issue
    10128). Therefore one process at a time imports, and the files lie in a folder of our own, where
    no other program's pairs are (or in ``NUMBA_CACHE_DIR`` where that is set).

    Raises:
        StoreError: the folder of this user's disposable files cannot be written.
    """
    from filelock import FileLock
    from numba.core import config

    before = config.CACHE_DIR  # type: ignore[attr-defined]
    folder = Path(before) if before else cache_folder() / "numba"
    with store_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        lock.acquire()
    try:
        config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]
        for name in _COMPILED:
            importlib.import_module(name)
    finally:
        config.CACHE_DIR = before  # type: ignore[attr-defined]
        lock.release()
    return importlib.import_module("librosa")
