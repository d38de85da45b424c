"""The short version of ``benchmarks/simulate.py``: small numbers, whose outcome can be told."""

import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "simulate.py"


@pytest.fixture(scope="module")
def simulate():
    names = runpy.run_path(str(SCRIPT))

    def go(**settings):
        quiet = {"spread": 0.0, "stragglers": 0.0, "life": 1e12, "task_cost": 0.0, "workers": 10}
        return names["Simulation"](
            names["Model"](**{"utterances": 200_000} | quiet | settings)
        ).go()

    return go


def test_without_trouble_the_makespan_is_the_ideal_and_one_task_at_most(simulate):
    out = simulate()
    assert (out.done, out.in_flight, out.deaths, out.lost) == (782, 30, 0, 0.0)
    assert out.ideal < out.makespan < 1.05 * out.ideal


def test_a_driver_that_is_slower_than_its_workers_decides_the_makespan(simulate):
    out = simulate(task_cost=60.0)
    assert out.makespan == pytest.approx(782 * 60.0, rel=0.02)
    assert out.driver / out.makespan > 0.98


def test_stragglers_are_waited_for(simulate):
    plain, slow = simulate(), simulate(stragglers=0.01, slower=20.0)
    assert slow.stragglers > 0
    assert slow.ideal == plain.ideal
    assert slow.makespan > 1.1 * plain.makespan


def test_workers_that_die_cost_time_and_no_task(simulate):
    plain, deadly = simulate(), simulate(life=3600.0)
    assert deadly.deaths > 3
    assert deadly.done == deadly.tasks == plain.tasks
    assert deadly.lost > 0
    assert plain.makespan < deadly.makespan < 1.5 * plain.makespan
