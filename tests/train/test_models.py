from functools import partial

import numpy as np
import pytest
import torch
from torch.nn import functional

from affectflow.train.batches import Part
from affectflow.train.dataset import InputSpec
from affectflow.train.models.base import Model
from affectflow.train.objectives import Objective, label_weights, masked_loss
from affectflow.train.prepare import encoders_of
from affectflow.train.reading import check_finite, read, scaler_of
from affectflow.train.registry import MODELS as REGISTERED
from affectflow.train.registry import model_settings, network_class
from affectflow.train.seeds import Streams

NO_DROPOUT = {"text_dropout": 0, "audio_dropout": 0, "vision_dropout": 0}
NO_POST_DROPOUT = {**NO_DROPOUT, "post_dropout": 0}
MODELS = {
    "unimodal": (("text",), ("M",), {"dropout": 0}),
    "sf": (("text", "audio", "vision"), ("M", "T"), {"units": 16, "dropout": 0}),
    "lf-dnn": (("text", "audio", "vision"), ("M",), NO_POST_DROPOUT),
    "tfn": (
        ("text", "audio", "vision"),
        ("M",),
        {"text_units": 16, "audio_units": 16, "vision_units": 16, **NO_POST_DROPOUT},
    ),
    "lmf": (("text", "audio", "vision"), ("M", "T"), NO_DROPOUT),
    "mlf-dnn": (("text", "audio", "vision"), ("T", "A", "V", "M"), NO_POST_DROPOUT),
    "mlmf": (("text", "audio", "vision"), ("T", "A", "V", "M"), NO_POST_DROPOUT),
    "mtfn": (
        ("text", "audio", "vision"),
        ("T", "V", "M"),
        {"text_units": 16, "audio_units": 16, "vision_units": 16, **NO_POST_DROPOUT},
    ),
    "ef-lstm": (("text", "audio", "vision"), ("M", "T"), {"layers": 2, "dropout": 0}),
    "mfn": (
        ("text", "audio", "vision"),
        ("M", "T"),
        {"attention_dropout": 0, "keep_dropout": 0, "write_dropout": 0, "post_dropout": 0},
    ),
    "graph-mfn": (
        ("text", "audio", "vision"),
        ("M", "T"),
        {
            "text_units": 16,
            "audio_units": 8,
            "vision_units": 16,
            "node_units": 16,
            "inner_units": 24,
            "proposal_dropout": 0,
            "keep_dropout": 0,
            "write_dropout": 0,
            "post_dropout": 0,
        },
    ),
    "mag": (
        ("text", "audio", "vision"),
        ("M", "T"),
        {
            "units": 16,
            "heads": 2,
            "shift_dropout": 0,
            "attention_dropout": 0,
            "post_dropout": 0,
        },
    ),
    "hybrid-attention": (
        ("text", "audio", "vision"),
        ("M", "T"),
        {
            "rnn": "sGRU",
            "audio_units": 3,
            "vision_units": 4,
            "largest_shift": 0.3,
            "text_units": 16,
            "heads": 2,
            "attention_dropout": 0,
            "fused_units": 16,
            "post_dropout": 0,
            "text_shift_weight": 0.001,
            "audio_shift_weight": 0.001,
            "vision_shift_weight": 0.001,
        },
    ),
    "hybrid-attention-encoder": (
        ("text", "audio", "vision"),
        ("M", "T"),
        {
            "audio_units": 3,
            "vision_units": 4,
            "largest_shift": 0.3,
            "fused_units": 16,
            "post_dropout": 0,
        },
    ),
    "mag-encoder": (
        ("text", "audio", "vision"),
        ("M", "T"),
        {"shift_dropout": 0, "post_dropout": 0},
    ),
    "easum-general": (
        ("text", "audio", "vision"),
        ("M", "T"),
        {"layers": 1, "feature_units": 8, "post_dropout": 0},
    ),
    "easum-specific": (
        ("text", "audio", "vision"),
        ("M", "T"),
        {"layers": 1, "feature_units": 8, "post_dropout": 0},
    ),
    "kebr": (("text", "audio", "vision"), ("M", "T"), {"dropout": 0, "layers": 1}),
    "kebr-encoder": (("text", "audio", "vision"), ("M",), {"dropout": 0, "layers": 1}),
    "mult": (
        ("text", "audio", "vision"),
        ("M", "T"),
        {
            "units": 8,
            "heads": 2,
            "layers": 1,
            "self_layers": 1,
            "text_dropout": 0,
            "text_attention_dropout": 0,
            "audio_attention_dropout": 0,
            "embed_dropout": 0,
            "residual_dropout": 0,
            "output_dropout": 0,
        },
    ),
    "av-mc": (
        ("text", "audio", "vision"),
        ("T", "A", "V", "M"),
        {"audio_dropout": 0, "vision_dropout": 0, "post_dropout": 0, "mix_weight": 0},
    ),
    "misa": (
        ("text", "audio", "vision"),
        ("M", "T"),
        {"units": 16, "audio_hidden": 3, "vision_hidden": 4, "attention_dropout": 0},
    ),
    "self-mm": (
        ("text", "audio", "vision"),
        ("M",),
        {"text_post_dropout": 0, "audio_post_dropout": 0},
    ),
    "finetune": (("text",), ("T", "M"), {"dropout": 0}),
    "joint-sf": (
        ("text", "audio", "vision"),
        ("T", "A", "M"),
        {"units": 16, "dropout": 0, "alone_dropout": 0},
    ),
    "joint-tfn": (
        ("text", "audio", "vision"),
        ("T", "A", "V", "M"),
        {
            "projected": True,
            "text_units": 8,
            "audio_units": 8,
            "vision_units": 8,
            "alone_units": 16,
            "alone_dropout": 0,
            **NO_POST_DROPOUT,
        },
    ),
    "joint-mult": (
        ("text", "audio"),
        ("M",),
        {
            "units": 8,
            "heads": 2,
            "layers": 1,
            "self_layers": 1,
            "recompute": True,
            "text_dropout": 0,
            "text_attention_dropout": 0,
            "audio_attention_dropout": 0,
            "embed_dropout": 0,
            "residual_dropout": 0,
            "output_dropout": 0,
        },
    ),
    "fmlmsn-pair": (("audio", "text"), ("A", "T", "TA"), {}),
    "fmlmsn-meta": (("fused", "fused2", "fused3"), ("M",), {}),
}
EVERY = pytest.mark.parametrize("name", MODELS)


def test_every_model_is_tested_here():
    assert set(MODELS) == set(REGISTERED)


def build(dataset, name, seeds=(0,), training=False):
    _, tasks, settings = MODELS[name]
    model = model_settings(name, **settings)
    specs = [
        InputSpec(g.name, g.modality, g.width, model.reads(g.modality), 50) for g in dataset.inputs
    ]
    encoders = encoders_of(model, dataset.inputs)
    net = network_class(name)(model, specs, tasks, Streams(seeds), (), encoders)
    net.remember(len(dataset.ids))
    return net.train(training), specs


def part_of(dataset, specs, tasks):
    every = np.arange(len(dataset.ids))
    readings = {}
    for given, spec in zip(dataset.inputs, specs, strict=True):
        check_finite(given)
        scaler = scaler_of(given, spec.length, every)
        readings[given.name] = read(given, spec.reads, spec.length, scaler)
    truth = np.stack([dataset.labels[task] for task in tasks], axis=1)
    return Part(readings, truth, "cpu")


def zeros_if_none(p):
    return torch.zeros_like(p) if p.grad is None else p.grad


def scores_of(net, part, index):
    with torch.no_grad():
        return net(part.batch(torch.as_tensor(index).unsqueeze(0))).predictions[0].numpy()


@EVERY
def test_one_batch_can_be_overfitted(dataset_of, name):
    modalities, tasks, _ = MODELS[name]
    dataset = dataset_of(modalities, model=name, n=24)
    net, specs = build(dataset, name, training=True)
    part = part_of(dataset, specs, tasks)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    index = torch.arange(12).unsqueeze(0)
    weights = label_weights(part.known[index], torch.ones(len(tasks)))
    small = 0  # steps in a row
    for _ in range(300):
        out = net(part.batch(index))
        loss = ((out.predictions - part.truth[index]).abs() * weights).sum()
        small = small + 1 if float(loss.detach()) / len(tasks) < 0.08 else 0
        if small == 10:
            return
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    pytest.fail(f"after 300 steps the error is {float(loss.detach()) / len(tasks):.3f}")


@EVERY
@pytest.mark.parametrize("kind", ["l1", "mse", "huber"])
def test_what_a_model_learns_is_the_gradient_that_autograd_finds(dataset_of, name, kind):
    modalities, tasks, _ = MODELS[name]
    dataset = dataset_of(modalities, model=name, n=24)
    net, specs = build(dataset, name, seeds=(0, 1), training=True)
    part = part_of(dataset, specs, tasks)
    index = torch.stack([torch.arange(12), torch.arange(12, 24)])
    weights = label_weights(part.known[index], torch.tensor([2.0, 0.5, 1.0, 1.5])[: len(tasks)])
    truth = 3 * part.truth[index]  # errors on both sides of Huber's delta
    reference = {
        "l1": functional.l1_loss,
        "mse": functional.mse_loss,
        "huber": functional.huber_loss,
    }[kind]
    out = net(part.batch(index))
    loss = (reference(out.predictions, truth, reduction="none") * weights).sum(dim=(1, 2))
    loss = loss + sum(out.losses.values())
    loss.sum().backward()
    by_autograd = [zeros_if_none(p).clone() for p in net.parameters()]
    for p in net.parameters():
        p.grad = torch.zeros_like(p)
    losses = net.learn(part.batch(index), Objective(kind, truth, weights))
    torch.testing.assert_close(losses, loss.detach())
    for found, grad in zip(net.parameters(), by_autograd, strict=True):
        torch.testing.assert_close(found.grad, grad, rtol=1e-4, atol=1e-6)


def test_a_meta_learner_of_several_tasks_with_dropout_learns_as_by_autograd(dataset_of):
    dataset = dataset_of(("fused", "fused2"), n=24)
    model = model_settings("fmlmsn-meta", dropout=0.4)
    specs = [InputSpec(g.name, g.modality, g.width, "mean", 50) for g in dataset.inputs]
    part = part_of(dataset, specs, ("M", "T"))
    index = torch.arange(24).unsqueeze(0)
    gradients = []
    kind = network_class("fmlmsn-meta")
    for learn in (kind.learn, Model.learn):
        net = kind(model, specs, ("M", "T"), Streams((3,))).train()
        for p in net.parameters():
            p.grad = torch.zeros_like(p)
        weights = label_weights(part.known[index], torch.ones(2))
        learn(net, part.batch(index), partial(masked_loss, "l1", part.truth[index], weights))
        gradients.append([p.grad for p in net.parameters()])
    for ours, autograd in zip(*gradients, strict=True):
        assert float(autograd.abs().max()) > 0
        torch.testing.assert_close(ours, autograd, rtol=1e-4, atol=1e-7)


@EVERY
def test_a_score_depends_on_neither_padding_nor_batch_mates(dataset_of, name):
    modalities, tasks, _ = MODELS[name]
    dataset = dataset_of(modalities, model=name, missing=(3,))
    net, specs = build(dataset, name)
    part = part_of(dataset, specs, tasks)
    together = scores_of(net, part, np.arange(40))
    alone = np.concatenate([scores_of(net, part, [i]) for i in range(40)])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-6)


@EVERY
def test_permuting_the_batch_permutes_the_output(dataset_of, name):
    modalities, tasks, _ = MODELS[name]
    dataset = dataset_of(modalities, model=name)
    net, specs = build(dataset, name)
    part = part_of(dataset, specs, tasks)
    order = np.random.default_rng(1).permutation(40)
    np.testing.assert_allclose(
        scores_of(net, part, order), scores_of(net, part, np.arange(40))[order], atol=1e-6
    )


@EVERY
def test_gradient_reaches_every_parameter(dataset_of, name):
    modalities, tasks, _ = MODELS[name]
    dataset = dataset_of(modalities, model=name)
    net, specs = build(dataset, name, seeds=(0, 1), training=True)
    part = part_of(dataset, specs, tasks)
    index = torch.arange(40).expand(2, 40)
    for p in net.parameters():
        p.grad = torch.zeros_like(p)
    weights = label_weights(part.known[index], torch.ones(len(tasks)))
    for _ in range(3):  # Self-MM's labels leave the truth in the second epoch
        net.learn(part.batch(index), Objective("mse", part.truth[index], weights))
    without = [
        f"{parameter_name}, seed {seed}"
        for parameter_name, parameter in net.named_parameters()
        for seed, size in enumerate(parameter.grad.flatten(1).abs().sum(dim=1))
        if not size > 0
    ]
    assert without == []


@EVERY
def test_an_utterance_without_any_modality_gets_a_finite_score(dataset_of, name):
    modalities, tasks, _ = MODELS[name]
    dataset = dataset_of(modalities, model=name, missing=(0, 7))
    net, specs = build(dataset, name)
    part = part_of(dataset, specs, tasks)
    scores = scores_of(net, part, [0, 7, 1])
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-7)  # nothing tells them apart
    assert np.abs(scores[0] - scores[2]).max() > 1e-4


@EVERY
def test_a_seed_makes_the_same_scores_alone_and_in_a_stack(dataset_of, name):
    modalities, tasks, _ = MODELS[name]
    dataset = dataset_of(modalities, model=name)
    stack, specs = build(dataset, name, seeds=(5, 6, 7))
    part = part_of(dataset, specs, tasks)
    index = torch.arange(10).unsqueeze(0)
    with torch.no_grad():
        whole = stack(part.batch(index.expand(3, 10))).predictions
    for i, seed in enumerate((5, 6, 7)):
        net, _ = build(dataset, name, seeds=(seed,))
        np.testing.assert_allclose(scores_of(net, part, index[0]), whole[i], atol=1e-6)


@EVERY
def test_scores_and_hidden_have_their_shapes(dataset_of, name):
    modalities, tasks, _ = MODELS[name]
    dataset = dataset_of(modalities, model=name)
    net, specs = build(dataset, name, seeds=(0, 1))
    out = net(part_of(dataset, specs, tasks).batch(torch.arange(6).expand(2, 6)))
    assert out.predictions.shape == (2, 6, len(tasks))
    assert out.hidden.shape[:2] == (2, 6)


def test_hidden_of_a_pair_is_the_second_layer_of_its_predictor(dataset_of):
    dataset = dataset_of(("audio", "text"))
    net, specs = build(dataset, "fmlmsn-pair")
    out = net(part_of(dataset, specs, ("A", "T", "TA")).batch(torch.arange(6).unsqueeze(0)))
    assert out.hidden.shape == (1, 6, 64)
    assert (out.hidden >= 0).all()  # after its ReLU
    torch.testing.assert_close(net.pair.score(out.hidden), out.predictions[..., 2:])


def test_a_missing_modality_of_a_pair_leaves_its_predictor_only_biases(dataset_of):
    dataset = dataset_of(("audio", "text"), missing=(0,))
    net, specs = build(dataset, "fmlmsn-pair")
    out = net(part_of(dataset, specs, ("A", "T", "TA")).batch(torch.tensor([[0]])))
    alone = net.pair(torch.zeros(1, 1, 16 * 128))[0]
    torch.testing.assert_close(out.predictions[..., 2:], alone)


def test_a_unimodal_task_hears_only_its_modality(dataset_of):
    dataset = dataset_of(("text", "audio", "vision"))
    net, specs = build(dataset, "mtfn")
    part = part_of(dataset, specs, ("T", "V", "M"))
    batch = part.batch(torch.arange(8).unsqueeze(0))
    before = net(batch).predictions
    batch.values["vision"].zero_()
    after = net(batch).predictions
    changed = (before - after).abs().amax(dim=(0, 1)) > 1e-6
    assert changed.tolist() == [False, True, True]


def test_mult_drops_attention_by_who_answers_and_within_a_modality_by_texts_rate(dataset_of):
    dataset = dataset_of(("text", "audio", "vision"))
    rates = {"text": 0.1, "audio": 0.2, "vision": 0.3}
    model = model_settings("mult", **{f"{name}_attention_dropout": p for name, p in rates.items()})
    specs = [InputSpec(g.name, g.modality, g.width, "sequence", 50) for g in dataset.inputs]
    net = network_class("mult")(model, specs, ("M",), Streams((0,)))
    across, within = (
        [{layer.attention.drop.p for layer in encoder.layers} for encoder in encoders]
        for encoders in (net.across, net.within)
    )
    assert across == [{0.2}, {0.3}, {0.1}, {0.3}, {0.1}, {0.2}]  # text asks audio, vision, ...
    assert within == [{0.1}] * 3


def test_mult_hides_what_lies_ahead_only_where_it_is_asked_to(dataset_of):
    dataset = dataset_of(("text", "audio"))
    changed = []
    for future_mask in (False, True):
        model = model_settings("mult", units=8, heads=2, future_mask=future_mask, text_kernel=1)
        specs = [InputSpec(g.name, g.modality, g.width, "sequence", 50) for g in dataset.inputs]
        net = network_class("mult")(model, specs, ("M",), Streams((0,))).eval()
        seen = net._seen(
            torch.ones(1, 1, 4, dtype=torch.bool), torch.ones(1, 1, 3, dtype=torch.bool)
        )
        changed.append(seen.expand(1, 1, 4, 3)[0, 0].int().tolist())
    assert changed == [[[1, 1, 1]] * 4, [[1, 1, 0], [1, 1, 1], [1, 1, 1], [1, 1, 1]]]
