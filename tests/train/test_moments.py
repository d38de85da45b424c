import numpy as np
import pytest
import torch

from affectflow.train.models.moments import domain_distance


def distance(x, domain, n):
    return domain_distance(torch.tensor(x)[None], torch.tensor(domain)[None], n).item()


def test_two_domains_by_hand():
    x = [[1.0, 0.0], [3.0, 4.0], [2.0, 2.0]]
    # means (2, 2) and (2, 2); mean squares (5, 8) and (4, 4): |(1, 4)|
    assert distance(x, [0, 0, 1], 2) == pytest.approx(np.sqrt(17))


def test_three_domains_by_hand_and_one_that_is_not_there():
    x = [[0.0], [1.0], [2.0]]
    # pairs: 1 + 1, 2 + 4, 1 + 3
    assert distance(x, [0, 1, 2], 3) == pytest.approx(12 / 3)
    assert distance(x, [0, 1, 3], 4) == pytest.approx(12 / 3)


def test_known_gaussians():
    rng = np.random.default_rng(0)
    n, mean, spread = 400_000, np.array([0.5, -1.0, 2.0]), 1.5
    x = np.concatenate([rng.normal(size=(n, 3)), mean + spread * rng.normal(size=(n, 3))])
    wanted = np.linalg.norm(mean) + np.linalg.norm(mean**2 + spread**2 - 1)
    found = distance(x, np.repeat([0, 1], n), 2)
    assert found == pytest.approx(wanted, rel=5e-3)


def test_equal_domains_lie_at_zero_where_the_slope_is_finite():
    own = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = torch.cat([own, own.flip(0)])[None].requires_grad_()
    found = domain_distance(x, torch.tensor([[0] * 6 + [1] * 6]), 2)
    found.sum().backward()
    assert found.item() == pytest.approx(0, abs=1e-12)
    assert torch.isfinite(x.grad).all()


def test_the_slope_draws_domains_together():
    x = torch.randn(2, 30, 5, generator=torch.Generator().manual_seed(1))
    domain = torch.arange(30).remainder(3).expand(2, 30)
    x = (x + domain.unsqueeze(-1)).requires_grad_()
    before = domain_distance(x, domain, 3)
    (slope,) = torch.autograd.grad(before.sum(), x)
    assert (domain_distance(x - slope, domain, 3) < before).all()


def test_one_domain_is_at_no_distance_and_seeds_are_apart():
    x = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(2))
    domain = torch.tensor([[1, 1, 1, 1], [0, 1, 0, 1]])
    found = domain_distance(x, domain, 2)
    assert found[0] == 0
    assert found[1] == domain_distance(x[1:], domain[1:], 2)[0] > 0
