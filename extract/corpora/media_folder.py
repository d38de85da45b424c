"""Media files below a folder, found without ever leaving it, not even through a link."""

from __future__ import annotations

import errno

#: Endings of media files; of several files of one clip, the one named first here is taken.
ENDINGS = (".mp4", ".mpg", ".avi", ".mov", ".mkv", ".webm")
#: Errors of a folder that is simply not there.
NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)


class Unusable(Exception):  # never leaves the readers, which collect it as a fault
    """A path that leads out of the folder, to several files or into a folder that is closed."""

    digits = name.removesuffix(".0")  # a column of numbers with gaps is saved as 1.0, 2.0
    if not (digits.isascii() and digits.isdigit()):
        return name
    stems = listing.spelled.get(int(digits), [])
    if len(stems) > 1:
        raise Unusable(f"{name!r} fits several files: {', '.join(sorted(stems))}")
    return stems[0] if stems else name
