from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from affectflow.cache.errors import BadCall, UnknownName
from affectflow.cache.table import FeatureTable
from affectflow.train.dataset import Input, InputSpec, join
from affectflow.train.fit import fit
from affectflow.train.fitted import predict
from affectflow.train.models.adaptation import Displacement
from affectflow.train.models.aligned import spread
from affectflow.train.models.base import Batch
from affectflow.train.models.moments import domain_distance
from affectflow.train.models.noise import gaussian, zeroed_tokens
from affectflow.train.objectives import Objective, by_domain, label_weights, soft_divergence
from affectflow.train.registry import fit_settings, model_settings, network_class
from affectflow.train.seeds import Streams
from affectflow.train.targets import Target

SMALL = {"layers": 1, "units": 8, "heads": 2, "feature_units": 4, "post_dropout": 0}
SOFT = ("polarity=negative", "polarity=neutral", "polarity=positive", "emotion=fear", "emotion=sad")
EMOTION = (Target("emotion", "class", ("fear", "happy", "sad")),)


def network(name, tasks, sizes, soft=False, training=True, **settings):
    specs = [
        InputSpec("t", "text", 6, "sequence", 9),
        InputSpec("a", "audio", 4, "sequence", 9),
        InputSpec("v", "vision", 5, "sequence", 9),
    ]
    specs += [InputSpec("s", "soft", 5, "mean", 1, SOFT)] if soft else []
    model = model_settings(name, **{**SMALL, "attention_dropout": 0, **settings})
    return network_class(name)(model, specs, tasks, Streams((0,)), sizes).train(training)


def batch(n=6, soft=None, **more):
    draw = torch.Generator().manual_seed(0)
    values = {
        name: torch.randn(1, n, rows, columns, generator=draw)
        for name, rows, columns in (("t", 3, 6), ("a", 7, 4), ("v", 2, 5))
    }
    mask = {name: torch.ones(x.shape[:3], dtype=torch.bool) for name, x in values.items()}
    if soft is not None:
        values["s"], mask["s"] = torch.tensor(soft)[None], None
    return Batch(values, mask, None, **more)


def test_the_displacement_is_added_whole_up_to_gamma_times_the_text():
    made = Displacement(2, [1], 0.1, Streams((0,)))
    with torch.no_grad():
        for layer in (*made.gates, *made.shifts):
            layer.weight.fill_(1.0)
            layer.bias.zero_()
    text, x = torch.tensor([[[[3.0, 4.0]]]]), torch.tensor([[[[1.0]]]])
    here = [torch.ones(1, 1, 1, dtype=torch.bool)]
    # g = 3 + 4 + 1, R = (8, 8): lambda = 5 / sqrt(128) * 0.1 and, of gamma = 100, 1
    wanted = text + 8 * 5 / 128**0.5 * 0.1
    torch.testing.assert_close(made(text, [x], here), wanted)
    made.largest = 100.0
    torch.testing.assert_close(made(text, [x], here), text + 8)


def test_rows_of_any_rate_come_to_stand_beside_the_tokens():
    rows = torch.arange(6.0).view(1, 1, 6, 1)
    mask = torch.tensor([[[True, True, False, True, True, False]]])  # five rows, one of them masked
    tokens = torch.tensor([[[True, True, True, False]]])
    found, real = spread(rows, mask, tokens)
    # of five rows and three tokens: 0 and 1; 1, 2 (masked) and 3; 3 and 4
    assert found.flatten().tolist() == [0.5, 2.0, 3.5, 0.0]
    assert real.flatten().tolist() == [True, True, True, False]
    few, real = spread(rows[:, :, :2], mask[:, :, :2], tokens)  # and of two: 0; 0 and 1; 1
    assert few.flatten().tolist() == [0.0, 0.5, 1.0, 0.0]
    same, _ = spread(rows[:, :, :3], torch.ones(1, 1, 3, dtype=torch.bool), tokens)
    assert same.flatten().tolist() == [0.0, 1.0, 2.0, 0.0]
    nothing, real = spread(rows, torch.zeros_like(mask), tokens)
    assert not nothing.any()
    assert not real.any()


def test_divergence_from_soft_labels_against_torch_and_of_equal_ones():
    draw = torch.Generator().manual_seed(0)
    scores, soft = torch.randn(2, 5, 4, generator=draw), torch.rand(2, 5, 4, generator=draw)
    soft = soft / soft.sum(dim=-1, keepdim=True)
    soft[0, 0] = torch.tensor([1.0, 0, 0, 0])
    real = torch.tensor([[True] * 5, [True, True, False, True, False]])
    found = soft_divergence(scores, soft, real)
    logs = functional.log_softmax(scores, dim=-1)
    for i in range(2):
        wanted = functional.kl_div(logs[i, real[i]], soft[i, real[i]], reduction="batchmean")
        torch.testing.assert_close(found[i], wanted)
    equal = soft_divergence(scores, scores.softmax(dim=-1), real)
    torch.testing.assert_close(equal, torch.zeros(2), atol=1e-6, rtol=0)
    assert soft_divergence(scores, soft, torch.zeros_like(real)).tolist() == [0, 0]


def test_losses_of_domains_add_up():
    scores = torch.randn(1, 6, 3, generator=torch.Generator().manual_seed(1))
    truth = torch.eye(3)[[0, 1, 2, 0, 1, 2]][None]
    known = torch.tensor([True, True, True, True, False, True])
    domain = torch.tensor([[0, 0, 0, 2, 2, 2]])
    weights = label_weights(known[None, :, None].expand(1, 6, 3), torch.ones(3))
    loss, _ = Objective("mse", truth, by_domain(weights, domain), EMOTION)(scores)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    first, last = ([0, 1, 2], [3, 5])
    wanted = sum(functional.cross_entropy(scores[0, own], labels[own]) for own in (first, last))
    torch.testing.assert_close(loss[0], wanted)


def test_the_first_phase_learns_by_its_domains_and_their_distance():
    domain = torch.tensor([[0, 0, 1, 1, 1, 0]])
    given = batch(domain=domain)
    truth = torch.eye(3)[[0, 1, 2, 0, 1, 2]][None]
    weights = label_weights(torch.ones(1, 6, 3), torch.ones(3))
    found = {}
    for omega in (0.0, 0.1):
        net = network("easum-general", ("emotion",), (3,), moment_weight=omega)
        for p in net.parameters():
            p.grad = torch.zeros_like(p)
        found[omega] = net.learn(given, Objective("mse", truth, weights, EMOTION))
    apart = domain_distance(net(given).hidden, domain, 2)
    assert apart > 0.01
    torch.testing.assert_close(found[0.1] - found[0.0], 0.1 * apart.detach())
    scores, labels = net(given).predictions[0], truth[0].argmax(dim=1)
    by_hand = sum(
        functional.cross_entropy(scores[domain[0] == i], labels[domain[0] == i]) for i in (0, 1)
    )
    torch.testing.assert_close(found[0.0][0], by_hand.detach())


def test_noise_is_on_copies_alone_and_as_the_paper_or_centred():
    rows, copied = torch.ones(1, 2, 5000, 4), torch.tensor([[False, True]])
    for mean, scale in ((0.0, 1.0), (1.0, 2.0)):
        made = gaussian(rows, copied, mean, scale, Streams((0,)))
        assert torch.equal(made[0, 0], rows[0, 0])
        assert made[0, 1].mean().item() == pytest.approx(1 + mean, abs=0.05)
        assert made[0, 1].var().item() == pytest.approx(1 + scale**2, rel=0.05)
        far = gaussian(-3 * rows, copied, mean, scale, Streams((0,)))
        assert far[0, 1].mean().item() == pytest.approx(mean - 3, abs=0.1)
        assert far[0, 1].var().item() == pytest.approx(9 + scale**2, rel=0.05)
    made = zeroed_tokens(rows, copied, 0.15, Streams((0,)))
    assert torch.equal(made[0, 0], rows[0, 0])
    gone = (made[0, 1] == 0).all(dim=-1)
    assert gone.float().mean().item() == pytest.approx(0.15, abs=0.02)
    assert (made[0, 1][~gone] == 1).all()


def test_copies_are_noisy_only_while_learning():
    copied = torch.tensor([[False, True] * 3])
    net = network("easum-general", ("emotion",), (3,))
    plain, noisy = net(batch()).hidden, net(batch(copied=copied)).hidden
    assert torch.equal(plain[:, ::2], noisy[:, ::2])
    assert (plain[:, 1::2] - noisy[:, 1::2]).abs().amax(dim=-1).min() > 1e-3
    assert torch.equal(net.eval()(batch(copied=copied)).hidden, net(batch()).hidden)


def test_smaller_corpora_are_shown_again_until_all_have_as_many():
    domain = [0] * 2 + [1] * 5 + [2]
    again = model_settings("easum-general").shown_again(domain)
    assert sorted(again) == [0, 0, 1, 7, 7, 7, 7]
    assert np.bincount(domain + [domain[i] for i in again]).tolist() == [5, 5, 5]
    assert model_settings("easum-general", balance=False).shown_again(domain) == []
    assert model_settings("easum-general").shown_again(domain[:2]) == []


@pytest.mark.parametrize(
    ("tasks", "sizes", "helping"),
    [(("M",), (1,), {"emotion": 2}), (("emotion",), (6,), {"polarity": 3})],
)
def test_the_other_task_helps_by_soft_labels(tasks, sizes, helping):
    soft = [[0.2, 0.3, 0.5, 0.9, 0.1]] * 6
    net = network("easum-specific", tasks, sizes, soft=True, soft_weight=0.5)
    given = batch(soft=soft)
    out = net(given)
    assert set(out.losses) == {f"soft {task}" for task in helping}
    (task,) = helping
    columns = {"polarity": slice(0, 3), "emotion": slice(3, 5)}[task]
    logs = functional.log_softmax(net.heads[task](out.hidden)[0], dim=-1)
    wanted = functional.kl_div(logs, torch.tensor(soft)[:, columns], reduction="batchmean")
    torch.testing.assert_close(out.losses[f"soft {task}"][0], 0.5 * wanted)
    assert {name: head.weight.shape[-1] for name, head in net.heads.items()} == {
        **dict(zip(tasks, sizes, strict=True)),
        **helping,
    }
    assert out.predictions.shape == (1, 6, sizes[0])
    assert not net.eval()(given).losses


def emotional(n=48, emotions=("joy", "sad", "anger"), seed=0, shift=0.0, soft=None):
    """Utterances of one corpus whose emotion stands in the first columns of all rows."""
    rng = np.random.default_rng(seed)
    ids = [f"c{seed}/{i}" for i in range(n)]
    kinds = rng.integers(0, len(emotions), n)
    inputs = []
    for name, modality, rows, width in (("t", "text", 3, 6), ("a", "audio", 5, 4)):
        values = rng.normal(size=(n * rows, width)).astype(np.float32) + shift
        values[np.arange(n * rows), np.repeat(kinds, rows)] += 2
        inputs.append(Input(name, modality, table(ids, values, rows)))
    if soft is not None:
        inputs.append(Input("s", "soft", table(ids, soft, 1, SOFT)))
    labels = {"emotion": np.array(emotions)[kinds], "M": kinds - 1.0}
    splits = ["train"] * (n - 16) + ["valid"] * 8 + ["test"] * 8
    return ids, splits, labels, inputs


def table(ids, values, rows, columns=()):
    n = len(values)
    offsets = np.arange(0, n + 1, rows, dtype=np.int64)
    return FeatureTable(
        tuple(ids), values, offsets, np.ones(n, bool), np.full((n, 2), np.nan), columns
    )


def trained(name, dataset, tasks, **settings):
    given = {**SMALL, "seeds": 1, "epochs": 2, "batch_size": 16, "lr": 1e-2, **settings}
    model, training = fit_settings(name, **given)
    return fit(model, training, dataset, tasks, "mosi")


def together(*corpora):
    """Several corpora of ``emotional`` as one, each a domain."""
    ids, splits = ([one for own in corpora for one in own[k]] for k in (0, 1))
    labels = {"emotion": np.concatenate([own[2]["emotion"] for own in corpora])}
    inputs = []
    for same, rows in zip(zip(*(own[3] for own in corpora), strict=True), (3, 5), strict=True):
        values = np.concatenate([one.table.values for one in same])
        inputs.append(replace(same[0], table=table(ids, values, rows)))
    domains = [f"corpus{k}" for k, own in enumerate(corpora) for _ in own[0]]
    return join(ids, splits, labels, inputs, domains)


def test_two_corpora_of_unequal_size_are_fitted_as_one():
    dataset = together(emotional(40), emotional(28, ("hap", "neu"), 1, 3.0))
    losses = {}
    for setting in ({}, {"moment_weight": 0}, {"balance": False}, {"noise": "paper"}):
        done = trained("easum-general", dataset, ("emotion",), emotions="nine", **setting)
        losses[str(setting)] = done.meta["seeds"][0]["train_loss"][-1]
    assert done.meta["targets"][0]["names"] == ["angry", "happy", "neutral", "sad"]
    assert len(set(losses.values())) == 4  # each of them makes a difference


def test_soft_labels_are_learned_from_and_not_looked_at():
    soft = np.full((48, 5), 0.2, np.float32)
    ids, splits, labels, inputs = emotional(soft=soft)
    dataset = join(ids, splits, {"M": labels["M"]}, inputs)
    done, without = (trained("easum-specific", dataset, ("M",), soft_weight=w) for w in (1.0, 0.0))
    assert done.meta["seeds"][0]["train_loss"] != without.meta["seeds"][0]["train_loss"]
    other = [
        replace(i, table=table(ids, 1 - soft, 1, SOFT)) if i.name == "s" else i for i in inputs
    ]
    first, second = (predict(done.weights, done.meta, given) for given in (inputs, other))
    assert first.equals(second)
    assert (done.weights["scaler.s.scale"] == 1).all()
    assert (
        done.meta["inputs"][2]["columns"] == list(SOFT) or done.meta["inputs"][2]["columns"] == SOFT
    )


@pytest.mark.parametrize(
    ("name", "inputs", "message"),
    [
        ("easum-general", {"a": "audio"}, r"'easum-general' shifts text, .*: a \(audio\)"),
        ("easum-general", {"t": "text", "s": "soft"}, "makes soft labels and reads none"),
        ("easum-specific", {"t": "text", "s": "soft", "r": "soft"}, "of one model, got s, r"),
        ("easum-specific", {"t": "text", "u": "text"}, "1 to 3 inputs, each of another modality"),
        ("easum-specific", {"t": "text", "f": "fused"}, "1 to 3 inputs, each of another modality"),
    ],
)
def test_says_what_it_needs(name, inputs, message):
    with pytest.raises(BadCall, match=message):
        model_settings(name).check(inputs, ["M"])


def test_refuses_settings_that_are_none():
    with pytest.raises(
        UnknownName, match="unknown noise 'papr' of 'easum-general'. Did you mean 'paper'"
    ):
        model_settings("easum-general", noise="papr")
    with pytest.raises(BadCall, match="'noise_scale' of 'easum-general' must be at least 0"):
        model_settings("easum-general", noise_scale=-1)
    with pytest.raises(BadCall, match="'largest_shift' of 'easum-specific' must be greater than 0"):
        model_settings("easum-specific", largest_shift=0)


def test_sound_of_two_nodes_has_a_map_each_and_the_first_that_is_there_counts():
    specs = [
        InputSpec("t", "text", 6, "sequence", 9),
        InputSpec("a", "audio", 4, "sequence", 9),
        InputSpec("theirs", "audio", 2, "sequence", 9),
    ]
    model = model_settings("easum-general", **SMALL, attention_dropout=0)
    model.check({spec.name: spec.modality for spec in specs}, ["emotion"])
    net = network_class("easum-general")(model, specs, ["emotion"], Streams((0,)), [3]).eval()
    given = batch(3)
    given.values["theirs"] = torch.randn(1, 3, 5, 2)
    there = {"a": [True, False, True], "theirs": [False, True, True]}
    for name, own in there.items():
        rows = given.values[name].shape[2]
        given.mask[name] = torch.tensor(own)[None, :, None].expand(1, 3, rows)
    scores = net(given).predictions[0]
    for name, which in (("a", 0), ("theirs", 1), ("a", 2)):
        alone = batch(3)
        alone.values.update({k: torch.zeros_like(v) for k, v in given.values.items() if k != "t"})
        alone.values[name] = given.values[name]
        alone.mask.update({k: torch.zeros_like(given.mask[k]) for k in there})
        alone.mask[name] = given.mask[name]
        torch.testing.assert_close(net(alone).predictions[0][which], scores[which])
    with pytest.raises(BadCall, match="needs 1 to 3 inputs, each of another modality"):
        model.check({"t": "text", "u": "text", "a": "audio"}, ["emotion"])


def test_the_epoch_of_the_first_phase_is_chosen_by_both_tasks():
    n = 24
    rows = np.random.default_rng(0).normal(size=(n, 4)).astype(np.float32)
    ids = tuple(map(str, range(n)))
    table = FeatureTable(ids, rows, np.arange(n + 1), np.ones(n, bool), np.zeros((n, 2)))
    labels = {
        "polarity": np.tile(["negative", "positive"], n // 2),
        "emotion": np.repeat(["happy", "sad"], n // 2),
    }
    splits = ["train", "train", "valid"] * (n // 3)
    data = join(ids, splits, labels, [Input("t", "text", table)])
    for name, both in (("easum-general", True), ("easum-specific", False)):
        model, training = fit_settings(name, **SMALL, epochs=3, seeds=1)
        (seed,) = fit(model, training, data, ["polarity", "emotion"], "").meta["seeds"]
        # the loss of classes is their cross-entropy, the sum of both tasks'
        whole = np.allclose(seed["valid_metric"], seed["valid_loss"], rtol=1e-5)
        assert whole == both
