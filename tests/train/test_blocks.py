import pytest
import torch

from affectflow.train.models.blocks import LowRankLinear, OuterLinear, outer, with_one
from affectflow.train.seeds import Dropout, Linear, Lstm, Streams


def test_the_outer_product_is_that_of_the_formula():
    generator = torch.Generator().manual_seed(0)
    x, y, z = (torch.randn(2, 3, n, generator=generator) for n in (4, 5, 6))
    expected = torch.einsum("sbi,sbj,sbk->sbijk", x, y, z).reshape(2, 3, -1)
    torch.testing.assert_close(outer(x, y, z), expected)
    assert with_one(x).shape == (2, 3, 5)
    assert (with_one(x)[..., -1] == 1).all()


def test_a_linear_layer_on_the_outer_product_equals_the_product_laid_out():
    generator = torch.Generator().manual_seed(0)
    vectors = [with_one(torch.randn(2, 3, n, generator=generator)) for n in (4, 6, 5)]
    layer = OuterLinear((5, 7, 6), 8, Streams((0, 1)))
    laid_out = layer.weight.reshape(2, 7 * 6 * 5, 8)  # the longest vector first
    product = outer(vectors[1], vectors[2], vectors[0])
    torch.testing.assert_close(
        layer(*vectors), torch.bmm(product, laid_out) + layer.bias, atol=1e-6, rtol=1e-5
    )


def test_a_low_rank_layer_equals_a_layer_on_the_product_with_its_factors_multiplied_out():
    generator = torch.Generator().manual_seed(0)
    vectors = [with_one(torch.randn(2, 3, n, generator=generator)) for n in (4, 6, 5)]
    layer = LowRankLinear((5, 7, 6), 8, 3, Streams((0, 1)))
    factors = [factor.unflatten(-1, (3, 8)) for factor in layer.factors]  # (S, H_i, rank, out)
    weight = torch.einsum("siro,sjro,skro->sijko", *factors) / 3**0.5
    laid_out = torch.bmm(outer(*vectors), weight.flatten(1, 3)) + layer.bias
    torch.testing.assert_close(layer.total(layer.shares(*vectors)), laid_out, atol=1e-5, rtol=1e-4)


def test_the_lstm_is_that_of_torch_on_packed_sequences():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, 7, 3, generator=generator)
    lengths = torch.tensor([7, 1, 4, 6])
    mask = torch.arange(7) < lengths[:, None]
    ours, theirs = Lstm(3, 5, Streams((0,))), torch.nn.LSTM(3, 5, batch_first=True)
    rows = [0, 1, 3, 2]  # torch keeps input, forget, candidate, output
    with torch.no_grad():
        for mine, its in (
            (ours.from_input, theirs.weight_ih_l0),
            (ours.from_state, theirs.weight_hh_l0),
        ):
            its.copy_(torch.cat([mine[0].T.chunk(4)[i] for i in rows]))
        theirs.bias_ih_l0.copy_(torch.cat([ours.bias[0, 0].chunk(4)[i] for i in (0, 1, 3, 2)]))
        theirs.bias_hh_l0.zero_()
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        x, lengths, batch_first=True, enforce_sorted=False
    )
    torch.testing.assert_close(ours(x[None], mask[None])[0], theirs(packed)[1][0][0])


def test_the_lstm_skips_masked_rows_inside_a_sequence():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 2, 5, 3, generator=generator)
    mask = torch.ones(1, 2, 5, dtype=torch.bool)
    mask[0, 0, 2] = False
    lstm = Lstm(3, 4, Streams((0,)))
    without = lstm(x[:, :1, [0, 1, 3, 4]], mask[:, :1, [0, 1, 3, 4]])
    torch.testing.assert_close(lstm(x, mask)[:, :1], without)


def test_dropout_of_a_seed_does_not_depend_on_its_neighbours():
    x = torch.ones(1, 50, 20)
    alone = Dropout(0.5, Streams((4,)))(x)
    stacked = Dropout(0.5, Streams((3, 4)))(x.expand(2, 50, 20))
    torch.testing.assert_close(stacked[1:], alone)
    assert not torch.equal(stacked[0], stacked[1])
    assert 0.4 < (alone == 0).float().mean() < 0.6
    assert set(alone.unique().tolist()) == {0.0, 2.0}


def test_layers_leave_the_global_random_state_alone():
    before = torch.get_rng_state()
    streams = Streams((0, 1))
    Dropout(0.5, streams)(Linear(3, 4, streams)(torch.ones(2, 5, 3)))
    streams.permutations(10)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_states_after_each_row_are_those_of_torch():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 6, 4, generator=generator)
    ours, theirs = Lstm(4, 5, Streams((0,))), torch.nn.LSTM(4, 5, batch_first=True)
    with torch.no_grad():
        for mine, its in (
            (ours.from_input, theirs.weight_ih_l0),
            (ours.from_state, theirs.weight_hh_l0),
            (ours.bias, theirs.bias_ih_l0),
        ):
            its.copy_(torch.cat([mine[0].T.chunk(4)[i] for i in (0, 1, 3, 2)]).view_as(its))
        theirs.bias_hh_l0.zero_()
    rows = ours.rows(x[None], torch.ones(1, 3, 6, dtype=torch.bool))[0]
    torch.testing.assert_close(rows, theirs(x)[0])


@pytest.mark.parametrize("gaps", [False, True])
def test_both_ways_of_the_lstm_come_to_the_same(monkeypatch, gaps):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 4, 7, 3, generator=generator)
    mask = torch.arange(7) < torch.tensor([[7, 1, 4, 0], [3, 7, 2, 5]]).unsqueeze(-1)
    if gaps:
        mask = mask & torch.tensor([True, True, False, True, False, False, True])
    lstm = Lstm(3, 5, Streams((0, 1)))
    ways = []
    for columns in (0, 3):
        monkeypatch.setattr("affectflow.train.seeds.FUSED_COLUMNS", columns)
        lstm.zero_grad()
        last, rows = lstm(x, mask), lstm.rows(x, mask)
        (last.square().sum() + rows.square().sum()).backward()
        ways.append([last, rows, *[p.grad.clone() for p in lstm.parameters()]])
        with torch.no_grad():
            torch.testing.assert_close(lstm(x, mask), last)
    for stack, kernel in zip(*ways, strict=True):
        torch.testing.assert_close(stack, kernel)
