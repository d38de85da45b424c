"""Hybrid-modal attention (Lin and Hu, 2024), equation by equation against numpy."""

import numpy as np
import pytest
import torch

from affectflow.cache.errors import BadCall, UnknownName
from affectflow.train.attention_maps import attention_maps
from affectflow.train.dataset import InputSpec
from affectflow.train.fit import fit
from affectflow.train.models.base import Batch
from affectflow.train.models.bimodal_adjustment import BimodalAdjustment
from affectflow.train.models.shifting_gate import ShiftingGate
from affectflow.train.objectives import shifting_huber
from affectflow.train.registry import fit_settings, model_settings, network_class
from affectflow.train.seeds import Streams

NAME = "hybrid-attention"
SMALL = {"audio_units": 3, "vision_units": 4, "text_units": 8, "heads": 2, "fused_units": 8}
WIDTHS = {"text": 6, "audio": 4, "vision": 5}


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# --- MSG, eq. 4-8 ---------------------------------------------------------------------------


def array(parameter):
    return parameter.detach().numpy()[0]


def gate_by_numpy(gate, f, others):
    """Eq. 4-8 of one seed and one row: F*, h and eta."""
    h = array(gate.bias)[0, 0]
    for layer, weight, x in zip(gate.gates, gate.maps, others, strict=True):
        g = np.concatenate([f, x]) @ array(layer.weight) + array(layer.bias)[0]
        h = h + np.maximum(g, 0) * (x @ array(weight)[0])
    eta = min(np.linalg.norm(f) / (np.linalg.norm(h) + 1e-6) * array(gate.mu).item(), 1)
    return f + eta * h, h, eta


@pytest.mark.parametrize(("mu", "bound"), [(0.05, True), (50.0, False)])
def test_a_row_is_shifted_as_eq_4_to_8_say_on_both_branches_of_eta(mu, bound):
    gate = ShiftingGate(4, [3, 2], mu, Streams((0,)))
    rows, sound, sight = (drawn(1, 2, 3, n, seed=n) for n in (4, 3, 2))
    with torch.no_grad():
        shifted, shift = gate(rows, [sound, sight])
        for b in range(2):
            for t in range(3):
                others = [x[0, b, t].numpy() for x in (sound, sight)]
                wanted, h, eta = gate_by_numpy(gate, rows[0, b, t].numpy(), others)
                np.testing.assert_allclose(shifted[0, b, t], wanted, rtol=1e-5, atol=1e-6)
                np.testing.assert_allclose(shift[0, b, t], h, rtol=1e-5, atol=1e-6)
                assert (eta < 1) == bound


def test_eta_by_hand_and_only_where_it_binds_does_mu_learn():
    gate = ShiftingGate(2, [1], 0.1, Streams((0,)))
    with torch.no_grad():
        gate.gates[0].weight.fill_(1.0)
        gate.gates[0].bias.zero_()
        gate.maps[0].fill_(1.0)
        gate.bias.zero_()
    rows, sound = torch.tensor([3.0, 4.0]).view(1, 1, 1, 2), torch.ones(1, 1, 1, 1)
    shifted, shift = gate(rows, [sound])  # g = 3 + 4 + 1, h = (8, 8), eta = 5 / sqrt(128) * 0.1
    torch.testing.assert_close(shift.flatten(), torch.tensor([8.0, 8.0]))
    eta = 5 / 128**0.5 * 0.1
    torch.testing.assert_close(shifted.flatten(), torch.tensor([3 + 8 * eta, 4 + 8 * eta]))
    shifted.sum().backward()
    torch.testing.assert_close(gate.mu.grad.sum(), torch.tensor(16 * 5 / 128**0.5))
    with torch.no_grad():
        gate.mu.fill_(9.0)
    gate.mu.grad = None
    shifted, _ = gate(rows, [sound])
    torch.testing.assert_close(shifted.flatten(), torch.tensor([11.0, 12.0]))
    shifted.sum().backward()
    assert float(gate.mu.grad) == 0


def test_rows_and_shifts_of_no_length_have_finite_gradients():
    gate = ShiftingGate(2, [1], 1.0, Streams((0,)))
    with torch.no_grad():
        gate.bias.zero_()
    shifted, _ = gate(torch.zeros(1, 1, 1, 2), [torch.zeros(1, 1, 1, 1)])
    assert not shifted.any()
    shifted.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in gate.parameters() if p.grad is not None)


# --- MBA, eq. 9-17 --------------------------------------------------------------------------


def convolved(x, layer):
    """Eq. 9 and 10 of one utterance (N, D): kernel 3, zeros around."""
    weight = array(layer.weight).reshape(layer.kernel, x.shape[1], -1)
    around = np.pad(x, ((1, 1), (0, 0)))
    return np.stack([sum(around[i + k] @ weight[k] for k in range(3)) for i in range(len(x))])


def adjustment_by_numpy(layer, text, other):
    """Eq. 9-17 of one utterance without padding: x_att, and M_tv."""
    made = []
    for x, conv, k in ((text, layer.text, 0), (other, layer.other, 1)):
        x = convolved(x, conv)
        x = x / np.sqrt(np.linalg.norm(x, axis=1, keepdims=True))
        w, b = array(layer.scale)[k].item(), array(layer.shift)[k].item()
        made.append(np.tanh(w * (x @ x.T) + b))
    p_t, p_v = made
    scores = np.exp(p_t + p_t * p_v)
    x_att = scores / scores.sum(axis=1, keepdims=True)
    return x_att, text + x_att @ text


@pytest.fixture
def adjustment():
    layer = BimodalAdjustment(4, 3, 5, (3, 3), Streams((0,)))
    with torch.no_grad():
        layer.scale.copy_(torch.tensor([0.7, -1.3]).view_as(layer.scale))
        layer.shift.copy_(torch.tensor([0.2, 0.4]).view_as(layer.shift))
    return layer


def test_text_is_adjusted_as_eq_9_to_17_say_and_a_padded_token_has_no_weight(adjustment):
    lengths = (3, 6, 1)
    mask = torch.arange(6) < torch.tensor(lengths).view(1, 3, 1)
    text, other = (drawn(1, 3, 6, n, seed=n) * mask.unsqueeze(-1) for n in (4, 3))
    with torch.no_grad():
        weights = adjustment.looks_at(text, other, mask)
        done = adjustment(text, other, mask)
    for b, n in enumerate(lengths):
        x_att, wanted = adjustment_by_numpy(
            adjustment, text[0, b, :n].numpy(), other[0, b, :n].numpy()
        )
        np.testing.assert_allclose(weights[0, b, :n, :n], x_att, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(done[0, b, :n], wanted, rtol=1e-5, atol=1e-6)
        assert (weights[0, b, :, n:] == 0).all()
        assert (weights[0, b, n:] == 0).all()


def test_an_utterance_without_tokens_is_left_alone_with_finite_gradients(adjustment):
    text, other = torch.zeros(1, 1, 2, 4), torch.zeros(1, 1, 2, 3)
    done = adjustment(text, other, torch.zeros(1, 1, 2, dtype=torch.bool))
    assert not done.any()
    done.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in adjustment.parameters())


# --- Shifting HuberLoss, eq. 19-20 ----------------------------------------------------------


def test_huber_on_both_sides_of_delta_by_hand():
    shift = torch.tensor([[0.5, -2.0], [1.0, 9.0]]).view(1, 1, 2, 2)  # the second row is padding
    real = torch.tensor([[[True, False]]])
    # delta 1: 0.125 and 1 * (2 - 0.5); delta 4: 0.125 and 2
    assert shifting_huber(shift, real, 1.0).tolist() == [(0.125 + 1.5) / 2]
    assert shifting_huber(shift, real, 4.0).tolist() == [(0.125 + 2.0) / 2]
    assert shifting_huber(shift, ~real, 2.0).tolist() == [(0.5 + 2 * (9 - 1)) / 2]
    assert shifting_huber(shift, real & False, 1.0).tolist() == [0.0]


@pytest.mark.parametrize("delta", [0.3, 1.0, 2.5])
def test_huber_is_numpys(delta):
    shift, real = drawn(2, 3, 4, 5), drawn(2, 3, 4) > 0
    real[..., 0] = True
    size = np.abs(shift.numpy())
    each = np.where(size <= delta, size**2 / 2, delta * (size - delta / 2))
    wanted = [
        np.mean([row[kept].mean() for row, kept in zip(rows, its, strict=True)])
        for rows, its in zip(each, real.numpy(), strict=True)
    ]
    np.testing.assert_allclose(shifting_huber(shift, real, delta), wanted, rtol=1e-6)


def test_the_loss_is_the_regression_and_alpha_beta_gamma_of_the_three_shifts(dataset_of):
    weights = {"text": 2.0, "audio": 3.0, "vision": 5.0}
    given = {f"{name}_shift_weight": weight for name, weight in weights.items()}
    net, batch = network(**given, delta=0.4), a_batch()
    shifts = {}
    for name, gate in net.gates.items():
        gate.register_forward_hook(lambda _, __, out, name=name: shifts.update({name: out[1]}))
    losses = net(batch).losses
    assert set(losses) == {"text_shift", "audio_shift", "vision_shift"}
    real = batch.mask["text"]
    for name, weight in weights.items():
        wanted = weight * shifting_huber(shifts[name], real, 0.4)
        torch.testing.assert_close(losses[f"{name}_shift"], wanted)
    none = network(**dict.fromkeys(given, 0))
    assert none(batch).losses == {}


# --- the whole ------------------------------------------------------------------------------


def network(modalities=("text", "audio", "vision"), **settings):
    specs = [InputSpec(m, m, WIDTHS[m], "sequence", 9) for m in modalities]
    model = model_settings(NAME, **{**SMALL, **settings})
    return network_class(NAME)(model, specs, ["M"], Streams((0,))).eval()


def a_batch():
    mask = torch.arange(5) < torch.tensor([5, 2]).view(1, 2, 1)
    values = {m: drawn(1, 2, 5, n, seed=n) * mask.unsqueeze(-1) for m, n in WIDTHS.items()}
    return Batch(values, dict.fromkeys(WIDTHS, mask), None)


@pytest.mark.parametrize(
    ("adjusted_by", "audio_gets", "vision_gets"),
    [("other", "vision", "audio"), ("own", "audio", "vision")],
)
def test_the_gates_get_the_text_that_the_other_modality_adjusted_unless_swapped(
    adjusted_by, audio_gets, vision_gets
):
    net = network(adjusted_by=adjusted_by)
    made, given = {}, {}
    for name, layer in net.adjust.items():
        layer.register_forward_hook(lambda _, __, out, name=name: made.update({name: out}))
    for name, gate in net.gates.items():
        gate.register_forward_pre_hook(lambda _, args, name=name: given.update({name: args[1]}))
    net(a_batch())
    assert given["audio"][0] is made[audio_gets]
    assert given["vision"][0] is made[vision_gets]
    assert not torch.equal(made["audio"], made["vision"])


GATES = {"text", "audio", "vision"}


@pytest.mark.parametrize(
    ("modalities", "settings", "gates", "adjusted"),
    [
        (("text", "audio", "vision"), {}, GATES, {"audio", "vision"}),
        (("text", "audio", "vision"), {"adjust": False}, GATES, set()),
        (
            ("text", "audio", "vision"),
            {"shift_audio": False, "shift_vision": False},
            {"text"},
            set(),
        ),
        (("text", "audio", "vision"), {"shift_vision": False}, {"text", "audio"}, {"vision"}),
        (("text", "audio"), {}, {"text", "audio"}, {"audio"}),
        (("text", "vision"), {}, {"text", "vision"}, {"vision"}),
        (("audio", "vision"), {}, {"audio", "vision"}, set()),
        (("text",), {}, set(), set()),
        (("vision",), {}, set(), set()),
    ],
)
def test_ablations_and_subsets_leave_out_their_parts(modalities, settings, gates, adjusted):
    net = network(modalities, **settings)
    assert set(net.gates) == gates
    assert set(net.adjust) == adjusted
    out = net(a_batch())
    assert torch.isfinite(out.predictions).all()
    assert set(out.losses) == {f"{name}_shift" for name in gates}


@pytest.mark.parametrize("rnn", ["sLSTM", "bLSTM", "sGRU", "bGRU"])
def test_padding_never_changes_a_score(rnn):
    net, batch = network(rnn=rnn), a_batch()
    second = Batch(
        {m: x[:, 1:, :2] for m, x in batch.values.items()},
        {m: x[:, 1:, :2] for m, x in batch.mask.items()},
        None,
    )
    whole, alone = net(batch), net(second)
    torch.testing.assert_close(whole.predictions[:, 1:], alone.predictions)
    assert net.widths["audio"] == (6 if rnn[0] == "b" else 3)


def test_adjustments_show_in_the_maps_of_a_fit(dataset_of):
    data = dataset_of(("text", "audio", "vision"), n=30, aligned=True, tasks=("M",))
    model, training = fit_settings(NAME, **SMALL, seeds=1, epochs=1)
    done = fit(model, training, data, ("M",), "sims")
    maps = {m.name: m.weights for m in attention_maps(done.weights, done.meta, data.inputs)}
    assert set(maps) == {
        "text looks at text, by audio (MBA)",
        "text looks at text, by vision (MBA)",
        "text looks at text",
    }
    for weights in maps.values():
        np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)


def test_says_what_it_needs():
    with pytest.raises(UnknownName, match="unknown rnn 'GRU' of 'hybrid-attention'.*bGRU"):
        model_settings(NAME, rnn="GRU")
    with pytest.raises(UnknownName, match="unknown adjusted_by 'vision' of 'hybrid-attention'"):
        model_settings(NAME, adjusted_by="vision")
    with pytest.raises(BadCall, match="'delta' of 'hybrid-attention' must be greater than 0"):
        model_settings(NAME, delta=0)
    with pytest.raises(BadCall, match="'audio_shift_weight' of .* must be at least 0"):
        model_settings(NAME, audio_shift_weight=-1)
    encoder = model_settings("hybrid-attention-encoder")
    said = r"none of its inputs is text: a \(audio\). 'hybrid-attention' does without"
    with pytest.raises(BadCall, match=said):
        encoder.check({"a": "audio"}, ["M"])


# --- inside an encoder ----------------------------------------------------------------------


class Above(torch.nn.Module):
    """Layers above that leave the states as they are, times a number that is learned."""

    def __init__(self, summary):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.summary = summary

    def forward(self, states, mask):
        return states * self.weight


def inside(summary, modalities=("text", "audio"), **settings):
    specs = [InputSpec(m, m, WIDTHS[m], "sequence", 9) for m in modalities]
    small = {name: value for name, value in SMALL.items() if name not in ("text_units", "heads")}
    model = model_settings("hybrid-attention-encoder", **{**small, **settings})
    kind = network_class("hybrid-attention-encoder")
    return kind(model, specs, ["M"], Streams((0,)), (), {"text": Above(summary)}).eval()


@pytest.mark.parametrize(("summary", "places"), [("first", (0, 0)), ("last", (4, 1))])
def test_the_score_is_read_at_cls_of_what_stands_side_by_side(summary, places):
    net, batch = inside(summary, shift_text=False, shift_audio=False), a_batch()
    net.fuse.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    seen = []
    net(batch)
    heard = net.readers["audio"](batch.values["audio"], batch.mask["audio"])
    wanted = torch.cat([batch.values["text"], heard], dim=-1)
    for utterance, place in enumerate(places):
        torch.testing.assert_close(seen[0][0, utterance], wanted[0, utterance, place])


def test_the_layers_above_get_the_shifted_text_and_learn_at_a_rate_of_their_own():
    net, batch = inside("first", encoder_lr=1e-5, text_shift_weight=0), a_batch()
    given = []
    net.encoder.register_forward_pre_hook(lambda _, args: given.append(args[0]))
    net(batch)
    heard = net.readers["audio"](batch.values["audio"], batch.mask["audio"])
    heard = heard * batch.mask["audio"].unsqueeze(-1)
    torch.testing.assert_close(given[0], net.gates["text"](batch.values["text"], [heard])[0])
    assert not torch.allclose(given[0], batch.values["text"])
    rates = {net.rate(name, 1e-3) for name, _ in net.named_parameters() if "encoder" in name}
    assert rates == {1e-5}
    assert net.rate("fuse.weight", 1e-3) == 1e-3


# --- special tokens, which have neither sound nor sight -------------------------------------

ALL = ("text", "audio", "vision")
RNNS = ["sLSTM", "bLSTM", "sGRU", "bGRU"]


def a_batch_with_special_tokens(padding=0):
    """Two texts of 6 and 4 tokens; the first and the last have no sound and no sight."""
    step, lengths = torch.arange(6 + padding), torch.tensor([6, 4]).view(1, 2, 1)
    tokens = step < lengths
    spoken = (step > 0) & (step < lengths - 1)
    mask = {"text": tokens, "audio": spoken, "vision": spoken}
    values = {m: drawn(1, 2, 6, n, seed=n) for m, n in WIDTHS.items()}
    padded = {m: torch.nn.functional.pad(x, (0, 0, 0, padding)) for m, x in values.items()}
    return Batch({m: x * mask[m].unsqueeze(-1) for m, x in padded.items()}, mask, None)


@pytest.mark.parametrize("summary", ["first", "last"])
@pytest.mark.parametrize("rnn", RNNS)
def test_all_gates_and_adjustments_reach_the_score_at_cls(rnn, summary):
    net = inside(summary, ALL, rnn=rnn)
    net(a_batch_with_special_tokens()).predictions.sum().backward()
    for part in (net.adjust.audio, net.adjust.vision, *net.gates.values()):
        slopes = {name: p.grad for name, p in part.named_parameters() if name != "mu"}
        assert all(slope is not None and slope.any() for slope in slopes.values()), slopes


@pytest.mark.parametrize("rnn", RNNS)
def test_a_special_token_is_read_as_zeros_and_padding_still_changes_no_score(rnn):
    net, batch = inside("first", ALL, rnn=rnn), a_batch_with_special_tokens()
    longer = a_batch_with_special_tokens(padding=3)
    torch.testing.assert_close(net(longer).predictions, net(batch).predictions)
    seen = []
    net.gates["text"].register_forward_pre_hook(lambda _, args: seen.extend(args[1]))
    net(batch)
    for name, states in zip(("audio", "vision"), seen, strict=True):
        rows, tokens = batch.values[name], batch.mask["text"]
        wanted = net.readers[name](rows, tokens) * tokens.unsqueeze(-1)
        torch.testing.assert_close(states, wanted)
        assert states[:, :, 0].any(dim=-1).all()


@pytest.mark.parametrize("rnn", RNNS)
def test_what_an_utterance_lacks_is_read_by_nobody(rnn):
    net, batch = inside("first", ALL, rnn=rnn), a_batch_with_special_tokens()
    batch.mask["vision"] = batch.mask["vision"] & torch.tensor([True, False]).view(1, 2, 1)
    batch.values["vision"] = batch.values["vision"] * batch.mask["vision"].unsqueeze(-1)
    seen = []
    net.gates["text"].register_forward_pre_hook(lambda _, args: seen.extend(args[1]))
    net(batch)
    sight = seen[1]
    assert sight[0, 0].any()
    assert not sight[0, 1].any()
