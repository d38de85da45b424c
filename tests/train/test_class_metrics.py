import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from affectflow.cache.errors import BadInput
from affectflow.train.class_metrics import ccc, confusion, dimension, one_class, r2, several

NAMES = ("angry", "happy", "sad")


def drawn(n=40, seed=0):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(3), n), np.eye(3)[rng.integers(0, 3, n)]


@pytest.mark.parametrize("seed", range(3))
def test_scores_of_one_class_agree_with_scikit_learn(seed):
    p, y = drawn(seed=seed)
    guess, true = p.argmax(1), y.argmax(1)
    found = one_class(p, y, NAMES)
    each = sk.f1_score(true, guess, average=None, labels=[0, 1, 2])
    wanted = {
        "Acc": sk.accuracy_score(true, guess),
        "F1": sk.f1_score(true, guess, average="weighted"),
        "MacroF1": sk.f1_score(true, guess, average="macro"),
        "UAR": sk.balanced_accuracy_score(true, guess),
        **{f"F1_{name}": value for name, value in zip(NAMES, each, strict=True)},
    }
    assert found == pytest.approx(wanted, rel=1e-6)
    np.testing.assert_array_equal(
        confusion(p, y), sk.confusion_matrix(true, guess, labels=[0, 1, 2])
    )


def test_a_class_that_is_nowhere_does_not_count_in_the_means():
    p, y = np.eye(3)[[0, 1, 1, 0]], np.eye(3)[[0, 1, 0, 0]]
    found = one_class(p, y, NAMES)
    assert np.isnan(found["F1_sad"])
    assert found["UAR"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["MacroF1"] == pytest.approx((0.8 + 2 / 3) / 2)


@pytest.mark.parametrize("seed", range(3))
def test_scores_of_several_at_once_agree_with_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    p, y = rng.random((50, 3)), (rng.random((50, 3)) < 0.3).astype(float)
    found = several(p, y, NAMES)
    for k, name in enumerate(NAMES):
        true, guess = y[:, k] > 0.5, p[:, k] > 0.5
        assert found[f"WA_{name}"] == pytest.approx(sk.balanced_accuracy_score(true, guess))
        assert found[f"F1_{name}"] == pytest.approx(sk.f1_score(true, guess, average="weighted"))
    assert found["WA"] == pytest.approx(np.mean([found[f"WA_{name}"] for name in NAMES]))
    assert found["Acc"] == pytest.approx(((p > 0.5) == (y > 0.5)).mean())


def test_concordance_is_correlation_less_what_scale_and_place_cost():
    rng = np.random.default_rng(0)
    y = rng.normal(size=200).astype(np.float32)
    p = (0.5 * y + 0.3 + 0.1 * rng.normal(size=200)).astype(np.float32)
    a, b = p.astype(float), y.astype(float)
    bias = a.std() * b.std() * 2 / (a.var() + b.var() + (a.mean() - b.mean()) ** 2)
    assert ccc(p, y) == pytest.approx(stats.pearsonr(a, b).statistic * bias, rel=1e-6)
    assert r2(p, y) == pytest.approx(sk.r2_score(b, a), rel=1e-6)
    assert ccc(y, y) == pytest.approx(1)
    assert list(dimension(p, y)) == ["CCC", "MAE", "Corr", "R2"]


def test_constants_and_single_rows_are_defined_or_nan():
    same = np.full(4, 0.5)
    assert np.isnan(ccc(same, same))
    assert ccc(same, same + 1) == 0
    assert np.isnan(r2(same, same))
    one = one_class(np.array([[0.2, 0.8]]), np.array([[0.0, 1.0]]), ("a", "b"))
    assert (one["Acc"], one["UAR"]) == (1, 1)


def test_refuses_what_is_not_finite_and_says_how_much():
    p, y = drawn(5)
    y[[1, 3]] = np.nan
    with pytest.raises(BadInput, match="of 5 rows, 0 predictions and 2 true labels are not finite"):
        one_class(p, y, NAMES)
    with pytest.raises(BadInput, match="at least one row"):
        several(p[:0], y[:0], NAMES)
