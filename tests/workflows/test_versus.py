"""Each number of a difference against a computation of its own."""

import math
from itertools import product

import numpy as np
import pytest

from affectflow.train.compare import holm
from affectflow.train.resample import counted
from affectflow.train.tallies import tallies
from affectflow.train.targets import Target
from affectflow.workflows.versus import Versus, cells_of

VIDEO = np.array([0, 0, 0, 1, 2, 2, 3, 3, 4])
DRAWS = 512  # all ways to flip 9 utterances


def models(n=9, seeds=2):
    """Truth (n,) and predictions (S, n) of three models."""
    rng = np.random.default_rng(1)
    y = np.round(rng.uniform(-3, 3, n), 1)
    y[2] = 0.0  # which Acc2_non0 does not look at
    return y, {
        name: y + rng.normal(0, by, (seeds, n)) for name, by in (("a", 0.3), ("b", 2), ("c", 1.5))
    }


@pytest.fixture(scope="module")
def found():
    y, p = models()
    parts = {
        name: tallies(Target("M"), "mosi", one[..., None], y[:, None]) for name, one in p.items()
    }
    return cells_of(parts, "a", np.arange(9), VIDEO, DRAWS, seed=5)


def errors(p, y):
    """Of the metrics that are means over utterances; averaged over seeds."""
    return {
        "MAE": np.abs(p - y).mean(axis=0),
        "Acc2_has0": ((p >= 0) != (y >= 0)).mean(axis=0),
        "Acc2_non0": np.where(y == 0, 0, ((p > 0) != (y > 0)).mean(axis=0)),
    }


def all_flips(delta, group):
    signs = np.array(list(product([-1, 1], repeat=group.max() + 1)))[:, group]
    return np.mean(np.abs(signs @ delta) >= abs(delta.sum()) - 1e-9)


@pytest.mark.parametrize("metric", ["MAE", "Acc2_has0", "Acc2_non0"])
@pytest.mark.parametrize("name", ["b", "c"])
def test_both_permutation_tests_are_those_of_the_differences_of_errors(found, name, metric):
    y, p = models()
    delta = errors(p[name], y)[metric] - errors(p["a"], y)[metric]
    versus = found[name][metric].versus
    assert versus.p_groups == pytest.approx(all_flips(delta, VIDEO), abs=1e-12)
    assert versus.p_permutation == pytest.approx(all_flips(delta, np.arange(9)), abs=1e-12)


@pytest.mark.parametrize("drawn", [np.arange(9), VIDEO], ids=["utterances", "videos"])
def test_the_interval_is_of_the_difference_on_the_same_drawn_utterances(drawn):
    y, p = models()
    parts = {
        name: tallies(Target("M"), "mosi", one[..., None], y[:, None]) for name, one in p.items()
    }
    found = cells_of(parts, "a", drawn, VIDEO, DRAWS, seed=5)
    (times,) = counted(int(drawn.max()) + 1, DRAWS, np.random.default_rng(5))
    rows = [np.repeat(np.arange(9), one.astype(int)[drawn]) for one in times]

    def scored(name, value):
        return np.array([np.mean([value(one[r], y[r]) for one in p[name]]) for r in rows])

    for metric, value in (
        ("MAE", lambda a, b: np.abs(a - b).mean()),
        ("Corr", lambda a, b: np.corrcoef(a, b)[0, 1] if np.ptp(b) else math.nan),
    ):
        apart = scored("b", value) - scored("a", value)
        low, high = np.nanquantile(apart, [0.025, 0.975])
        versus = found["b"][metric].versus
        assert (versus.low, versus.high) == pytest.approx((low, high), rel=1e-6)
        assert low < versus.difference < high


def test_holm_is_of_the_tests_by_video(found):
    every = [cell.versus for name in ("b", "c") for cell in found[name].values()]
    tested = [one for one in every if math.isfinite(one.p_groups)]
    assert len(tested) == 2 * 5
    assert [one.p_holm for one in tested] == pytest.approx(holm([one.p_groups for one in tested]))
    assert [one.p_holm for one in tested] != holm([one.p_permutation for one in tested])
    assert all(math.isnan(one.p_holm) for one in every if one not in tested)


@pytest.mark.parametrize(
    ("low", "high", "p_holm", "differs"),
    [
        (0.1, 0.2, 0.049, True),
        (-0.2, -0.1, 0.049, True),
        (0.1, 0.2, 0.051, False),
        (-0.1, 0.2, 0.001, False),
        (-0.2, 0.0, 0.001, False),
        (math.nan, math.nan, 0.001, False),
        (0.1, 0.2, math.nan, False),
    ],
)
def test_a_mark_needs_the_adjusted_p_and_an_interval_without_0(low, high, p_holm, differs):
    for p in (1e-9, 1.0):  # the other tests have no say
        versus = Versus(0.1, low, high, 9.0, p, p, p, p, p_holm)
        assert versus.differs is differs


def test_videos_that_disagree_are_no_difference_however_many_utterances_they_hold():
    rng = np.random.default_rng(0)
    video = np.repeat(np.arange(10), 40)
    better = np.array([1, 1, 1, 1, 1, 1, 1, -1, -1, -1])[video] * 0.2
    y = np.full(400, 1.0)
    p = {"a": y + 1, "b": y + 1 - better + rng.normal(0, 0.05, 400)}
    parts = {k: tallies(Target("M"), "mosi", v[None, :, None], y[:, None]) for k, v in p.items()}
    versus = cells_of({k: {"MAE": v["MAE"]} for k, v in parts.items()}, "a", video, video, 1024, 0)
    one = versus["b"]["MAE"].versus
    assert max(one.p_t, one.p_permutation) < 0.001
    assert one.p_holm > 0.1
    assert not one.differs
