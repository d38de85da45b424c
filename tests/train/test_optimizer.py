import pytest
import torch

from affectflow.train.optimizer import FlatAdam, one_parameter
from affectflow.train.training import Training


def drawn():
    generator = torch.Generator().manual_seed(0)
    shapes = [(3, 4), (4,), (2, 2, 2)]
    return [torch.nn.Parameter(torch.randn(s, generator=generator)) for s in shapes]


@pytest.mark.parametrize(("name", "kind"), [("adam", "Adam"), ("adamw", "AdamW")])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_steps_as_the_optimiser_of_torch_does(name, kind, decay):
    ours, theirs = drawn(), drawn()
    whole, gradient = one_parameter(ours)
    flat = FlatAdam(whole, Training(optimizer=name, lr=0.01, weight_decay=decay))
    reference = getattr(torch.optim, kind)(theirs, lr=0.01, weight_decay=decay)
    for step in range(7):
        gradient.zero_()
        reference.zero_grad()
        for parameters in (ours, theirs):
            sum((p * p * (step + 1)).sum() for p in parameters).backward()
        flat.step()
        reference.step()
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-7)


def test_parts_have_rates_of_their_own_which_follow_the_schedule():
    ours, theirs = drawn(), drawn()
    whole, gradient = one_parameter(ours)
    flat = FlatAdam(whole, Training(lr=0.01), [(12, 0.01), (12, 0.002)])
    reference = torch.optim.Adam([{"params": theirs[:1]}, {"params": theirs[1:]}])
    for lr in (0.01, 0.005, 0.02):
        gradient.zero_()
        reference.zero_grad()
        for parameters in (ours, theirs):
            sum((p * p).sum() for p in parameters).backward()
        flat.step(lr)
        for group, share in zip(reference.param_groups, (1.0, 0.2), strict=True):
            group["lr"] = lr * share
        reference.step()
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-7)


def test_parameters_and_gradients_are_views_of_one_tensor():
    parameters = drawn()
    whole, gradient = one_parameter(parameters)
    sum(p.sum() for p in parameters).backward()
    assert torch.equal(gradient, torch.ones(24))
    with torch.no_grad():
        whole.zero_()
    assert all(not p.any() for p in parameters)
