"""What files of a store are called, and what their names promise."""

from __future__ import annotations

import os
import re
import secrets
import socket
from pathlib import Path

from xxhash import xxh3_128

#: Ending of temporary names; they also start with a dot.
PART = ".part"
#: Ending of a file that stands for one whose bytes are elsewhere; see ``away.py``.
AWAY = ".away"
_RECORD = "[A-Za-z0-9_~% -][A-Za-z0-9_.~% -]{0,249}"  # with .json 255, as long as names can be
#: Files of a store that are worth carrying elsewhere: no lease, no work in progress, no keys.
NAMES = re.compile(
    r"nodes/[0-9a-f]{64}\.json|statistics/[0-9a-f]{32}\.json"
    r"|shards/[0-9a-f]{32}/[0-9a-f]{2}/[0-9a-f]{16}\.[0-9a-f]{32}\.h5"
    r"|checkpoints/[0-9a-f]{2}/[0-9a-f]{64}/"
    r"(?:checkpoint\.json|weights\.safetensors|predictions\.parquet)"
    rf"|runs/{_RECORD}/{_RECORD}\.json"
)


def host() -> str:
    """This machine's name, with what does not belong into a file name taken out."""
    return re.sub(r"[^A-Za-z0-9.]", "_", socket.gethostname())


def temporary(path: Path) -> Path:
    """A name beside ``path`` that no other process makes: host, pid and 16 random hex digits."""
    return path.with_name(f".{host()}-{os.getpid()}-{secrets.token_hex(8)}{PART}")


def writer_of(part: Path) -> tuple[str, int] | None:
    """Host and pid in a temporary name; None where the name is not one of ours."""
    match = re.fullmatch(r"\.(.+)-(\d+)-[0-9a-f]{16}" + re.escape(PART), part.name)
    return (match[1], int(match[2])) if match else None


def alive(writer_host: str, pid: int) -> bool:
    """Whether a process may still run: only for this host can it be known that it does not."""
    if writer_host != host():
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def digest_in_name(path: Path) -> str:
    """Digest of a shard's bytes, as its name promises it."""
    return path.name.split(".")[1] if path.name.count(".") == 2 else ""


def file_digest(path: Path) -> str:
    """xxh3 of a whole file, 32 hex digits; what ``xxh128sum`` prints, and what shards are named."""
    hasher = xxh3_128()
    block = memoryview(bytearray(1 << 20))
    with open(path, "rb", buffering=0) as file:
        while n := file.readinto(block):
            hasher.update(block[:n])
    return hasher.hexdigest()
