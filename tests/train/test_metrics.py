import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error

from affectflow.cache.errors import BadInput, UnknownName
from affectflow.train import metrics

scipy_stats = pytest.importorskip("scipy.stats")


def draw(low, high, n=500, seed=0, decimals=1):
    """Predictions and labels on a grid, so that edges, ties and zeros occur often."""
    rng = np.random.default_rng(seed)
    y = np.round(rng.uniform(low, high, n), decimals)
    p = np.round(y + rng.normal(scale=0.4 * high, size=n), decimals)
    return p, y


def close(value):
    return pytest.approx(value, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_sims_family_agrees_with_scikit_learn_and_scipy(seed):
    p, y = draw(-1, 1, seed=seed)
    found = metrics.scores("sims", p, y)
    p, y = np.clip(p, -1, 1), np.clip(y, -1, 1)
    assert found["MAE"] == close(mean_absolute_error(y, p))
    assert found["Corr"] == close(scipy_stats.pearsonr(p, y).statistic)
    assert found["Acc2"] == close(accuracy_score(y > 0, p > 0))
    assert found["F1"] == close(f1_score(y > 0, p > 0, average="weighted"))
    assert found["F1_predweighted"] == close(f1_score(p > 0, y > 0, average="weighted"))
    weak = np.abs(y) < 0.45  # labels lie on a grid of 0.1
    assert found["Acc2_weak"] == close(accuracy_score(y[weak] > 0, p[weak] > 0))


@pytest.mark.parametrize(
    ("edges", "name"), [((-0.1, 0.1), "Acc3"), ((-0.7, -0.1, 0.1, 0.7), "Acc5")]
)
def test_sims_classes_agree_with_tenths_counted_in_whole_numbers(edges, name):
    p, y = draw(-1.3, 1.3)
    tenths = [round(10 * e) for e in edges]

    def by_hand(v):
        return sum(int(round(10 * v)) > t for t in tenths)  # (low, high]

    expected = np.mean([by_hand(a) == by_hand(b) for a, b in zip(p, y, strict=True)])
    assert metrics.scores("sims", p, y)[name] == close(expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_edges_of_sims_bins_do_not_depend_on_the_stored_dtype(dtype):
    v = np.array([-1, -0.7, -0.4, -0.1, 0, 0.1, 0.4, 0.7, 1], dtype)
    assert metrics.sims_bins(v, metrics.SIMS_3).tolist() == [0, 0, 0, 0, 1, 1, 2, 2, 2]
    assert metrics.sims_bins(v, metrics.SIMS_5).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4]
    assert metrics.rows_seen("sims", v)["Acc2_weak"] == 5  # -0.4, -0.1, 0, 0.1, 0.4


def test_sims_clips_both_sides_before_mae_and_corr():
    found = metrics.scores("sims", [3.0, -1.0, 0.5], [1.0, -2.0, 0.5])
    assert found["MAE"] == 0
    assert found["Corr"] == close(1)


@pytest.mark.parametrize("seed", range(5))
def test_mosi_family_agrees_with_scikit_learn_and_scipy(seed):
    p, y = draw(-3, 3, seed=seed)
    found = metrics.scores("mosi", p, y)
    kept = y != 0
    assert found["MAE"] == close(mean_absolute_error(y, p))
    assert found["Corr"] == close(scipy_stats.pearsonr(p, y).statistic)
    assert found["Acc2_has0"] == close(accuracy_score(y >= 0, p >= 0))
    assert found["F1_has0"] == close(f1_score(y >= 0, p >= 0, average="weighted"))
    assert found["F1_predweighted_has0"] == close(f1_score(p >= 0, y >= 0, average="weighted"))
    assert found["Acc2_non0"] == close(accuracy_score(y[kept] > 0, p[kept] > 0))
    assert found["F1_non0"] == close(f1_score(y[kept] > 0, p[kept] > 0, average="weighted"))
    for n, name in ((3, "Acc7"), (2, "Acc5")):
        wanted = [int(round(min(max(v, -n), n))) for v in y.tolist()]  # half to even, as Python
        got = [int(round(min(max(v, -n), n))) for v in p.tolist()]
        assert found[name] == close(accuracy_score(wanted, got))


def test_mosi_rounds_half_to_even():
    assert metrics.mosi_classes([0.5, 1.5, 2.5, -0.5, -2.5, 9], 3).tolist() == [0, 2, 2, 0, -2, 3]


def test_zero_counts_as_non_negative_in_mosi_and_as_negative_in_sims():
    p, y = [0.1, -0.1], [0.0, 0.0]
    assert metrics.scores("mosi", p, y)["Acc2_has0"] == 0.5
    assert metrics.scores("sims", p, y)["Acc2"] == 0.5
    assert metrics.scores("mosi", [0.1, 0.1], y)["Acc2_has0"] == 1
    assert metrics.scores("sims", [0.1, 0.1], y)["Acc2"] == 0


def test_mag_family_drops_neutral_rows_before_everything():
    p, y = draw(-3, 3)
    kept = y != 0
    found = metrics.scores("mag", p, y)
    assert found["MAE"] == close(mean_absolute_error(y[kept], p[kept]))
    assert found["Corr"] == close(scipy_stats.pearsonr(p[kept], y[kept]).statistic)
    assert found["Acc2"] == close(accuracy_score(y[kept] >= 0, p[kept] >= 0))
    assert found["F1"] == close(f1_score(y[kept] >= 0, p[kept] >= 0, average="weighted"))
    assert set(metrics.rows_seen("mag", y).values()) == {int(kept.sum())}


@pytest.mark.parametrize("family", metrics.FAMILIES)
def test_correlation_of_a_constant_is_undefined_never_zero(family):
    assert math.isnan(metrics.scores(family, [0.1] * 4, [0.5, -0.5, 1, -1])["Corr"])
    assert math.isnan(metrics.scores(family, [0.5, -0.5, 1, -1], [0.1] * 4)["Corr"])


@pytest.mark.parametrize("family", metrics.FAMILIES)
def test_one_row_has_every_score_but_a_correlation(family):
    found = metrics.scores(family, [0.3], [0.4])
    assert math.isnan(found.pop("Corr"))
    assert found.pop("MAE") == close(0.1)
    assert all(0 <= value <= 1 for value in found.values())


def test_all_neutral_truth_leaves_what_needs_polarity_undefined():
    zeros = np.zeros(3)
    found = metrics.scores("mosi", [0.1, 0.2, -0.3], zeros)
    assert math.isnan(found["Acc2_non0"])
    assert math.isnan(found["F1_non0"])
    assert math.isnan(found["F1_predweighted_non0"])
    assert found["Acc2_has0"] == close(2 / 3)
    assert all(math.isnan(value) for value in metrics.scores("mag", zeros + 1, zeros).values())
    assert metrics.scores("sims", zeros, zeros)["Acc2"] == 1


def test_f1_agrees_with_scikit_learn_where_a_class_is_never_predicted():
    y, p = np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 1, 0])
    expected = f1_score(y, p, average="weighted", zero_division=0)
    assert metrics.weighted_f1(p, y) == close(expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_an_error_that_counts_them(bad):
    with pytest.raises(BadInput, match="of 3 rows, 1 predictions and 2 true labels are not finite"):
        metrics.scores("sims", [0.1, bad, 0.2], [bad, bad, 0.1])


def test_refuses_no_rows_and_different_lengths():
    with pytest.raises(BadInput, match="at least one row"):
        metrics.scores("mosi", [], [])
    with pytest.raises(BadInput, match=r"predictions \(2,\) and truth \(3,\)"):
        metrics.scores("mosi", [1, 2], [1, 2, 3])


def test_names_the_nearest_family():
    with pytest.raises(UnknownName, match="unknown metric family 'sim'. Did you mean 'sims'"):
        metrics.scores("sim", [1], [1])
