"""A recipe's ``cluster``: which workers tasks go to, as checked data. Nothing is started here.

A recipe comes from strangers, and a cluster is where its tasks run: it is only started where the
user says ``--scheduler cluster``. Its values become words of commands and of job scripts, so they
are plain words; what could run a program of the recipe's choosing cannot be said at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..cache.errors import BadRecipe, unknown

#: Batch systems: what dask-jobqueue calls its class, and what an account is called there.
BATCH = {
    "slurm": ("SLURMCluster", "account"),
    "pbs": ("PBSCluster", "account"),
    "moab": ("MoabCluster", "account"),
    "sge": ("SGECluster", "project"),
    "lsf": ("LSFCluster", "project"),
    "oar": ("OARCluster", "project"),
    "htcondor": ("HTCondorCluster", ""),
}
KINDS = ("local", "ssh", *BATCH)
_JOB = {
    **{name: str for name in ("queue", "account", "memory", "walltime", "interface")},
    **{name: int for name in ("cores", "processes")},
}
_SSH = {"hosts": list, "username": str, "port": int, "processes": int, "cores": int, "gpus": int}
#: What may be said of each kind beside its workers.
OPTIONS: Mapping[str, Mapping[str, type]] = {
    "local": {"cores": int, "gpus": int},
    "ssh": _SSH,
    **{kind: {k: t for k, t in _JOB.items() if k != "account" or BATCH[kind][1]} for kind in BATCH},
    "slurm": {**_JOB, "gpus": int},
}
_NEEDED = {"ssh": ("hosts",), **{kind: ("memory",) for kind in BATCH}}
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:,=/@+-]*")
_TLS = {"tls": True, "none": False}


@dataclass(frozen=True)
class ClusterSpec:
    """Dask workers that are started for a run.

    Args:
        kind: ``local`` (processes of this machine), ``ssh``, or a batch system.
        workers: how many; None: one a core here, one a process and host by ssh.
        most: start more of them, up to so many, while there is work, and stop idle ones; 0: no.
        tls: whether all that they say to each other is encrypted, and they prove who they are.
        options: of the kind.
    """

    kind: str = "local"
    workers: int | None = None
    most: int = 0
    tls: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_mapping(cls, source: Any) -> ClusterSpec:
        """Read the ``cluster`` entry of a recipe.

        Raises:
            BadRecipe: it is not a mapping, lacks something, or has a value that is none.
            UnknownName: there is no such kind, or no such option of it.
        """
        if not isinstance(source, dict):
            raise BadRecipe(f"must map 'kind' and 'workers' to values, got {source!r}")
        rest = dict(source)
        kind = str(rest.pop("kind", "local"))
        if kind not in KINDS:
            raise unknown("kind of cluster", kind, KINDS)
        workers, most = _workers(kind, rest.pop("workers", None))
        security = rest.pop("security", "none" if kind == "local" else "tls")
        if security not in _TLS:
            raise BadRecipe(f"'security' is tls or none, got {security!r}")
        for name in _NEEDED.get(kind, ()):
            if name not in rest:
                raise BadRecipe(f"kind '{kind}' needs '{name}'")
        for name, value in rest.items():
            if name not in OPTIONS[kind]:
                known = ["workers", "security", *OPTIONS[kind]]
                raise unknown(f"option of a cluster of kind '{kind}'", str(name), known)
            _check(name, value, OPTIONS[kind][name])
        return cls(kind, workers, most, _TLS[security], rest)


def _workers(kind: str, value: Any) -> tuple[int | None, int]:
    """How many, and how many at most where they follow the work."""
    if value is None and kind in BATCH:
        raise BadRecipe(f"kind '{kind}' needs 'workers': a number, or {{least: 1, most: 16}}")
    if kind == "ssh" and value is not None:
        raise BadRecipe("kind 'ssh' starts 'processes' workers on each of 'hosts', no 'workers'")
    if isinstance(value, dict) and set(value) == {"least", "most"}:
        least, most = value["least"], value["most"]
        if _is_number(least) and _is_number(most) and 0 <= least <= most and most > 0:
            return least, most
    elif value is None or _is_number(value) and value > 0:
        return value, 0
    raise BadRecipe(f"'workers' is a number above 0, or {{least: 1, most: 16}}, got {value!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check(name: str, value: Any, kind: type) -> None:
    """Refuse a value that is none of its option.

    Raises:
        BadRecipe: it is of another type, or holds what a shell or a batch system would read.
    """
    if kind is int:
        if not (_is_number(value) and value > 0):
            raise BadRecipe(f"'{name}' is a number above 0, got {value!r}")
        return
    words = value if kind is list and isinstance(value, list) else [value]
    if not words or (kind is list and not isinstance(value, list)):
        raise BadRecipe(f"'{name}' is a list of names, got {value!r}")
    for word in words:
        if not isinstance(word, str):
            raise BadRecipe(f"'{name}' is text, got {word!r}: put it in quotes")
        if not _WORD.fullmatch(word):
            raise BadRecipe(
                f"'{name}' is one word of letters, digits and _.:,=/@+- that does not begin with a "
                f"sign, got {word!r}"
            )
