"""A folder of an object store: whole objects in and out, by their names (only door to fsspec).

What may pass is tried again, here and in the libraries below. All other errors, and those that do
not pass, are raised as ours, with what was wanted of which store.
"""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from .errors import AffectflowError, BadCall, StoreUnreachable

#: Stores by the beginning of their addresses: what they are, the extra that brings the library.
SCHEMES = {"s3": ("S3", "s3"), "gs": ("Google Cloud Storage", "gcs"), "memory": ("memory", "")}
#: Seconds before each further try of what may pass.
PAUSES = (1.0, 5.0)
#: Requests that are under way at once.
THREADS = 16
_URL = re.compile(r"(\w+)://([A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9_=-][A-Za-z0-9._=-]*)*)/?")
_OPTIONS: dict[str, Any] = {"use_listings_cache": False}
_LASTING = (PermissionError, FileNotFoundError, FileExistsError, IsADirectoryError)
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Entry:
    """An object: its bytes, and when it was made (seconds since 1970, by the store's clock)."""

    bytes: int
    made: float


def is_url(address: str) -> bool:
    """Whether this names an object store, not a folder."""
    return "://" in address


class Remote:
    """A folder of an object store.

    Nothing is asked of it before it is needed.

    Args:
        url: ``s3://bucket/folder``, ``gs://bucket/folder``, ``memory://folder``.

    Raises:
        BadCall: that is no such address.
    """

    def __init__(self, url: str) -> None:
        match = _URL.fullmatch(url)
        if match is None or match[1] not in SCHEMES:
            known = ", ".join(f"{scheme}://BUCKET/FOLDER" for scheme in SCHEMES)
            raise BadCall(
                f"'{_without_secrets(url)}' is no address of an object store: {known} are, with "
                "letters, digits and ._=- in it. Keys and passwords belong into the environment, "
                "never into an address"
            )
        self.scheme, self._base = match[1], match[2]
        self.url = f"{match[1]}://{match[2]}"

    def __repr__(self) -> str:
        return f"Remote({self.url!r})"

    @cached_property
    def _files(self) -> Any:
        import fsspec

        try:
            return fsspec.filesystem(self.scheme, **_OPTIONS)
        except ImportError as error:
            told, extra = SCHEMES[self.scheme]
            raise BadCall(
                f"'{self.url}' lies in {told}, whose library is not installed: "
                f"pip install 'affectflow[{extra}]'"
            ) from error

    def listing(self, folder: str = "") -> dict[str, Entry]:
        """Every object below a folder, by its name."""
        place = self._path(folder)
        try:
            found = self._tried("list", lambda: self._files.find(place, detail=True))
        except FileNotFoundError as error:
            raise self._no_bucket() from error
        start = len(self._path("").strip("/")) + 1
        entries = {path.strip("/")[start:]: info for path, info in found.items() if info}
        return {name: Entry(int(info["size"]), _made(info)) for name, info in entries.items()}

    def read(self, name: str, begin: int | None = None, end: int | None = None) -> bytes:
        """An object's bytes, or some of them.

        Raises:
            FileNotFoundError: there is no such object.
        """
        place = self._path(name)
        found: bytes = self._tried(
            f"read '{name}' of", lambda: self._files.cat_file(place, start=begin, end=end)
        )
        return found

    def download(self, name: str, to: Path) -> None:
        """Write an object into a file here; it is not checked.

        Raises:
            FileNotFoundError: there is no such object.
        """
        place = self._path(name)
        self._tried(f"read '{name}' of", lambda: self._files.get_file(place, str(to)))

    def upload(self, file: Path, name: str) -> None:
        """Put a file there whole, in the place of what has the name; or leave that as it is."""
        place, size = self._path(name), file.stat().st_size

        def put() -> None:
            self._files.put_file(str(file), place)
            came = int(self._files.info(place)["size"])
            if came != size:
                raise OSError(f"{came} of {size} bytes came")

        try:
            self._tried(f"write '{name}' to", put)
        except FileNotFoundError as error:
            raise self._no_bucket() from error

    def create(self, name: str, image: bytes) -> bool:
        """Put a small object there unless there is one; False where there is.

        Of two who come at the same time, one is told that it is there, where the store knows
        conditional writes. Where it does not, the last one's stays.
        """
        place = self._path(name)

        def put() -> bool:
            if self._files.exists(place):
                return False
            try:
                self._files.pipe_file(place, image, mode="create")
            except OSError as error:
                if self._files.exists(place):
                    return False
                if error.errno != errno.ENOSYS:
                    raise
                self._files.pipe_file(place, image)  # a store without conditional writes
            return True

        try:
            return self._tried(f"write '{name}' to", put)
        except FileNotFoundError as error:
            raise self._no_bucket() from error

    def remove(self, names: Iterable[str]) -> None:
        """Remove objects; those that are gone are passed over."""

        def remove(name: str) -> None:
            place = self._path(name)
            with suppress(FileNotFoundError):
                self._tried(f"remove '{name}' from", lambda: self._files.rm_file(place))

        each(remove, list(names))

    def _path(self, name: str) -> str:
        whole = f"{self._base}/{name}" if name else self._base
        return f"/{whole}" if self.scheme == "memory" else whole

    def _tried(self, what: str, call: Callable[[], _Answer]) -> _Answer:
        """An answer of the store, asked again while the error may pass.

        Raises:
            FileNotFoundError: there is no such object, or no such bucket.
            StoreUnreachable: it refuses, or cannot be reached.
        """
        for pause in (*PAUSES, None):
            try:
                return call()
            except (FileNotFoundError, AffectflowError):
                raise
            except Exception as error:  # the libraries below raise their own
                if pause is None or isinstance(error, _LASTING) or _is_lasting(error):
                    raise self._unreachable(what, error) from error
            time.sleep(pause)
        raise AssertionError("the last try returns or raises")

    def _unreachable(self, what: str, error: Exception) -> StoreUnreachable:
        told = _without_secrets(str(error)) or type(error).__name__
        if isinstance(error, PermissionError) or _is_lasting(error):
            mend = (
                "Look at the credentials and the address in the library's usual environment "
                "(AWS_PROFILE, AWS_ENDPOINT_URL, GOOGLE_APPLICATION_CREDENTIALS and so on), and at "
                "what they may do: list, read, write and remove objects"
            )
        else:
            mend = (
                f"It was tried {len(PAUSES) + 1} times. What was made is kept: run the same "
                "command again once it answers"
            )
        return StoreUnreachable(f"cannot {what} the object store '{self.url}': {told}. {mend}")

    def _no_bucket(self) -> StoreUnreachable:
        bucket = self._base.partition("/")[0]
        return StoreUnreachable(
            f"the object store '{self.url}' cannot be used: there is no bucket '{bucket}'. Make it "
            "first, or correct the address; buckets are not made by affectflow"
        )


def each(work: Callable[[Any], object], things: Sequence[Any]) -> None:
    """Do something with each of many things, several at once; the first error is raised."""
    if len(things) < 2:
        for thing in things:
            work(thing)
        return
    with ThreadPoolExecutor(min(THREADS, len(things))) as pool:
        answers = [pool.submit(work, thing) for thing in things]
        try:
            for answer in answers:
                answer.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _is_lasting(error: Exception) -> bool:
    """Whether an error of the libraries says that no further try will help."""
    name = type(error).__name__
    return "Credential" in name or "RefreshError" in name or name in ("ParamValidationError",)


def _without_secrets(text: str) -> str:
    """Text without what stands before an @ in an address."""
    return re.sub(r"://[^/@\s]*@", "://...@", text)


def _made(info: dict[str, Any]) -> float:
    """When an object was made, as the libraries tell it."""
    names = ("LastModified", "mtime", "updated", "created")
    told = next((info[name] for name in names if name in info), 0.0)
    if isinstance(told, str):
        told = datetime.fromisoformat(told.replace("Z", "+00:00"))
    return told.timestamp() if isinstance(told, datetime) else float(told)
