"""Whether the running script may be imported again by worker processes."""

from __future__ import annotations

import ast
import sys
from pathlib import Path


def main_is_guarded() -> bool:
    """Whether the running script can be imported again by worker processes.

    A worker process of this machine imports the main script; one that calls ``af.run`` outside
    of ``if __name__ == "__main__":`` would start a cluster in each worker without end.
    """
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    if path is None or not Path(path).is_file():
        return True  # a notebook or an interactive session: nothing is imported again
    try:
        tree = ast.parse(Path(path).read_bytes())
    except (SyntaxError, ValueError):
        return True  # not Python source: a frozen program
    return any(isinstance(node, ast.If) and _is_guard(node) for node in tree.body)


def _is_guard(node: ast.If) -> bool:
    return any(isinstance(n, ast.Name) and n.id == "__name__" for n in ast.walk(node.test))
