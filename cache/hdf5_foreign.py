"""HDF5 files of strangers: plain arrays by hard links, within bounds; and plain ones written.

What leads out of the file or in circles is refused: external and soft links, external and virtual
storage, object and region references. So is an array that declares far more than the file holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from .errors import BadInput
from .publish import publish
from .records import Array

SIGNATURE = b"\x89HDF\r\n\x1a\n"
#: Places where the signature may stand: after a user block.
STARTS = (0, 512, 1024, 2048)
#: Groups inside of groups, and entries of all groups.
DEEPEST, MOST = 16, 5_000_000
#: An array beyond so many bytes must not be so many times what the file stores of it.
SMALL, MOST_TIMES = 64 << 20, 200


def is_hdf5(head: bytes) -> bool:
    """Whether a file with these first bytes is HDF5."""
    return any(head[at : at + len(SIGNATURE)] == SIGNATURE for at in STARTS)


class ForeignHdf5:
    """A stranger's file, open for reading; use it in a ``with`` statement.

    Raises:
        BadInput: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        import h5py

        self.path = path
        with _told(path):
            self._file = h5py.File(path, "r", locking=False)

    def __enter__(self) -> ForeignHdf5:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def names(self, within: str = "/") -> list[str]:
        """Paths of all arrays below a group, sorted; links are looked at, not followed.

        Raises:
            BadInput: a link leads elsewhere or in a circle, or there are too many.
        """
        with _told(self.path):
            found = sorted(self._walk(within.rstrip("/"), 0, {self._mark(self._file)}))
        return found

    def read(self, name: str) -> Array:
        """An array of numbers or of fixed-length text, whole.

        Raises:
            BadInput: there is none of this name, it is of another kind, or larger than it may be.
        """
        import h5py

        with _told(self.path):
            item: Any = self._file
            path = ""
            for part in name.strip("/").split("/"):
                path += f"/{part}"
                item = self._hard(item, part, path)
            if not isinstance(item, h5py.Dataset):
                raise BadInput(f"'{name}' is a group, not an array")
            _check(item, name)
            found: Array = item[()] if item.shape == () else item[...]
        return np.asarray(found)

    def _walk(self, path: str, depth: int, seen: set[tuple[int, int]]) -> Iterator[str]:
        import h5py

        group = self._file[path] if path else self._file
        if depth > DEEPEST:
            raise BadInput(f"more than {DEEPEST} groups inside of each other at '{path}'")
        for name in group:
            item = self._hard(group, name, f"{path}/{name}")
            if isinstance(item, h5py.Dataset):
                yield f"{path}/{name}"
            elif isinstance(item, h5py.Group):
                mark = self._mark(item)
                if mark in seen or len(seen) > MOST:
                    raise BadInput(f"'{path}/{name}' leads to a group that was met before")
                seen.add(mark)
                yield from self._walk(f"{path}/{name}", depth + 1, seen)

    def _hard(self, group: Any, name: str, path: str) -> Any:
        """What a hard link leads to."""
        import h5py

        link = group.get(name, getlink=True) if isinstance(group, h5py.Group) else None
        if link is None:
            raise BadInput(f"there is no '{path}' in it")
        if not isinstance(link, h5py.HardLink):
            kind = "an external" if isinstance(link, h5py.ExternalLink) else "a soft"
            raise BadInput(f"'{path}' is {kind} link: refused, only what lies in the file is read")
        return group[name]

    def _mark(self, group: Any) -> tuple[int, int]:
        import h5py

        about = h5py.h5o.get_info(group.id)
        return int(about.fileno), int(about.addr)


def _check(item: Any, name: str) -> None:
    """See that an array is plain and not larger than what is stored of it may become."""
    import h5py

    if h5py.check_ref_dtype(item.dtype) is not None:
        raise BadInput(f"'{name}' holds references to objects: refused")
    if item.dtype.kind not in "fiubSU":
        raise BadInput(f"'{name}' is of type {item.dtype}: numbers and plain text are read")
    if item.external or item.is_virtual:
        raise BadInput(f"'{name}' lies in other files: refused, only what lies in the file is read")
    stored, size = item.id.get_storage_size(), item.size or 0
    if size * item.dtype.itemsize > max(SMALL, MOST_TIMES * stored):
        raise BadInput(
            f"'{name}' declares {item.shape} {item.dtype}, {size * item.dtype.itemsize:,} bytes, "
            f"and the file holds {stored:,} of them: refused"
        )


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except BadInput as error:
        raise BadInput(f"'{path}': {error}") from error
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError) as error:
        raise BadInput(f"'{path}' cannot be read as HDF5: {str(error)[:200]}") from error
    except MemoryError as error:
        raise BadInput(f"'{path}' holds an array that does not fit into memory") from error


def write_hdf5(path: Path, arrays: Mapping[str, Array], texts: Mapping[str, str] = {}) -> None:
    """Write arrays, and texts of their own, under their paths; a file that is there is replaced.

    Raises:
        StoreFull: the file system has no room.
    """
    import io

    import h5py

    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values, track_times=False)
        for name, text in texts.items():
            file.create_dataset(name, (1,), h5py.string_dtype(), [text], track_times=False)
    publish(path, image.getbuffer(), replace=True)
