"""Files of a working folder whose bytes lie in the object store, brought here when they are read.

A file that is away is stood for by another one with ``.away`` behind its name: as long as the
file, and of a shard with all that is not rows in its place; the rest takes no room. So a store is
listed, indexed and added up without its rows. What was read is kept, up to a bound; what was not
read for the longest time goes first.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from .errors import Damaged, NotCached
from .mirror import BULKY, Mirror, mirror_of
from .names import AWAY, digest_in_name, file_digest, temporary
from .remote import each
from .shard_front import FIRST, BadFront, NewerFormat, read_front

#: Share of the bound that is left when something had to go, and that may come before it is added
#: up again: so several processes on one machine together stay below the bound.
LEFT, UNCOUNTED = 0.8, 0.02
_KNOWN = 1 << 30  # of formats: a stand-in can be made of any
_came: dict[Path, int] = {}  # bytes that this process brought to a folder since it was added up


def stand_in(path: Path) -> Path:
    """What stands for a file that is away."""
    return path.with_name(path.name + AWAY)


def named(paths: Iterable[Path]) -> list[Path]:
    """Files by their own names, here or away, sorted."""
    return sorted({_own(path) for path in paths})


def _own(path: Path) -> Path:
    """What a stand-in stands for; any other file is itself."""
    return path.with_name(path.name.removesuffix(AWAY)) if path.name.endswith(AWAY) else path


def stat_of(path: Path) -> os.stat_result:
    """What the file system says of a file, or of what stands for it.

    Raises:
        FileNotFoundError: there is neither.
    """
    try:
        return path.stat()
    except FileNotFoundError:
        return stand_in(path).stat()


def is_there(path: Path) -> bool:
    """Whether there is such a file, here or away."""
    return path.is_file() or stand_in(path).is_file()


def here(path: Path) -> Path:
    """A file whose bytes are here, and were asked for now; they are brought if it is away.

    Raises:
        Damaged: what came is not what was written.
        NotCached: the object store has no such file (any more).
        StoreUnreachable: it refuses, or does not answer.
    """
    mirror = mirror_of(path)
    if mirror is None or (name := mirror.name_of(path)) is None:
        return path
    try:
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
    except FileNotFoundError:
        with mirror.alone(path):
            if not path.exists():
                _bring(mirror, path, name)
    return path


def all_here(paths: Sequence[Path]) -> None:
    """Bring several files at once, if all of them may stay; else each comes when it is read."""
    missing = [path for path in paths if mirror_of(path) is not None and not path.exists()]
    if not missing or (mirror := mirror_of(missing[0])) is None:
        return
    n_bytes = sum(stat_of(path).st_size for path in paths if is_there(path))
    if n_bytes <= mirror.local_bytes * LEFT:
        each(here, missing)


def read_record(path: Path) -> bytes:
    """A small file's bytes; looked for in the object store where it is not here.

    Raises:
        FileNotFoundError: there is none.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        mirror = mirror_of(path)
        name = None if mirror is None else mirror.name_of(path)
        if mirror is None or name is None:
            raise
        image = mirror.remote.read(name)
        keep(path, lambda part: part.write_bytes(image))
        return image


def keep(path: Path, fill: Callable[[Path], object], made: float | None = None) -> None:
    """Give a copy of what the object store holds its name here, whole; no crash can lose it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = temporary(path)
    try:
        fill(part)
        if made is not None:
            os.utime(part, (os.stat(part).st_atime, made))
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def leave_stand_in(path: Path, size: int, read: Callable[[int, int], bytes], made: float) -> None:
    """Make what stands for a file.

    Args:
        path: the file.
        size: its bytes.
        read: gives so many of its bytes from one on.
        made: when it was made, in seconds since 1970.
    """
    pieces = dict(_pieces(size, read)) if path.suffix == ".h5" else {}

    def fill(part: Path) -> None:
        with open(part, "wb") as file:
            for at, piece in pieces.items():
                file.seek(at)
                file.write(piece)
            file.truncate(size)

    keep(stand_in(path), fill, made)


def _pieces(size: int, read: Callable[[int, int], bytes]) -> Iterator[tuple[int, bytes]]:
    """First byte and bytes of all that is not rows; of a damaged shard its beginning."""
    first = read(0, min(FIRST, size))

    def more(at: int, n: int) -> bytes:
        return first[at : at + n] if at + n <= len(first) else read(at, n)

    yield 0, first
    try:
        front, text = read_front(more, size, _KNOWN)
        spans = front.outside_rows()
    except (BadFront, NewerFormat, KeyError, TypeError, ValueError):
        return  # whoever opens it says what is wrong
    yield 0, max(first, text, key=len)
    for begin, end in spans:
        if len(first) < end <= size:
            yield begin, more(begin, end - begin)


def make_room(mirror: Mirror, most: int, spared: Path | None = None) -> None:
    """Send away what was not read for the longest time, if copies take more than ``most`` bytes."""
    copies = [(path, path.stat()) for path in _copies(mirror.root)]
    total = sum(found.st_size for _, found in copies)
    if total <= most:
        return
    for path, found in sorted(copies, key=lambda one: one[1].st_atime):
        if total <= most * LEFT:
            break
        if path != spared:
            path.unlink(missing_ok=True)  # who reads it still has it until it is closed
            total -= found.st_size


def _copies(root: Path) -> Iterator[Path]:
    """Files of a working folder that may be away: those that something could stand for."""
    for pattern in ("shards/*/*/*.h5", *(f"checkpoints/*/*/{name}" for name in BULKY)):
        yield from (path for path in root.glob(pattern) if stand_in(path).exists())


def _bring(mirror: Mirror, path: Path, name: str) -> None:
    """Bring a file, checked, and leave a stand-in for the time when it has to go again."""

    def fill(part: Path) -> None:
        for last in (False, False, True):  # a connection that was cut may leave half of it
            mirror.remote.download(name, part)
            if _is_right(mirror, path, part):
                return
            if last:
                raise Damaged(
                    f"'{name}' in '{mirror.remote.url}' is damaged: what comes does not fit its "
                    "digest. 'affectflow cache verify' names every damaged file, 'affectflow cache "
                    "prune --damaged' removes them, and the next run makes them again"
                )

    try:
        keep(path, fill, stat_of(path).st_mtime if is_there(path) else None)
    except FileNotFoundError as error:
        raise NotCached(
            f"'{name}' is not in '{mirror.remote.url}' any more: run the workflow again"
        ) from error
    came(mirror, path)


def _is_right(mirror: Mirror, path: Path, part: Path) -> bool:
    if path.name in BULKY:
        return hashlib.sha256(part.read_bytes()).hexdigest() == mirror.digest_of(path)
    return path.suffix != ".h5" or file_digest(part) == digest_in_name(path)


def came(mirror: Mirror, path: Path) -> None:
    """Leave a stand-in for a file that is here now; send others away if that is too much."""
    found = path.stat()
    if not stand_in(path).exists():
        with open(path, "rb", buffering=0) as file:

            def read(at: int, n: int) -> bytes:
                return os.pread(file.fileno(), n, at)

            leave_stand_in(path, found.st_size, read, found.st_mtime)
    count = _came.get(mirror.root, mirror.local_bytes) + found.st_size
    if count > mirror.local_bytes * UNCOUNTED:
        make_room(mirror, mirror.local_bytes, spared=path)
        count = 0
    _came[mirror.root] = count
