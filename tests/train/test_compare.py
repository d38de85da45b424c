import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from affectflow.cache.errors import BadInput
from affectflow.train.compare import bootstrap, compare, holm, paired_t, permutation, spread, welch
from affectflow.train.resample import permutations


def table(errors, seeds=(0, 1), task="M"):
    """Predictions whose mean absolute error over seeds is ``errors``."""
    rows = []
    for seed in seeds:
        for i, error in enumerate(errors):
            rows.append((f"u{i}", "test", seed, task, 0.0, error * (1 if seed else -1)))
    return pd.DataFrame(rows, columns=["id", "split", "seed", "task", "truth", "prediction"])


def test_deviation_over_seeds_divides_by_n_minus_1():
    over = spread([1.0, 2.0, 4.0])
    assert (over.mean, over.n) == (pytest.approx(7 / 3), 3)
    assert over.std == pytest.approx(np.std([1, 2, 4], ddof=1))
    assert math.isnan(spread([1.0]).std)
    assert math.isnan(spread([1.0, math.nan]).mean)


def test_tests_agree_with_scipy():
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 1, 30), rng.normal(0.5, 2, 30)
    expected = stats.ttest_rel(x, y)
    assert paired_t(x - y) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-9)
    expected = stats.ttest_ind(x[:7], y, equal_var=False)
    assert welch(x[:7], y) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-9)


def test_undefined_tests_are_nan():
    assert all(math.isnan(v) for v in paired_t(np.full(5, 0.1)))
    assert all(math.isnan(v) for v in welch([1.0], [1.0, 2.0]))
    assert all(math.isnan(v) for v in welch([1.0, 1.0], [2.0, 2.0]))


def test_permutation_agrees_with_all_sign_flips():
    delta = np.array([0.3, -0.1, 0.4, 0.2, 0.5, 0.1])
    signs = np.array(np.meshgrid(*[[-1, 1]] * 6)).reshape(6, -1).T
    exact = np.mean(np.abs(signs @ delta) >= abs(delta.sum()) - 1e-12)
    assert permutation(delta, 20_000, np.random.default_rng(0)) == pytest.approx(exact, abs=0.01)


def test_bootstrap_interval_agrees_with_the_normal_one():
    delta = np.random.default_rng(0).normal(0.2, 1, 400)
    low, high = bootstrap(delta, np.arange(400), 4000, np.random.default_rng(1))
    half = 1.96 * delta.std() / 20
    assert low == pytest.approx(delta.mean() - half, abs=0.02)
    assert high == pytest.approx(delta.mean() + half, abs=0.02)


def test_whole_groups_widen_the_interval_when_their_utterances_agree():
    groups = np.repeat(np.arange(10), 40)
    delta = np.random.default_rng(0).normal(0, 1, 10)[groups]
    wide = bootstrap(delta, groups, 2000, np.random.default_rng(1))
    narrow = bootstrap(delta, np.arange(400), 2000, np.random.default_rng(1))
    assert wide[1] - wide[0] > 3 * (narrow[1] - narrow[0])


def test_compares_errors_averaged_over_seeds():
    rng = np.random.default_rng(0)
    better = rng.uniform(0.1, 0.3, 80)
    worse = better + rng.uniform(0, 0.1, 80)
    found = compare(table(better), table(worse, seeds=(0, 1, 2)), "M", draws=1000)
    assert found.n == found.groups == 80
    assert found.difference == pytest.approx((better - worse).mean())
    assert found.low < found.difference < found.high < 0
    assert found.p_t < 1e-6
    assert found.p_permutation == pytest.approx(1 / 1001)


def test_draws_whole_speakers_when_told_so():
    errors = np.random.default_rng(0).uniform(0, 1, 20)
    speakers = pd.Series({f"u{i}": f"s{i // 5}" for i in range(20)})
    found = compare(table(errors), table(errors / 2), "M", groups=speakers, draws=100)
    assert (found.groups, found.flipped) == (4, 4)
    assert found.p_groups == 2 / 2**4  # all four are better
    assert found.p_permutation == 1 / 101
    few = compare(table(errors), table(errors / 2), "M", groups=speakers, least=5, draws=100)
    assert (few.groups, few.flipped, few.p_groups) == (20, 4, found.p_groups)
    assert few.high != found.high


def test_without_groups_both_permutation_tests_are_one():
    errors = np.random.default_rng(0).uniform(0, 1, 20)
    found = compare(table(errors), table(errors[::-1]), "M", draws=100)
    assert found.p_groups == found.p_permutation
    assert found.groups == found.flipped == 20


@pytest.mark.parametrize(("videos", "each", "alike"), [(60, 7, 0.1), (20, 20, 0.1), (12, 30, 0.2)])
def test_flips_of_whole_videos_find_none_too_many_where_utterances_of_one_are_alike(
    videos, each, alike
):
    rng = np.random.default_rng(0)
    families, tests = 600, 6
    group = np.repeat(np.arange(videos), each)
    shared = rng.normal(0, alike**0.5, (videos, families * tests))[group]
    deltas = shared + rng.normal(0, (1 - alike) ** 0.5, shared.shape)  # of no difference at all
    whole = permutations(deltas, 1999, rng, group).reshape(families, tests)
    alone = np.array([paired_t(delta)[1] for delta in deltas.T]).reshape(families, tests)
    found, naive = (np.mean([min(holm(one)) < 0.05 for one in p]) for p in (whole, alone))
    assert found == pytest.approx(0.05, abs=0.027)  # three deviations of 600 tries
    assert naive > 0.15  # what a test over utterances would call a difference


def test_holms_adjusted_values_are_those_of_its_paper_by_hand():
    # in R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []
    assert holm([0.02, math.nan, 0.03]) == pytest.approx([0.04, math.nan, 0.04], nan_ok=True)


def test_holm_finds_none_too_many_where_there_is_nothing_to_find():
    rng = np.random.default_rng(0)
    false = [min(holm(rng.uniform(0, 1, 10))) < 0.05 for _ in range(2000)]
    assert np.mean(false) == pytest.approx(0.05, abs=0.012)


def test_needs_utterances_in_common():
    with pytest.raises(BadInput, match="split 'test', task 'T' in common, got 0"):
        compare(table([1.0, 2.0]), table([1.0, 2.0]), "T")
