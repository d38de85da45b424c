"""Seeds that do not run side by side in one process are spread over the workers."""

import pytest

from affectflow.cache.store import FeatureStore
from affectflow.workflows import driver, pool
from affectflow.workflows.run import run

TEXTS = [" ".join(["ab" * (1 + i % 5)] * (1 + i % 5)) for i in range(24)]
FIT = {"fit": "sf", "on": ["letters"], "tasks": ["M"], "seeds": 3, "epochs": 2}


class Two(pool.Here):
    """A pool in this process that counts as two workers."""

    workers = 2


@pytest.fixture
def tasks(monkeypatch):
    """Stacks that the fits of a run were asked for, in order; a stack holds one seed."""
    asked = []
    make_fit = driver._FUNCTIONS[driver.FitTask]

    def watched(task):
        asked.append((task.node, task.stack))
        return make_fit(task)

    monkeypatch.setitem(driver._FUNCTIONS, driver.FitTask, watched)
    monkeypatch.setattr("affectflow.train.fit.STACK", 1)
    return asked


def started(toys, folder, monkeypatch, kind, fits):
    monkeypatch.setattr("affectflow.workflows.run.open_pool", lambda *_: kind())
    recipe = toys.recipe(folder, TEXTS, fits=fits)
    return run(recipe, FeatureStore(folder / "cache"), scheduler="sync")


def test_stacks_of_seeds_are_fitted_by_themselves_and_then_put_together(
    tmp_path, toys, tasks, monkeypatch
):
    done = started(toys, tmp_path, monkeypatch, Two, {"m": FIT})
    assert tasks == [("m", 0), ("m", 1), ("m", 2), ("m", None)]
    assert done.ok
    assert done.made["m"] == 1
    assert [s["seed"] for s in done.states["m"].checkpoint.meta["seeds"]] == [0, 1, 2]
    assert not list((tmp_path / "cache" / "courses").rglob("*.course"))


def test_one_worker_or_enough_fits_keep_each_in_one_piece(tmp_path, toys, tasks, monkeypatch):
    started(toys, tmp_path / "a", monkeypatch, pool.Here, {"m": FIT})
    assert tasks == [("m", None)]
    tasks.clear()
    fits = {"m": FIT, "n": {**FIT, "lr": 0.1}}
    started(toys, tmp_path / "b", monkeypatch, Two, fits)
    assert tasks[0] == ("m", None)  # another fit waits for the second worker


def test_a_stack_that_fails_fails_the_fit(tmp_path, toys, tasks, monkeypatch):
    done = started(toys, tmp_path, monkeypatch, Two, {"m": {**FIT, "lr": 1e30}})
    assert "is not finite" in done.errors["m"]
    assert done.states["m"].checkpoint is None
