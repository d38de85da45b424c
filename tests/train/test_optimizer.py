import pytest
import torch

from affectflow.train.loop import clip_gradients
from affectflow.train.optimizer import Adam, one_parameter
from affectflow.train.training import Training
from affectflow.train.wide import WideParameter, WideProduct


def drawn():
    generator = torch.Generator().manual_seed(0)
    shapes = [(3, 4), (4,), (2, 2, 2)]
    return [torch.nn.Parameter(torch.randn(s, generator=generator)) for s in shapes]


def stack(n_seeds=2):
    """A wide layer and a bias, each with seeds of its own, and two batches for it."""
    generator = torch.Generator().manual_seed(0)
    weight = WideParameter(torch.randn(n_seeds, 11, 3, generator=generator))
    bias = torch.nn.Parameter(torch.randn(n_seeds, 1, 11, generator=generator))
    return [weight, bias], torch.randn(2, n_seeds, 5, 3, generator=generator)


def backward(parameters, x):
    (WideProduct.apply(x, parameters[0]) + parameters[1]).square().sum().backward()


@pytest.mark.parametrize(("name", "kind"), [("adam", "Adam"), ("adamw", "AdamW")])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_steps_as_the_optimiser_of_torch_does(name, kind, decay):
    ours, theirs = drawn(), drawn()
    adam = Adam([(ours, 0.01)], Training(optimizer=name, lr=0.01, weight_decay=decay))
    reference = getattr(torch.optim, kind)(theirs, lr=0.01, weight_decay=decay)
    for step in range(7):
        adam.zero()
        reference.zero_grad()
        for parameters in (ours, theirs):
            sum((p * p * (step + 1)).sum() for p in parameters).backward()
        adam.step()
        reference.step()
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-7)


def test_groups_have_rates_of_their_own_which_follow_the_schedule():
    ours, theirs = drawn(), drawn()
    adam = Adam([(ours[:1], 0.01), (ours[1:], 0.002)], Training(lr=0.01))
    reference = torch.optim.Adam([{"params": theirs[:1]}, {"params": theirs[1:]}])
    for lr in (0.01, 0.005, 0.02):
        adam.zero()
        reference.zero_grad()
        for parameters in (ours, theirs):
            sum((p * p).sum() for p in parameters).backward()
        adam.step(lr)
        for group, share in zip(reference.param_groups, (1.0, 0.2), strict=True):
            group["lr"] = lr * share
        reference.step()
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("piece", [1, 12, 1000])  # rows of one, of four, all eleven at once
@pytest.mark.parametrize(("name", "kind"), [("adam", "Adam"), ("adamw", "AdamW")])
def test_wide_parameters_step_as_with_their_gradient_laid_out(monkeypatch, piece, name, kind):
    monkeypatch.setattr("affectflow.train.optimizer.PIECE", piece)
    (ours, batches), (theirs, _) = stack(), stack()
    adam = Adam([(ours, 0.01)], Training(optimizer=name, lr=0.01, weight_decay=0.1))
    reference = getattr(torch.optim, kind)(theirs, lr=0.01, weight_decay=0.1)
    for _ in range(4):
        adam.zero()
        reference.zero_grad()
        for x in batches:  # two batches make a step
            backward(ours, x)
            backward(theirs, x)
        assert ours[0].grad is None
        assert theirs[0].grad.any()
        adam.step()
        reference.step()
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-6)


def test_wide_gradients_are_clipped_as_if_laid_out():
    (ours, batches), (theirs, _) = stack(), stack()
    Adam([(ours, 1.0)], Training())
    for x in batches:
        backward(ours, x)
        backward(theirs, x)
    whole = theirs[0].grad.flatten(1).norm(dim=1).square()
    torch.testing.assert_close(ours[0].squares(), whole)
    for parameters in (ours, theirs):
        clip_gradients(parameters, 1.0)
    torch.testing.assert_close(ours[1].grad, theirs[1].grad)
    slopes, given = ours[0].gathered()
    torch.testing.assert_close(slopes.transpose(1, 2) @ given, theirs[0].grad)


def test_parameters_and_gradients_are_views_of_one_tensor():
    parameters = drawn()
    whole, gradient = one_parameter(parameters)
    sum(p.sum() for p in parameters).backward()
    assert torch.equal(gradient, torch.ones(24))
    with torch.no_grad():
        whole.zero_()
    assert all(not p.any() for p in parameters)
