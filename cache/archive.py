"""A part of a store as one file to carry to another lab: a plain tar with every file's digest.

An archive is data from a stranger when it is opened: only names that a store has are taken, only
plain files, and nothing of it reaches the store before all of it was read and fits its digests.
What its features say is as good as who sent it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from .errors import BadInput
from .layout import FORMAT, identity
from .leases import Lease
from .merge import Taken, merge
from .names import NAMES, temporary
from .publish import make_folder, store_errors, sync_folder
from .selection import Selection, content, selected_files

#: Last member of an archive: digest of each other one, by name.
MANIFEST = "archive.json"
_BLOCK = 1 << 20
_MANIFEST_BYTES = 1 << 30


def export_archive(
    root: Path,
    chosen: Selection,
    out: Path,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, int]:
    """Write what was chosen of a store into one file, whole or not at all.

    Args:
        root: folder of the store.
        chosen: what.
        out: the file; it must not exist.
        progress: called with (files written, files in all).

    Returns:
        Bytes of each file in it, by name.

    Raises:
        BadInput: nothing was chosen that the store has, or the file exists.
        Damaged: a shard is not what was written.
        StoreFull: the file system has no room; nothing is left behind.
    """
    if out.exists():
        raise BadInput(f"'{out}' exists: name another file, or remove it")
    files = selected_files(root, chosen)
    digests: dict[str, str] = {}
    sizes: dict[str, int] = {}
    part = temporary(out)
    try:
        with store_errors(out):
            with tarfile.open(part, "x", format=tarfile.PAX_FORMAT) as archive:
                for n, file in enumerate(files, 1):
                    if (found := content(root, *file)) is not None:
                        name, image = found
                        _add(archive, name, image)
                        digests[name], sizes[name] = hashlib.sha256(image).hexdigest(), len(image)
                    if progress is not None:
                        progress(n, len(files))
                told = json.dumps({"format": FORMAT, "files": digests}, sort_keys=True)
                _add(archive, MANIFEST, told.encode())
            if not sizes:
                raise BadInput(f"nothing of that is stored in {root}: run the workflow first")
            os.link(part, out)
            sync_folder(out.absolute().parent)
    finally:
        part.unlink(missing_ok=True)
    return sizes


def import_archive(
    root: Path, archive: Path, progress: Callable[[int, int], None] | None = None
) -> Taken:
    """Take what an archive holds into a store; nothing of it unless all is as it was written.

    Args:
        root: folder of the store; made if missing.
        archive: made by ``export_archive``.
        progress: called with (bytes done, bytes in all), while the store is filled.

    Raises:
        BadInput: it is no archive of ours, or not as it was written.
        StoreFull: the file system has no room.
        StoreReadOnly: the file system refuses to be written to.
    """
    identity(root)
    staged = temporary(root / "import")
    with Lease(root):  # nobody removes what is staged
        try:
            with store_errors(staged):
                make_folder(staged)
            identity(staged)
            _unpack(archive, staged)
            return merge(root, staged, progress)
        finally:
            shutil.rmtree(staged, ignore_errors=True)


def _add(archive: tarfile.TarFile, name: str, image: bytes) -> None:
    """A member without anything of this machine or its user."""
    member = tarfile.TarInfo(name)
    member.size = len(image)
    member.mode = 0o644
    archive.addfile(member, io.BytesIO(image))


def _unpack(archive: Path, folder: Path) -> None:
    """Members of an archive as files below ``folder``, each checked."""
    digests: dict[str, str] = {}
    manifest: object = None
    try:
        with tarfile.open(archive, "r:") as members:
            for member in members:
                file = members.extractfile(member) if _is_plain(member) else None
                if file is None or manifest is not None:
                    raise _refused(archive, f"'{member.name}' is not a plain file of a cache")
                if member.name == MANIFEST:
                    manifest = json.loads(file.read(_MANIFEST_BYTES))
                elif NAMES.fullmatch(member.name) and member.name not in digests:
                    digests[member.name] = _write(file, folder / member.name)
                else:
                    raise _refused(archive, f"no cache has a file of the name '{member.name}'")
    except (tarfile.TarError, EOFError, ValueError, RecursionError) as error:
        if isinstance(error, BadInput):
            raise
        raise _refused(archive, f"it cannot be read ({error})") from error
    _check(archive, manifest, digests)


def _is_plain(member: tarfile.TarInfo) -> bool:
    return member.isreg() and not member.issparse()


def _write(file: IO[bytes], path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    hasher = hashlib.sha256()
    with store_errors(path), open(path, "xb") as target:
        while block := file.read(_BLOCK):
            hasher.update(block)
            target.write(block)
    return hasher.hexdigest()


def _check(archive: Path, manifest: object, digests: dict[str, str]) -> None:
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise _refused(archive, f"its last file, {MANIFEST}, is missing: it was cut short")
    number = manifest.get("format")
    if not isinstance(number, int) or number > FORMAT:
        raise _refused(archive, f"its format is {number!r}, known up to {FORMAT}")
    wanted = manifest["files"]
    wrong = sorted(name for name in {*wanted, *digests} if wanted.get(name) != digests.get(name))
    if wrong:
        raise _refused(archive, f"'{wrong[0]}' is not as it was written")


def _refused(archive: Path, why: str) -> BadInput:
    return BadInput(
        f"'{archive}' is not a whole archive of 'affectflow cache export': {why}. "
        "Nothing was taken from it; have it sent again"
    )
