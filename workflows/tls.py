"""Certificates of one run: who has them may speak to its scheduler and workers, nobody else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: Names of the two files: the key, and the certificate that all sides show and ask for.
KEY, CERTIFICATE = "key.pem", "certificate.pem"


def write_certificates(folder: Path) -> Mapping[str, Any]:
    """Make a key and a certificate for one run in a folder that only this user can enter.

    They lie in files, and only their paths travel: the settings of dask go to other hosts in
    commands, which every user there can read.

    Args:
        folder: is made; on a file system that all workers see.

    Returns:
        Dask's settings that make everybody use them, and refuse whoever does not.
    """
    from distributed.security import Security

    made = Security.temporary()
    folder.mkdir(parents=True, mode=0o700)
    for name, text in ((KEY, made.tls_client_key), (CERTIFICATE, made.tls_client_cert)):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with open(os.open(folder / name, flags, 0o600), "w") as file:
            file.write(text)
    pair = {"key": str(folder / KEY), "cert": str(folder / CERTIFICATE)}
    roles = {f"distributed.comm.tls.{role}": pair for role in ("client", "scheduler", "worker")}
    return {
        "distributed.comm.require-encryption": True,
        "distributed.comm.tls.ca-file": pair["cert"],
        **roles,
    }
