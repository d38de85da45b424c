"""Encoders trained alone, and together with a fusion, against what the paper's equations say."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from affectflow.cache.errors import BadCall
from affectflow.train.dataset import InputSpec
from affectflow.train.encoding import encoded
from affectflow.train.fit import fit
from affectflow.train.models.base import Batch
from affectflow.train.models.encoders import InputEncoder
from affectflow.train.objectives import Objective, label_weights
from affectflow.train.registry import fit_settings, model_settings, network_class
from affectflow.train.seeds import Streams

WIDTHS = {"text": 6, "audio": 4, "vision": 5}


class Scaled(nn.Module):
    """Rows times a weight; each ``stride`` of them become one."""

    def __init__(self, summary="mean", stride=1, width=0):
        super().__init__()
        self.weight = nn.Parameter(torch.full((1,), 2.0))
        self.summary, self.stride, self.width = summary, stride, width

    def forward(self, rows, mask):
        return (rows * self.weight)[:, :: self.stride]


def network(name, modalities, encoders, tasks=("M",), **settings):
    specs = [InputSpec(m, m, WIDTHS[m], "sequence", 9) for m in modalities]
    model = model_settings(name, **settings)
    return network_class(name)(model, specs, tasks, Streams((0,)), (), encoders)


def batch_of(modalities, lengths, steps=5):
    generator = torch.Generator().manual_seed(1)
    mask = (torch.arange(steps) < torch.tensor(lengths)[:, None])[None]
    values = {
        m: torch.randn(1, len(lengths), steps, WIDTHS[m], generator=generator) * mask.unsqueeze(-1)
        for m in modalities
    }
    return Batch(values, dict.fromkeys(modalities, mask), None)


@pytest.mark.parametrize("summary", ["first", "last", "mean"])
def test_what_stands_for_the_whole_is_what_the_encoder_says(summary):
    spec = InputSpec("text", "text", 6, "sequence", 9)
    batch = batch_of(("text",), [5, 2, 0])
    made = InputEncoder(spec, Scaled(summary, width=6), False, Streams((0,)))(batch)
    rows = batch.values["text"][0]
    wanted = {
        "first": [rows[0, 0], rows[1, 0]],
        "last": [rows[0, 4], rows[1, 1]],
        "mean": [rows[0].mean(0), rows[1, :2].mean(0)],
    }[summary]
    torch.testing.assert_close(made.whole[0, :2], 2 * torch.stack(wanted))
    assert not made.whole[0, 2].any()  # nothing is said there
    assert made.present.tolist() == [[True, True, False]]


def test_the_joint_loss_is_the_weighted_sum_of_mean_absolute_errors():
    """Equations 1 and 2, with a label missing and weights 1, 0.5 and 2."""
    tasks, alphas = ("T", "A", "M"), torch.tensor([1.0, 0.5, 2.0])
    encoders = {"text": Scaled("first", width=6), "audio": Scaled(width=4)}
    net = network("joint-sf", ("text", "audio"), encoders, tasks).eval()
    batch = batch_of(("text", "audio"), [5, 3, 4])
    truth = torch.tensor([[[0.2, -1.0, 0.5], [0.4, 0.0, -0.5], [-0.6, 1.0, 0.0]]])
    known = torch.tensor([[[1, 1, 1], [1, 0, 1], [1, 1, 1]]], dtype=torch.bool)
    for p in net.parameters():
        p.grad = torch.zeros_like(p)
    found = net.learn(batch, Objective("l1", truth, label_weights(known, alphas)))
    y = net(batch).predictions[0].detach().numpy().astype(float)
    t = truth[0].numpy()
    text = (abs(y[0, 0] - 0.2) + abs(y[1, 0] - 0.4) + abs(y[2, 0] + 0.6)) / 3
    audio = (abs(y[0, 1] + 1.0) + abs(y[2, 1] - 1.0)) / 2  # N counts who has the label
    both = np.abs(y[:, 2] - t[:, 2]).mean()
    assert float(found[0]) == pytest.approx(1.0 * text + 0.5 * audio + 2.0 * both, rel=1e-6)
    assert all(float(e.copies.module.weight.grad.abs()) > 0 for e in net.encoders)


def test_a_unimodal_task_hears_its_own_modality_alone():
    encoders = {m: Scaled(width=WIDTHS[m]) for m in ("text", "audio")}
    net = network("joint-tfn", ("text", "audio"), encoders, ("T", "A", "M")).eval()
    batch = batch_of(("text", "audio"), [5, 3])
    before = net(batch).predictions
    batch.values["audio"].mul_(3)
    changed = (net(batch).predictions - before).abs().amax(dim=(0, 1)) > 1e-6
    assert changed.tolist() == [False, True, True]


@pytest.mark.parametrize("fusion", ["sf", "tfn", "mult"])
def test_the_fusion_is_the_network_of_two_step_training_on_the_same_features(fusion):
    """What joint training builds above its encoders gives what the cached features would."""
    modalities = ("text", "audio")
    encoders = {"text": Scaled("first", width=6), "audio": Scaled(width=4)}
    given = {"projected": True} if fusion == "tfn" else {}
    net = network(f"joint-{fusion}", modalities, encoders, **given).eval()
    batch = batch_of(modalities, [5, 3, 1])
    made = [encoder(batch) for encoder in net.encoders]
    sequence = fusion == "mult"
    by_name = dict(zip(modalities, made, strict=True))
    values = {m: one.rows if sequence else one.whole for m, one in by_name.items()}
    masks = {m: one.mask if sequence else None for m, one in by_name.items()}
    reads = "sequence" if sequence else "mean"
    specs = [InputSpec(m, m, WIDTHS[m], reads, 9) for m in modalities]
    alone = network_class(fusion)(model_settings(fusion, **given), specs, ("M",), Streams((0,)))
    alone.load_weights(net.fusion.weights())
    cached = Batch(values, masks, None if sequence else torch.cat(list(values.values()), -1))
    torch.testing.assert_close(alone.eval()(cached).predictions, net(batch).predictions)


def test_layers_that_are_not_above_the_cached_one_are_in_no_model(dataset_of):
    """Hand-crafted features beside an encoder are read as they are, normalised; text is not."""
    dataset = dataset_of(("text", "audio"), n=40, model="joint-sf")
    bare = (dataset.inputs[0], replace(dataset.inputs[1], encoder=None))
    settings = fit_settings("joint-sf", epochs=1)
    done = fit(*settings, replace(dataset, inputs=bare), ("T", "M"), "sims")
    encoders = {name.split(".")[2] for name in done.weights if name.startswith("net.encoders.")}
    assert encoders == {"0"}
    assert done.weights["scaler.audio.mean"].all()
    assert not done.weights["scaler.text.mean"].any()
    nothing = tuple(replace(given, encoder=None) for given in dataset.inputs)
    said = "'joint-sf' trains the layers above .* none of text, audio has any .* 'layer'"
    with pytest.raises(BadCall, match=said):
        fit(*settings, replace(dataset, inputs=nothing), ("M",), "sims")


def test_encoders_and_heads_learn_at_rates_of_their_own(dataset_of):
    dataset = dataset_of(("audio",), n=40, model="finetune")
    rates = {"epochs": 1, "lr": 1e-2, "encoder_lr": 1e-12}
    first = fit(*fit_settings("finetune", **{**rates, "lr": 1e-12}), dataset, ("A",), "sims")
    after = fit(*fit_settings("finetune", **rates), dataset, ("A",), "sims")
    far = {n: np.abs(after.weights[n] - first.weights[n]).max() for n in after.weights}
    assert max(size for name, size in far.items() if ".encoder." in name) < 1e-9
    assert min(size for name, size in far.items() if ".heads." in name) > 1e-3


def test_the_default_rates_are_the_papers():
    for name in ("finetune", "joint-sf", "joint-tfn", "joint-mult"):
        model, training = fit_settings(name)
        assert (model.encoder_lr, training.lr) == (1e-5, 1e-4)
        assert (training.optimizer, training.loss) == ("adam", "l1")


def test_one_encoder_gives_its_global_embedding_and_its_rows(dataset_of):
    dataset = dataset_of(("audio",), n=40, model="finetune", missing=(3,))
    inputs = (replace(dataset.inputs[0], encoder=Scaled(stride=2, width=4)),)
    dataset = replace(dataset, inputs=inputs)
    done = fit(*fit_settings("finetune", epochs=2), dataset, ("A",), "sims")
    weight = float(done.weights["net.encoder.copies.module.weight"][0, 0])
    table = inputs[0].table
    rows = dict(encoded(done.weights, done.meta, inputs, gives="rows"))
    whole = dict(encoded(done.weights, done.meta, inputs))
    assert set(rows) == set(whole) == set(table.ids) - {table.ids[3]}
    for i in (0, 1, 2):
        wanted = weight * table[i].values[::2]
        np.testing.assert_allclose(rows[table.ids[i]].values, wanted, rtol=1e-6)
        np.testing.assert_allclose(whole[table.ids[i]].values[0], wanted.mean(0), rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "inputs", "tasks", "message"),
    [
        ("finetune", {"a": "audio", "v": "vision"}, ["A"], "'finetune' needs 1 inputs"),
        ("finetune", {"f": "fused"}, ["M"], "'finetune' needs 1 inputs"),
        ("joint-sf", {"a": "audio", "b": "audio"}, ["M"], "'joint-sf' needs 1 to 3 inputs"),
        ("joint-tfn", {"a": "audio"}, ["M"], "'joint-tfn' needs 2 to 3 inputs"),
        ("joint-mult", {"t": "text", "a": "audio"}, ["V", "M"], r"predicts tasks \[T, A, TA\]"),
        ("joint-sf", {"t": "text", "a": "audio"}, ["M", "T"], "unimodal ones first"),
    ],
)
def test_says_what_it_needs(name, inputs, tasks, message):
    with pytest.raises(BadCall, match=message):
        model_settings(name).check(inputs, tasks)


def test_an_encoders_rate_must_be_positive_and_nothing_is_cut():
    with pytest.raises(BadCall, match="'encoder_lr' of 'joint-mult' must be greater than 0"):
        model_settings("joint-mult", encoder_lr=0)
    with pytest.raises(BadCall, match="'finetune' reads every row .* must be 'longest', not 5"):
        fit_settings("finetune", length=5)
