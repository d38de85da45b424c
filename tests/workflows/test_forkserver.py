"""The server that workers are forked from: what it has loaded, whose environment it has."""

import os
import subprocess
import sys

import pytest

from affectflow.workflows import forkserver
from affectflow.workflows.run import run

#: A module that nobody else loads; see that the server does, and which environment workers have.
SCRIPT = """
import os, sys, tempfile
from pathlib import Path
from affectflow.workflows import forkserver
from affectflow.workflows.cluster import environment
from affectflow.workflows.pool import open_pool

def look(name):
    return "colorsys" in sys.modules, os.environ["OMP_NUM_THREADS"], os.environ.get("OURS"), name

if __name__ == "__main__":
    before = dict(os.environ)
    forkserver.start(environment(1), ["colorsys", "no_such_module"])
    forkserver.start(environment(7), [])  # there is one
    assert os.environ == before
    for name in ("as it was", "changed"):
        if name == "changed":
            os.environ["OURS"] = "new"
        pool = open_pool("processes", len(os.sched_getaffinity(0)), Path(tempfile.mkdtemp()))
        pool.submit(look, name)
        print(*pool.next().result)
        pool.close()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
def test_workers_are_forked_with_what_the_server_loaded_unless_the_environment_changed(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    own = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, cwd=tmp_path, env=own
    )
    assert done.stderr == ""
    assert done.stdout.split("\n") == ["True 1 None as it was", "False 1 new changed", ""]


def test_a_run_that_would_make_nothing_starts_no_server(words_recipe, monkeypatch):
    started = []
    monkeypatch.setattr(forkserver, "start", lambda environment, modules: started.append(modules))
    run(words_recipe.path, "c", scheduler="sync")
    assert started == []
    again = run(words_recipe.path, "c", scheduler="processes")
    assert (again.n_features_made, again.n_fits_made, started) == (0, 0, [])
    run(words_recipe.path, "c", scheduler="processes", overrides=["m.epochs=1"], kinds=("extract",))
    assert started == [["distributed"]]
