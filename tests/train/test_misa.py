from itertools import combinations

import pytest
import torch

from affectflow.cache.errors import BadCall
from affectflow.train.dataset import InputSpec
from affectflow.train.models.base import Batch
from affectflow.train.models.recurrent import BiLstm, DeepBiLstm
from affectflow.train.models.subspaces import mean_square, moment_distance, overlap
from affectflow.train.registry import model_settings, network_class
from affectflow.train.seeds import Streams

ALL = torch.ones(2, 6, dtype=torch.bool)


def uniform(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_moment_distance_of_equal_distributions_is_zero_and_so_is_its_gradient():
    x = uniform(2, 6, 3).requires_grad_()
    shuffled = x.detach()[:, [3, 1, 5, 0, 4, 2]]
    distance = moment_distance([x, shuffled], [ALL, ALL])
    torch.testing.assert_close(distance, torch.zeros(2), atol=1e-6, rtol=0)
    same = moment_distance([x, x], [ALL, ALL])
    assert same.tolist() == [0, 0]
    same.sum().backward()
    assert torch.isfinite(x.grad).all()


def test_the_moment_distance_is_that_of_its_formula():
    x, y, z = (uniform(2, 6, 3, seed=seed) for seed in range(3))

    def of_two(one, other):
        total = (one.mean(0) - other.mean(0)).norm()
        for k in range(2, 6):
            moments = [((a - a.mean(0)) ** k).mean(0) for a in (one, other)]
            total = total + (moments[0] - moments[1]).norm()
        return total

    wanted = torch.stack(
        [(of_two(x[s], y[s]) + of_two(x[s], z[s]) + of_two(y[s], z[s])) / 3 for s in range(2)]
    )
    torch.testing.assert_close(moment_distance([x, y, z], [ALL] * 3), wanted)
    # two points a distance apart have the distance of their means alone
    apart = moment_distance([torch.zeros(1, 4, 2), torch.full((1, 4, 2), 0.5)], [ALL[:1, :4]] * 2)
    torch.testing.assert_close(apart, torch.tensor([0.5 * 2**0.5]))


def test_utterances_without_a_modality_change_no_loss_of_the_subspaces():
    x, y = uniform(2, 6, 3), uniform(2, 6, 3, seed=1)
    real = ALL.clone()
    real[:, 4:] = False
    few, whole = [real, ALL], [ALL[:, :4], ALL]
    other = x.clone()
    other[:, 4:] = 9.0
    for given in (x, other):
        torch.testing.assert_close(
            moment_distance([given, y], few), moment_distance([x[:, :4], y], whole)
        )
        torch.testing.assert_close(mean_square(given, real), x[:, :4].square().mean(dim=(1, 2)))
    torch.testing.assert_close(overlap([x, y], few, [(0, 1)]), overlap([other, y], few, [(0, 1)]))
    nowhere = torch.zeros_like(real)
    assert moment_distance([x, y], [nowhere, ALL]).tolist() == [0, 0]
    assert overlap([x, y], [nowhere, ALL], [(0, 1)]).tolist() == [0, 0]


def test_overlap_is_the_mean_square_of_the_columns_products():
    x, y, z = (uniform(2, 6, 3, seed=seed) for seed in range(3))

    def unit(a):
        apart = a - a.mean(0)
        return apart / (apart.norm(dim=1, keepdim=True) + 1e-6)

    wanted = torch.stack(
        [
            sum((unit(a[s]).T @ unit(b[s])).square().mean() for a, b in combinations((x, y, z), 2))
            for s in range(2)
        ]
    )
    pairs = [(0, 1), (0, 2), (1, 2)]
    torch.testing.assert_close(overlap([x, y, z], [ALL] * 3, pairs), wanted)


def test_overlap_of_orthogonal_columns_is_zero():
    one = torch.tensor([[[1.0, 0], [-1, 0], [1, 0], [-1, 0]]])
    other = torch.tensor([[[0.0, 1], [0, 1], [0, -1], [0, -1]]])
    assert float(overlap([one, other], [ALL[:1, :4]] * 2, [(0, 1)])) == pytest.approx(0)
    same = float(overlap([one, one], [ALL[:1, :4]] * 2, [(0, 1)]))
    assert same == pytest.approx(16 / 4, rel=1e-4)


def test_the_lstm_in_both_directions_is_that_of_torch_on_packed_sequences():
    x = uniform(1, 4, 7, 3)
    lengths = torch.tensor([7, 1, 4, 6])
    mask = torch.arange(7) < lengths[:, None]
    ours = BiLstm(3, 5, Streams((0,)))
    theirs = torch.nn.LSTM(3, 5, batch_first=True, bidirectional=True)
    with torch.no_grad():
        for way, suffix in enumerate(("", "_reverse")):
            for mine, its in (
                (ours.from_input, "weight_ih_l0"),
                (ours.from_state, "weight_hh_l0"),
                (ours.bias, "bias_ih_l0"),
            ):
                parts = mine[0, way].T.chunk(4)  # torch keeps input, forget, candidate, output
                rows = torch.cat([parts[i] for i in (0, 1, 3, 2)])
                getattr(theirs, its + suffix).copy_(rows.squeeze(-1))
            getattr(theirs, "bias_hh_l0" + suffix).zero_()
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        x[0], lengths, batch_first=True, enforce_sorted=False
    )
    made, (last, _) = theirs(packed)
    rows, _ = torch.nn.utils.rnn.pad_packed_sequence(made, batch_first=True)
    last = torch.cat([last[0], last[1]], dim=-1)
    torch.testing.assert_close(ours(x, mask[None])[0], last)
    our_last, our_rows = ours.both(x, mask[None])
    torch.testing.assert_close(our_last[0], last)
    torch.testing.assert_close(our_rows[0][mask], rows[mask])


def test_two_lstms_in_both_directions_skip_masked_rows_inside_a_sequence():
    x, mask = uniform(1, 1, 5, 3), torch.ones(1, 1, 5, dtype=torch.bool)
    mask[0, 0, 2] = False
    encoder = DeepBiLstm(3, 4, Streams((0,)))
    kept = [0, 1, 3, 4]
    torch.testing.assert_close(encoder(x, mask), encoder(x[:, :, kept], mask[:, :, kept]))


def test_misas_own_losses_are_those_of_its_paper_worked_out_part_by_part():
    widths = {"text": 5, "audio": 4, "vision": 3}
    settings = {"similarity_weight": 2, "difference_weight": 3, "reconstruction_weight": 5}
    model = model_settings("misa", units=8, heads=2, attention_dropout=0, **settings)
    specs = [InputSpec(m, m, width, model.reads(m), 50) for m, width in widths.items()]
    net = network_class("misa")(model, specs, ("M",), Streams((0,))).train()
    rows = {m: uniform(1, 6, 7, widths[m], seed=i) for i, m in enumerate(("audio", "vision"))}
    mask = {m: torch.ones(1, 6, 7, dtype=torch.bool) for m in rows}
    mask["audio"][:, 2] = False  # an utterance without sound
    batch = Batch({"text": uniform(1, 6, 5, seed=2), **rows}, {"text": None, **mask}, None)
    real = [torch.ones(1, 6, dtype=torch.bool) for _ in specs]
    real[1][:, 2] = False
    with torch.no_grad():
        found = net(batch).losses
        text, audio, vision = (net._embed(batch, i) for i in range(3))

        def through(layer, x):
            return x @ layer.weight + layer.bias

        own_t, own_a, own_v = (
            torch.sigmoid(through(layer, x))
            for layer, x in zip(net.private, (text, audio, vision), strict=True)
        )
        all_t, all_a, all_v = (torch.sigmoid(through(net.shared, x)) for x in (text, audio, vision))
        pairs = [
            (own_t, all_t, 0, 0),
            (own_a, all_a, 1, 1),
            (own_v, all_v, 2, 2),
            (own_t, own_a, 0, 1),
            (own_t, own_v, 0, 2),
            (own_a, own_v, 1, 2),
        ]
        apart = sum(overlap([x, y], [real[i], real[k]], [(0, 1)]) for x, y, i, k in pairs)
        again_t, again_a, again_v = (
            through(layer, x)
            for layer, x in zip(
                net.rebuild, (own_t + all_t, own_a + all_a, own_v + all_v), strict=True
            )
        )
        heard = [0, 1, 3, 4, 5]
        wrong = (again_t - text).square().mean() + (again_v - vision).square().mean()
        wrong = wrong + (again_a - audio)[:, heard].square().mean()
        wanted = {
            "similarity": 2 * moment_distance([all_t, all_a, all_v], real),
            "difference": 3 * apart,
            "reconstruction": (5 / 3 * wrong).view(1),
        }
        torch.testing.assert_close(found, wanted)
        assert net.eval()(batch).losses == {}


def test_misa_refuses_heads_that_do_not_divide_its_units_and_weights_below_zero():
    with pytest.raises(BadCall, match=r"'units' of 'misa' must be a multiple of 'heads' \(3\)"):
        model_settings("misa", heads=3)
    with pytest.raises(BadCall, match="'similarity_weight' of 'misa' must be at least 0, not -1"):
        model_settings("misa", similarity_weight=-1)
