import pytest
import torch
from torch import nn

from affectflow.train.models.copies import AT_ONCE, Copies
from affectflow.train.seeds import Streams


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.inner = nn.Linear(width, width)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return torch.tanh(nn.functional.dropout(self.inner(x), 0.3, self.training))


class Pairs(nn.Module):
    """Two blocks, then the sum of two rows; padding is told apart by the mask alone."""

    stride = 2

    def __init__(self, width=4):
        super().__init__()
        self.parts = nn.ModuleList([Block(width), Block(width)])
        self.register_buffer("constant", torch.ones(1))
        self.sizes = []

    def blocks(self):
        return list(self.parts)

    def forward(self, x, mask):
        self.sizes.append(tuple(mask.shape))
        for part in self.parts:
            x = part(x)
        x = x * mask.unsqueeze(-1) * self.constant
        return nn.functional.pad(x, (0, 0, 0, x.shape[1] % 2)).unflatten(1, (-1, 2)).sum(2)


@pytest.fixture
def made():
    """The function: copies for two seeds of the same weights, which differ in recomputing alone."""

    def make(recompute):
        torch.manual_seed(0)
        return Copies(Pairs(), Streams((3, 4)), recompute)

    return make


def rows(lengths, width=4):
    x = torch.randn(
        2, len(lengths), max(lengths), width, generator=torch.Generator().manual_seed(1)
    )
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).expand(2, -1, -1)
    return x * mask.unsqueeze(-1), mask


def test_what_is_forgotten_is_made_again_to_the_same_gradients(made):
    found = []
    for recompute in (False, True):
        copies = made(recompute).train()
        out = copies(*rows([5, 3]))
        (out**2).sum().backward()
        found.append([out.detach(), *[p.grad for p in copies.parameters()]])
        assert [part.calls for part in copies.module.parts] == [4 if recompute else 2] * 2
    for kept, again in zip(*found, strict=True):
        assert float(kept.abs().max()) > 0
        assert torch.equal(kept, again)  # dropout included


def test_what_happens_inside_a_block_is_not_kept(made):
    saved = []
    for recompute in (False, True):
        copies, size = made(recompute).train(), [0]

        def pack(tensor, size=size):
            size[0] += tensor.numel()
            return tensor

        given = rows([64] * 8)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            copies(*given)
        saved.append(size[0])
    assert saved[1] < saved[0] / 2


def test_without_gradients_few_utterances_are_computed_at_a_time_cut_to_their_longest(made):
    lengths = [7, 1, 2, *[1] * (AT_ONCE - 3), 3, 2]
    copies = made(True).eval()
    whole = copies(*rows(lengths)).detach()
    copies.module.sizes.clear()
    with torch.no_grad():
        found = copies(*rows(lengths))
    assert copies.module.sizes == [(AT_ONCE, 7), (2, 3)] * 2
    torch.testing.assert_close(found, whole)


def test_a_row_of_several_is_real_where_half_of_them_are(made):
    mask = torch.tensor([[[1, 1, 1, 0, 0, 0, 1], [0, 1, 0, 0, 0, 0, 0]]], dtype=torch.bool)
    assert made(False).real(mask).int().tolist() == [[[1, 1, 0, 1], [1, 0, 0, 0]]]


def test_constants_of_a_module_are_no_weights(made):
    assert set(made(False).state_dict()) == {name for name, _ in made(False).named_parameters()}
