"""Where a store is: a folder, or an object store and the working folder that stands for it here."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from .errors import BadCall
from .index import cache_folder
from .mirror import SETTINGS, forget_folders, mirror_at
from .publish import publish
from .remote import Remote, is_url

#: Bytes that copies of an object store take here at most, where its address says nothing.
LOCAL_BYTES = 20 * 10**9
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def folder_of(address: str | Path) -> Path:
    """The folder to work in: of an object store its working folder, made if missing.

    Args:
        address: a folder; or ``s3://bucket/folder``, ``gs://bucket/folder``, ``memory://folder``,
            which may end with ``#local_bytes=20GB``: what copies take here at most.

    Raises:
        BadCall: it is no address, or asks for something unknown.
        StoreReadOnly: the working folder cannot be made.
    """
    if not is_url(str(address)):
        _refuse_broken(address)
        return Path(address)
    url, _, asked = str(address).partition("#")
    remote = Remote(url)
    name = hashlib.sha256(remote.url.encode()).hexdigest()[:16]
    folder = cache_folder() / "stores" / name
    old = mirror_at(folder)
    n_bytes = _local_bytes(asked) if asked else old.local_bytes if old else LOCAL_BYTES
    if old is None or old.local_bytes != n_bytes:
        told = {"url": remote.url, "local_bytes": n_bytes}
        publish(folder / SETTINGS, json.dumps(told).encode() + b"\n", replace=True)
        forget_folders()
    return folder


def address_of(folder: Path) -> str:
    """What other processes find the same store by, on this machine or elsewhere."""
    mirror = mirror_at(folder)
    if mirror is None:
        return str(folder.absolute())
    return f"{mirror.remote.url}#local_bytes={mirror.local_bytes}"


def called(folder: Path) -> str:
    """What a user calls a store: its folder, or the address of the object store."""
    mirror = mirror_at(folder)
    return str(folder) if mirror is None else mirror.remote.url


def _local_bytes(asked: str) -> int:
    found = re.fullmatch(r"local_bytes=(\d+(?:\.\d+)?) ?([KMGT]?)B?", asked, re.IGNORECASE)
    if not found or not (n_bytes := int(float(found[1]) * _UNITS[found[2].upper()])):
        raise BadCall(
            f"after # an address of an object store may say local_bytes=20GB (with K, M, G or T), "
            f"what copies take on this machine at most; got '{asked}'"
        )
    return n_bytes


def _refuse_broken(address: str | Path) -> None:
    if isinstance(address, Path) and re.match(r"(s3|gs|memory):/[^/]", str(address)):
        raise BadCall(
            f"a Path cannot hold the address of an object store, and '{address}' was one: hand "
            "over text"
        )
