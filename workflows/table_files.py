"""Tables as files, whose suffix says how they are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from ..cache.errors import BadCall
from ..cache.publish import publish

Made = TypeVar("Made")


@dataclass(frozen=True)
class TableFiles(Generic[Made]):
    """The ways in which something is written to a file.

    Args:
        what: it is, for messages: ``a comparison is``.
        by_suffix: suffix -> what makes the file's text.
    """

    what: str
    by_suffix: Mapping[str, Callable[[Made], str]]

    def check(self, path: Path) -> Callable[[Made], str]:
        """What makes the text of such a file.

        Raises:
            BadCall: nothing does.
        """
        if path.suffix.lower() not in self.by_suffix:
            *first, last = (
                f"{suffix} (LaTeX)" if suffix == ".tex" else suffix for suffix in self.by_suffix
            )
            which = ", and the file's suffix says which" if first else ""
            listed = f"{', '.join(first)} or {last}" if first else last
            raise BadCall(f"cannot write '{path}': {self.what} written as {listed}{which}")
        return self.by_suffix[path.suffix.lower()]

    def write(self, made: Made, path: Path) -> Path:
        """Write the file, in the place of an older one.

        Raises:
            BadCall: nothing is written so.
            StoreFull: the file system has no room.
            StoreReadOnly: the folder cannot be written to.
        """
        publish(path, self.check(path)(made).encode(), replace=True)
        return path
