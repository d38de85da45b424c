"""Which code is running: version, digest of the sources, commit where there is one."""

from __future__ import annotations

import hashlib
import subprocess
from functools import cache
from pathlib import Path

from .. import __version__

ROOT = Path(__file__).parents[1]
#: Folders beside the package's own, in a checkout; what lies there computes nothing.
BESIDE = ("tests", "benchmarks", "docs", "build")


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
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root)
        if name.parts[0] not in BESIDE and not any(part.startswith(".") for part in name.parts):
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
