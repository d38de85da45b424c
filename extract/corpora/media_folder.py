"""Media files below a folder, found without ever leaving it, not even through a link."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field

#: Endings of media files; of several files of one clip, the one named first here is taken.
ENDINGS = (".mp4", ".mpg", ".avi", ".mov", ".mkv", ".webm", ".flv", ".m4v")
#: Parts of a path that are no names.
NO_NAMES = ("", ".", "..")
#: Errors of a folder that is simply not there.
NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)


class Unusable(Exception):  # noqa: N818  # never leaves the readers, which collect it as a fault
    """A path that leads out of the folder, fits several files, or lies in a closed folder."""


@dataclass
class Listing:
    """Media files of one folder.

    Args:
        files: stem to file name.
        spelled: digits without leading zeros to the stems that spell this number.
        links: stems whose file is a link.
    """

    files: dict[str, str] = field(default_factory=dict)
    spelled: dict[str, list[str]] = field(default_factory=dict)
    links: set[str] = field(default_factory=set)


class MediaFolder:
    """A folder of media; each folder below it is looked into once.

    Args:
        top: the folder.
        boundary: a folder, ``top`` or above it, that no file may lie outside of once links are
            followed; its own path may hold links.
    """

    def __init__(self, top: str, boundary: str) -> None:
        self.top = os.path.abspath(top)
        self._boundary = os.path.realpath(boundary)
        self._listings: dict[str, tuple[str, Listing]] = {}
        self._inside: dict[str, bool] = {}

    def path(self, relative: str) -> str:
        """Absolute path of a file, there or not.

        Raises:
            Unusable: it lies outside.
        """
        path = self._within(relative)
        if not self._real(os.path.dirname(path)) or (os.path.islink(path) and not self._real(path)):
            raise Unusable(f"{relative!r} is a link to {os.path.realpath(path)!r}")
        return path

    def find(self, stem: str) -> tuple[str, str]:
        """Absolute path of the media file of a name without ending, and the name it really has.

        The name differs where leading zeros were lost (``a/1`` for ``a/0001``). Where there is no
        file, the path is the one that it should have.

        Raises:
            Unusable: it lies outside, several files fit, or its folder cannot be listed.
        """
        relative, _, name = stem.rpartition("/")
        if name in NO_NAMES or "\0" in name:
            raise Unusable("not the name of a file")
        folder, listing = self._list(relative)
        if name not in listing.files:
            name = _spelling(name, listing)
        if name not in listing.files:
            return f"{folder}/{name}{ENDINGS[0]}", stem
        path = f"{folder}/{listing.files[name]}"
        if name in listing.links and not self._real(path):
            raise Unusable(f"{path!r} is a link to {os.path.realpath(path)!r}")
        return path, f"{relative}/{name}"

    def _within(self, relative: str) -> str:
        path = os.path.normpath(os.path.join(self.top, relative))
        if "\0" in relative or not path.startswith(self.top.rstrip("/") + "/"):
            raise Unusable(repr(relative))
        return path

    def _real(self, path: str) -> bool:
        """Whether a path lies inside the boundary once links are followed."""
        if path not in self._inside:
            real = os.path.realpath(path)
            inside = self._boundary.rstrip("/") + "/"
            self._inside[path] = real == self._boundary or real.startswith(inside)
        return self._inside[path]

    def _list(self, relative: str) -> tuple[str, Listing]:
        """Absolute path and media of a folder."""
        if relative not in self._listings:
            if any(part in NO_NAMES for part in relative.split("/")):
                raise Unusable("not the name of a file")
            folder = self._within(relative)
            if not self._real(folder):
                raise Unusable(f"{folder!r} is a link to {os.path.realpath(folder)!r}")
            self._listings[relative] = folder, _listing(folder)
        return self._listings[relative]


def _listing(folder: str) -> Listing:
    found = Listing()
    try:
        with os.scandir(folder) as entries:
            files = {entry.name: entry.is_symlink() for entry in entries}
    except OSError as error:
        if error.errno in NOT_THERE:
            return found
        raise Unusable(f"{folder!r} cannot be listed: {error.strerror}") from error
    ranked = []
    for name in files:
        stem, ending = os.path.splitext(name)
        if ending.lower() in ENDINGS:
            ranked.append((ENDINGS.index(ending.lower()), name, stem))
    for _, name, stem in sorted(ranked):
        if stem in found.files:
            continue
        found.files[stem] = name
        if files[name]:
            found.links.add(stem)
        if stem.isascii() and stem.isdigit():
            found.spelled.setdefault(stem.lstrip("0"), []).append(stem)
    return found


def _spelling(name: str, listing: Listing) -> str:
    """The stem that spells the same number; the name itself where it is none or none does."""
    digits = name.removesuffix(".0")  # a column of numbers with gaps is saved as 1.0, 2.0
    if not listing.spelled or not (digits.isascii() and digits.isdigit()):
        return name
    stems = listing.spelled.get(digits.lstrip("0"), [])
    if len(stems) > 1:
        raise Unusable(f"{name!r} fits several files: {', '.join(sorted(stems))}")
    return stems[0] if stems else name
