import math

import pytest
import torch
from torch import nn

from affectflow.train.models.attention import Attention, AttentionLayer, positions
from affectflow.train.models.mult import Convolution, last_real, length_of
from affectflow.train.seeds import LayerNorm, Streams


@pytest.fixture
def draw():
    generator = torch.Generator().manual_seed(0)
    return lambda *shape: torch.randn(*shape, generator=generator)


def every(*shape):
    return torch.ones(*shape, dtype=torch.bool)


def test_attention_of_one_head_by_hand(draw):
    attention = Attention(4, 1, 0.0, Streams((0,)))
    asks, answers = draw(1, 1, 3, 4), draw(1, 1, 5, 4)
    query, key, value = (
        x[0, 0] @ layer.weight[0] + layer.bias[0]
        for x, layer in (
            (asks, attention.query),
            (answers, attention.key),
            (answers, attention.value),
        )
    )
    weights = torch.exp(query @ key.T / math.sqrt(4))
    found = weights / weights.sum(dim=1, keepdim=True) @ value
    wanted = found @ attention.out.weight[0] + attention.out.bias[0]
    made = attention(asks, answers, every(1, 1, 1, 5))[0, 0]
    torch.testing.assert_close(made, wanted, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("training", [False, True])
def test_attention_is_that_of_torch_with_masked_keys(draw, training):
    ours = Attention(6, 3, 1e-9, Streams((0, 1))).train(training)  # drops next to nothing
    asks, answers = draw(2, 2, 4, 6), draw(2, 2, 5, 6)
    seen = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 1, 0]]).bool().expand(2, 2, 5).unsqueeze(2)
    made = ours(asks, answers, seen)
    for seed in range(2):
        theirs = nn.MultiheadAttention(6, 3, batch_first=True)
        parts = [ours.query, ours.key, ours.value]
        with torch.no_grad():
            theirs.in_proj_weight.copy_(torch.cat([part.weight[seed].T for part in parts]))
            theirs.in_proj_bias.copy_(torch.cat([part.bias[seed, 0] for part in parts]))
            theirs.out_proj.weight.copy_(ours.out.weight[seed].T)
            theirs.out_proj.bias.copy_(ours.out.bias[seed, 0])
        wanted, _ = theirs(
            asks[seed], answers[seed], answers[seed], key_padding_mask=~seen[seed, :, 0]
        )
        torch.testing.assert_close(made[seed], wanted, atol=1e-5, rtol=1e-4)


def test_who_may_look_nowhere_gets_nothing(draw):
    attention = Attention(4, 2, 0.0, Streams((0,)))
    made = attention(draw(1, 2, 3, 4), draw(1, 2, 5, 4), torch.zeros(1, 2, 1, 5, dtype=torch.bool))
    torch.testing.assert_close(made, attention.out.bias.expand(1, 2, 3, 4).contiguous())


def test_a_layer_adds_to_what_it_is_given(draw):
    layer = AttentionLayer(4, 2, 0.0, 0.0, 0.0, Streams((0,)))
    x = draw(1, 2, 3, 4)
    with torch.no_grad():
        for part in (layer.attention.out, layer.second):
            part.weight.zero_()
            part.bias.zero_()
    torch.testing.assert_close(layer(x, None, every(1, 2, 1, 3)), x)


def test_positions_are_sines_and_cosines_of_geometric_rates():
    made = positions(torch.zeros(1, 1, 7, 6))
    assert made.shape == (7, 6)
    torch.testing.assert_close(made[:, 0], torch.arange(7.0).sin())
    torch.testing.assert_close(made[:, 5], (torch.arange(7.0) / 10_000).cos())
    assert positions(torch.zeros(1, 1, 3, 5)).shape == (3, 5)
    assert positions(torch.zeros(1, 1, 3, 1)).shape == (3, 1)


def test_a_norm_is_that_of_torch_for_each_seed(draw):
    ours, x = LayerNorm(5, Streams((0, 1))), draw(2, 3, 4, 5)
    with torch.no_grad():
        ours.scale.copy_(draw(2, 5))
        ours.shift.copy_(draw(2, 5))
    for seed in range(2):
        wanted = nn.functional.layer_norm(x[seed], (5,), ours.scale[seed], ours.shift[seed])
        torch.testing.assert_close(ours(x)[seed], wanted)


@pytest.mark.parametrize("kernel", [1, 3, 4])
def test_a_convolution_is_that_of_torch(draw, kernel):
    ours, x = Convolution(3, 5, kernel, 0.0, Streams((0,))), draw(1, 2, 7, 3)
    weight = ours.weight[0].view(kernel, 3, 5).permute(2, 1, 0)
    before = (kernel - 1) // 2
    padded = nn.functional.pad(x[0].transpose(1, 2), (before, kernel - 1 - before))
    wanted = nn.functional.conv1d(padded, weight).transpose(1, 2)
    torch.testing.assert_close(ours(x, every(1, 2, 7))[0], wanted, atol=1e-6, rtol=1e-5)


def test_the_last_real_row_is_read_not_the_last_one():
    mask = torch.tensor([[[1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 0]]]).bool()
    x = torch.arange(12.0).view(1, 4, 3, 1)
    assert length_of(mask).tolist() == [[3, 1, 2, 0]]
    assert last_real(x, mask).flatten().tolist() == [2, 3, 7, 0]
