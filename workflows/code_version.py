"""Which code is running: version, digest of the sources, commit where there is one."""

from __future__ import annotations

import hashlib
import subprocess
from functools import cache
from pathlib import Path

from .. import __version__

ROOT = Path(__file__).parents[1]
#: The package's own folders, and files beside them. In a checkout other things lie there too
#: (tests, a virtual environment, somebody's scripts), which compute nothing of ours.
FOLDERS = ("cache", "extract", "train", "workflows")
FILES = ("__init__.py", "__main__.py")


@cache
def code_version() -> dict[str, str]:
    """``affectflow``: the version; ``source``: digest of all modules; ``commit``, or empty.

    Versions move seldom and a working tree may differ from its commit: equal digests mean equal
    code, wherever it is installed.
    """
    return {"affectflow": __version__, "source": _source(ROOT), "commit": _commit(ROOT)}


def _source(root: Path) -> str:
    """First 16 hex digits of the SHA-256 of each module's name and bytes, in order of names."""
    digest = hashlib.sha256()
    found = [path for folder in FOLDERS for path in (root / folder).rglob("*.py")]
    found += [root / name for name in FILES if (root / name).is_file()]
    for path in sorted(found):
        name = path.relative_to(root)
        if not any(part.startswith(".") for part in name.parts):
            image = path.read_bytes()
            digest.update(f"{name.as_posix()}\0{len(image)}\0".encode() + image)
    return digest.hexdigest()[:16]


def _commit(root: Path) -> str:
    """The checkout's commit; empty where this is none, or git is not there to ask."""
    if not (root / ".git").exists():  # installed: a repository further up is somebody else's
        return ""
    try:
        asked = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"],
            capture_output=True, text=True, check=False, timeout=5,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""
