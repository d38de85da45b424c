import numpy as np
import pytest

from affectflow.cache.errors import TrainingError
from affectflow.train.pca import fit_components, project


def rows(n=60, width=7, rank=7, seed=0):
    """Rows that vary along ``rank`` directions, each less than the one before, about a mean."""
    rng = np.random.default_rng(seed)
    varied = rng.normal(size=(n, rank)) * 2.0 ** -np.arange(rank)
    return varied @ np.linalg.qr(rng.normal(size=(width, width)))[0][:rank] + rng.normal(size=width)


def by_svd(x, columns):
    """The same by numpy's singular values: mean, directions, variances, share."""
    mean = x.mean(axis=0)
    _, s, v = np.linalg.svd(x - mean, full_matrices=False)
    variances = s**2 / (len(x) - 1)
    largest = np.abs(v).argmax(axis=1)
    v = v * np.sign(v[np.arange(len(v)), largest])[:, None]
    return mean, v[:columns], variances[:columns], variances[:columns].sum() / variances.sum()


@pytest.mark.parametrize("sizes", [[60], [1] * 60, [7, 0, 30, 23]])
def test_is_numpys_singular_value_decomposition_whatever_the_blocks(sizes):
    x = rows()
    blocks = np.split(x, np.cumsum(sizes)[:-1])
    found = fit_components(blocks, 7, 3)
    mean, directions, variances, share = by_svd(x, 3)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(found.directions, directions, atol=1e-12)
    np.testing.assert_allclose(found.variances, variances, rtol=1e-12)
    assert found.share == pytest.approx(share, rel=1e-12)
    assert found.n == 60


def test_a_mean_far_from_zero_costs_no_digits():
    found = fit_components(np.split(rows() + 1e6, 6), 7, 3)
    np.testing.assert_allclose(found.directions, by_svd(rows(), 3)[1], atol=1e-8)


def test_projects_real_rows_and_leaves_masked_ones_at_zero():
    x = rows().astype(np.float32)
    mask = np.arange(60) % 3 > 0
    mean, directions, *_ = by_svd(x[mask].astype(np.float64), 2)
    found = fit_components([x[mask]], 7, 2)
    done = project(found.mean, found.directions, x, mask)
    assert done.dtype == np.float32
    np.testing.assert_allclose(done[mask], (x[mask] - mean) @ directions.T, atol=1e-6)
    assert not done[~mask].any()


@pytest.mark.parametrize(
    ("x", "columns", "told"),
    [
        (rows(), 8, "8 principal components of rows of 7 columns were asked for: ask for 7"),
        (rows(4), 4, "need more than 4 real rows in the training split, it has 4"),
        (np.empty((0, 7)), 1, "need more than 1 real rows in the training split, it has 0"),
        (rows(rank=3), 4, "the 60 real rows of the training split vary in 3 directions only"),
        (np.full((60, 7), 0.1), 1, "the 60 real rows of the training split are all the same"),
        (np.zeros((60, 7)), 1, "the 60 real rows of the training split are all the same"),
        (np.where(rows() > 1, np.nan, rows()), 2, "is not finite"),
    ],
)
def test_refuses_rows_without_so_many_components(x, columns, told):
    with pytest.raises(TrainingError, match=told):
        fit_components(np.array_split(x, 3), 7, columns)
