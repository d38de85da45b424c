import math
from itertools import product

import numpy as np
import pytest
from scipy import stats

from affectflow.train.metrics import scores
from affectflow.train.outcome import target_scores
from affectflow.train.resample import (
    bootstrap,
    bootstrap_scores,
    counted,
    group_numbers,
    interval,
    permutation,
    permutations,
    smallest_p,
)
from affectflow.train.tallies import tallies
from affectflow.train.targets import Target

NAMES = ("angry", "happy", "neutral", "sad")
CASES = [
    (Target("M"), "sims"),
    (Target("M"), "mosi"),
    (Target("M"), "mag"),
    (Target("valence"), "sims"),
    (Target("emotion", "class", NAMES), "mosi"),
    (Target("emotion", "several", NAMES), "mosi"),
]


def data(target, n=60, seeds=3, seed=0):
    """Predictions (S, n, size) and truth (n, size) with neutrals, borders and a class never hit."""
    rng = np.random.default_rng(seed)
    if target.kind == "value":
        y = np.round(rng.uniform(-3, 3, (n, 1)) * 5) / 5
        y[:6, 0] = [0, 0, 0.1, -0.1, 0.4, -0.7]
        return y + rng.normal(0, 1, (seeds, n, 1)), y
    p = rng.uniform(0, 1, (seeds, n, target.size))
    p[..., -1] *= 0.1  # never the most probable one
    y = np.zeros((n, target.size))
    y[np.arange(n), rng.integers(0, 3, n)] = 1
    if target.kind == "several":
        y[: n // 3, 1] = 1
    return p / p.sum(axis=2, keepdims=True) if target.kind == "class" else p, y


@pytest.mark.parametrize(("target", "family"), CASES, ids=lambda case: getattr(case, "kind", case))
def test_sums_give_the_scores_that_the_metrics_give(target, family):
    p, y = data(target)
    found = tallies(target, family, p, y)
    for s, predicted in enumerate(p):
        expected = target_scores(target, family, predicted, y)
        assert list(found) == list(expected)
        for name, value in expected.items():
            assert found[name].scores[s] == pytest.approx(value, rel=1e-9, nan_ok=True), name


@pytest.mark.parametrize("family", ["sims", "mosi", "mag"])
@pytest.mark.parametrize("truth", [[0.0, 0.0, 0.0], [0.4, 0.4, 0.4], [0.7]])
def test_sums_are_undefined_where_the_metrics_are(family, truth):
    y = np.array(truth)[:, None]
    p = np.full((1, *y.shape), 0.5)
    expected = scores(family, p[0, :, 0], y[:, 0])
    for name, tally in tallies(Target("M"), family, p, y).items():
        assert tally.scores[0] == pytest.approx(expected[name], rel=1e-9, nan_ok=True), name


def test_errors_are_averaged_over_seeds_and_left_out_where_the_metric_does_not_look():
    y = np.array([[1.0], [0.0], [-1.0]])
    p = np.array([[[0.5], [1.0], [1.0]], [[-1.0], [1.0], [-2.0]]])
    found = tallies(Target("M"), "mosi", p, y)
    np.testing.assert_allclose(found["MAE"].errors, [1.25, 1.0, 1.5])
    np.testing.assert_array_equal(found["Acc2_non0"].errors, [0.5, math.nan, 0.5])
    assert found["Corr"].errors is None
    assert found["F1_has0"].errors is None


def test_a_drawn_score_is_that_of_the_rows_that_were_drawn():
    target = Target("emotion", "class", NAMES)
    p, y = data(target, n=30)
    group = np.repeat(np.arange(10), 3)
    found = tallies(target, "", p, y)
    drawn = bootstrap_scores(list(found.values()), group, 7, np.random.default_rng(3))
    times = next(iter(counted(10, 7, np.random.default_rng(3)))).astype(int)
    for d in range(7):
        rows = np.repeat(np.arange(30), times[d][group])
        by_hand = [target_scores(target, "", one[rows], y[rows]) for one in p]
        for k, name in enumerate(found):
            expected = np.mean([one[name] for one in by_hand])
            assert drawn[k, d] == pytest.approx(expected, rel=1e-9, nan_ok=True), name


def test_paired_interval_agrees_with_scipy():
    rng = np.random.default_rng(0)
    y = rng.uniform(-1, 1, 80)
    p, q = y + rng.normal(0, 0.4, 80), y + rng.normal(0, 0.6, 80)
    pair = [tallies(Target("M"), "mosi", v[None, :, None], y[:, None])["Corr"] for v in (p, q)]
    a, b = bootstrap_scores(pair, np.arange(80), 4000, np.random.default_rng(1))

    def difference(p, q, y):
        return np.corrcoef(p, y)[0, 1] - np.corrcoef(q, y)[0, 1]

    expected = stats.bootstrap(
        (p, q, y), difference, paired=True, method="percentile", n_resamples=3000,
        vectorized=False, rng=np.random.default_rng(2),
    ).confidence_interval  # fmt: skip
    assert interval(a - b) == pytest.approx((expected.low, expected.high), abs=0.015)


def test_many_permutation_tests_agree_with_scipy():
    rng = np.random.default_rng(0)
    deltas = np.stack([rng.normal(0.3, 1, 40), rng.normal(0, 1, 40)], axis=1)
    deltas[:5, 1] = math.nan  # rows that this one does not look at
    found = permutations(deltas, 9000, np.random.default_rng(1))
    for k, p in enumerate(found):
        known = deltas[np.isfinite(deltas[:, k]), k]
        expected = stats.permutation_test(
            (known, np.zeros_like(known)), lambda a, b, axis: np.mean(a - b, axis=axis),
            permutation_type="samples", n_resamples=9000, rng=np.random.default_rng(2),
        ).pvalue  # fmt: skip
        assert p == pytest.approx(expected, abs=0.02)


def by_hand(delta, group):
    """Share of all ways to flip whole groups that give a sum at least as far from 0."""
    names = list(dict.fromkeys(group))
    sums = []
    for signs in product([-1, 1], repeat=len(names)):
        sign = dict(zip(names, signs, strict=True))
        sums.append(sum(sign[g] * d for g, d in zip(group, delta, strict=True) if d == d))
    return np.mean(np.abs(sums) >= abs(np.nansum(delta)) - 1e-9)


def test_whole_groups_are_flipped_in_all_ways_where_these_are_no_more_than_the_draws():
    rng = np.random.default_rng(0)
    group = np.array([0, 1, 1, 2, 2, 2, 3, 4, 4, 5, 5, 5, 5])  # of unlike sizes
    deltas = rng.normal(0.4, 1, (13, 3)) + rng.normal(0, 1, (6, 3))[group]
    deltas[:2, 1] = math.nan  # rows that this one does not look at
    expected = [by_hand(delta, group) for delta in deltas.T]
    found = permutations(deltas, 2**6, np.random.default_rng(1), group)
    assert found == pytest.approx(expected, abs=1e-12)
    assert found == pytest.approx(permutations(deltas, 9999, np.random.default_rng(2), group))
    drawn = permutations(deltas, 2**6 - 1, np.random.default_rng(1), group)
    assert drawn * 64 == pytest.approx(np.round(drawn * 64))  # (extreme + 1) / (63 + 1)
    assert drawn == pytest.approx(expected, abs=0.2)


def test_flipped_groups_are_not_flipped_utterances():
    group = np.repeat(np.arange(6), 20)
    delta = np.array([0.9, 0.7, 0.5, 0.3, -0.4, -0.6])[group]
    alone = permutation(delta, 999, np.random.default_rng(0))
    whole = permutation(delta, 999, np.random.default_rng(0), group)
    assert alone == pytest.approx(0.001)
    assert whole == by_hand(delta, group) > 0.1


@pytest.mark.parametrize("draws", [200, 2**9])
def test_a_difference_of_nothing_but_rounding_is_none(draws):
    delta = np.array([1, 1, 1, -1, -1, -1, 2, -2, 0]) / 3 + 0.1 - 0.1
    assert 0 < abs(delta.sum()) < 1e-15
    assert permutation(delta, draws, np.random.default_rng(0)) == 1


@pytest.mark.parametrize(("groups", "draws", "p"), [(1, 99, 1), (4, 99, 1 / 8), (20, 99, 1 / 100)])
def test_the_smallest_p_is_that_of_differences_all_of_one_sign(groups, draws, p):
    assert smallest_p(groups, draws) == pytest.approx(p)
    delta = np.full(3 * groups, 0.2)
    generator = np.random.default_rng(2)
    assert permutation(delta, draws, generator, np.arange(3 * groups) // 3) == pytest.approx(p)


def test_groups_have_numbers_unless_they_are_too_few():
    names = ["b", "a", "b", "c"]
    assert list(group_numbers(names)) == list(group_numbers(names, least=3)) == [1, 0, 1, 2]
    assert list(group_numbers(names, least=4)) == [0, 1, 2, 3]


def test_blocks_of_draws_do_not_change_what_is_drawn(monkeypatch):
    delta, group = np.random.default_rng(0).normal(0, 1, 50), np.arange(50)
    whole = bootstrap(delta, group, 100, np.random.default_rng(1))
    monkeypatch.setattr("affectflow.train.resample.BLOCK", 350)
    assert bootstrap(delta, group, 100, np.random.default_rng(1)) == pytest.approx(whole)


def test_blocks_of_flips_do_not_change_an_exact_p(monkeypatch):
    delta = np.random.default_rng(0).normal(0.3, 1, 9)
    whole = permutation(delta, 2**9, np.random.default_rng(1))
    monkeypatch.setattr("affectflow.train.resample.BLOCK", 63)
    assert permutation(delta, 2**9, np.random.default_rng(1)) == whole


def test_an_interval_of_mostly_undefined_draws_is_undefined():
    assert all(math.isnan(v) for v in interval(np.array([1.0, math.nan, math.nan])))
    assert interval(np.array([1.0, 1.0, math.nan])) == (1.0, 1.0)
