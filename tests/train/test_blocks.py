import torch

from affectflow.train.models.blocks import LowRankLinear, OuterLinear, outer, with_one
from affectflow.train.seeds import Dropout, Linear, Streams


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
    laid_out = layer.weight.transpose(1, 2).reshape(2, 6 * 5 * 7, 8)  # the longest vector last
    product = outer(vectors[2], vectors[0], vectors[1])
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


def test_dropout_of_a_seed_does_not_depend_on_its_neighbours():
    x = torch.ones(1, 50, 20)
    alone = Dropout(0.5, Streams((4,)))(x)
    stacked = Dropout(0.5, Streams((3, 4)))(x.expand(2, 50, 20))
    torch.testing.assert_close(stacked[1:], alone)
    assert not torch.equal(stacked[0], stacked[1])
    assert 0.4 < (alone == 0).float().mean() < 0.6
    assert set(alone.unique().tolist()) == {0.0, 2.0}


def test_dropout_of_packed_rows_does_not_depend_on_its_neighbours():
    real = torch.tensor([[True] * 3 + [False], [True, True, False, True]])
    stacked = Dropout(0.5, Streams((3, 4)))(torch.ones(2, 4, 200), real)
    alone = Dropout(0.5, Streams((4,)))(torch.ones(1, 3, 200), torch.ones(1, 3).bool())
    assert torch.equal(stacked[1, real[1]], alone[0])
    assert not stacked[~real].any()
    assert 0.4 < (alone == 0).float().mean() < 0.6


def test_layers_leave_the_global_random_state_alone():
    before = torch.get_rng_state()
    streams = Streams((0, 1))
    Dropout(0.5, streams)(Linear(3, 4, streams)(torch.ones(2, 5, 3)))
    streams.permutations(10)
    assert torch.equal(torch.get_rng_state(), before)
