import numpy as np
import pytest
import torch

from affectflow.cache.courses import Course
from affectflow.cache.errors import BadCall
from affectflow.train.batches import Part
from affectflow.train.dataset import InputSpec
from affectflow.train.fit import fit
from affectflow.train.models.base import there
from affectflow.train.objectives import Objective, label_weights
from affectflow.train.reading import read, scaler_of
from affectflow.train.registry import fit_settings, model_settings, network_class
from affectflow.train.seeds import Streams

N = 12
SMALL = {"post_units": 6, "text_post_units": 5, "audio_post_units": 4, "text_post_dropout": 0}


def fitted(dataset, seeds=(0,), **settings):
    """A network and the first N utterances, whose labels it is to learn; the last has none."""
    model = model_settings("self-mm", audio_post_dropout=0, **SMALL, **settings)
    specs = [
        InputSpec(g.name, g.modality, g.width, model.reads(g.modality), 50) for g in dataset.inputs
    ]
    net = network_class("self-mm")(model, specs, ("M",), Streams(seeds)).train()
    net.remember(N)
    chosen = np.arange(N)
    readings = {}
    for given, spec in zip(dataset.inputs, specs, strict=True):
        reading = read(given, spec.reads, 50, scaler_of(given, 50, chosen))
        readings[given.name] = reading.select(chosen)
    truth = dataset.labels["M"][:N, None].copy()
    truth[-1] = np.nan
    return net, Part(readings, truth, "cpu")


def learn(net, part, index):
    weights = label_weights(part.known[index], torch.ones(1))
    for p in net.parameters():
        p.grad = torch.zeros_like(p)
    return net.learn(part.batch(index), Objective("l1", part.truth[index], weights))


def by_hand(net, part, epochs):
    """The labels after some epochs of one batch, utterance by utterance, as in the paper."""
    truth, known = part.truth[:, 0].numpy(), part.known[:, 0].numpy()
    index = torch.arange(N).unsqueeze(0)
    batch = part.batch(index)
    with torch.no_grad():
        embedded = net._embed(batch)
        features = [
            net._read(i, x)[2][0].double().numpy()
            for i, x in enumerate([torch.cat(embedded, -1), *embedded])
        ]
    has = [known] + [known & there(batch, spec)[0].numpy() for spec in net.inputs]
    labels = [np.where(own, truth, 0.0) for own in has]
    for epoch in range(2, epochs + 1):
        means = [
            (f[own > 0].mean(axis=0), f[own < 0].mean(axis=0))
            for f, own in zip(features, labels, strict=True)
        ]
        nearer = []
        for f, (positive, negative) in zip(features, means, strict=True):
            to_positive = np.linalg.norm(f - positive, axis=1)
            to_negative = np.linalg.norm(f - negative, axis=1)
            nearer.append((to_negative - to_positive) / (to_positive + 1e-8))
        for s in (1, 2):
            fused = nearer[0]
            new = truth + (nearer[s] - fused) / 2 * (truth + fused) / fused
            new = np.clip(new, -net.largest, net.largest)
            mixed = (epoch - 1) / (epoch + 1) * labels[s] + 2 / (epoch + 1) * new
            labels[s] = np.where(has[s], mixed, 0.0)
    return np.stack(labels, axis=-1)


def test_labels_of_single_modalities_move_as_in_the_paper(dataset_of):
    net, part = fitted(dataset_of(("text", "audio"), missing=(3,)))
    index = torch.arange(N).unsqueeze(0)
    losses = [float(learn(net, part, index)) for _ in range(4)]  # the weights stay
    np.testing.assert_allclose(net.labels[0].numpy(), by_hand(net, part, 4), atol=1e-4)
    assert losses[0] == losses[1]  # the loss of the second epoch is on the labels of the first
    assert losses[2] > losses[1]
    assert net.labels[0, 3, 1:].tolist() == [0, 0]  # neither modality is there
    assert net.labels[0, -1].tolist() == [0, 0, 0]  # no label to begin with
    assert net.seen[0].tolist() == [4] * N
    assert net.labels[0, :, 1:].abs().max() <= 1


def test_the_loss_of_a_modality_is_its_error_by_how_far_its_label_has_moved(dataset_of):
    net, part = fitted(dataset_of(("text", "audio")))
    index = torch.arange(N).unsqueeze(0)
    for _ in range(3):
        learn(net, part, index)
    labels, truth = net.labels[0, :-1].clone(), part.truth[:-1]
    with torch.no_grad():
        embedded = net._embed(part.batch(index))
        scores = [
            net._read(i, x)[0][0, :-1, 0]
            for i, x in enumerate([torch.cat(embedded, -1), *embedded])
        ]
    wanted = (scores[0] - truth[:, 0]).abs().mean()
    for s in (1, 2):
        weight = torch.tanh((labels[:, s] - truth[:, 0]).abs())
        wanted = wanted + (weight * (scores[s] - labels[:, s]).abs()).mean()
    torch.testing.assert_close(learn(net, part, index)[0], wanted)


def test_what_is_remembered_goes_by_utterance_and_seed_not_by_place_in_the_batch(dataset_of):
    dataset = dataset_of(("text", "audio"))
    net, part = fitted(dataset, seeds=(4, 5))
    orders = torch.stack([torch.arange(N).flip(0), torch.arange(N).roll(5)])
    for _ in range(3):
        learn(net, part, orders)
    for k, seed in enumerate((4, 5)):
        alone, _ = fitted(dataset, seeds=(seed,))
        for _ in range(3):
            learn(alone, part, torch.arange(N).unsqueeze(0))
        torch.testing.assert_close(net.labels[k], alone.labels[0], atol=1e-4, rtol=1e-4)


def test_what_is_remembered_is_resumed_from_but_is_no_part_of_the_weights(dataset_of):
    dataset = dataset_of(("text", "audio"))
    net, part = fitted(dataset)
    index = torch.arange(N).unsqueeze(0)
    for _ in range(2):
        learn(net, part, index)
    again, _ = fitted(dataset)
    again.load_state_dict(net.state_dict())
    assert float(learn(again, part, index)) == float(learn(net, part, index))
    assert torch.equal(again.labels, net.labels)
    assert not [name for name in net.weights() if name.startswith(("labels", "seen", "latest"))]
    before = net.labels.clone()
    net.load_weights(fitted(dataset, seeds=(9,))[0].weights())
    assert torch.equal(net.labels, before)


class Killed(BaseException):
    """Stands for what no code can catch."""


def test_a_fit_of_self_mm_that_was_killed_goes_on_with_the_labels_it_had_made(dataset_of, tmp_path):
    dataset = dataset_of(("text", "audio"), missing=(3,))
    model, training = fit_settings("self-mm", epochs=6, seeds=2, batch_size=16, lr=0.01)

    def train(**how):
        return fit(model, training, dataset, ("M",), "sims", **how)

    def killed(epoch, most, best):
        if epoch == 4:
            raise Killed

    whole = train()
    with pytest.raises(Killed):
        train(keeper=Course(tmp_path, "ab" * 32, every=0), progress=killed)
    heard = []
    course = Course(tmp_path, "ab" * 32, every=1000)
    again = train(keeper=course, progress=lambda epoch, most, best: heard.append(epoch))
    assert heard == [5, 6]
    assert again.meta == whole.meta
    assert all("latest" not in key and "labels" not in key for key in again.weights)
    for key, value in whole.weights.items():
        np.testing.assert_array_equal(again.weights[key], value)


def test_self_mm_says_what_it_cannot_do():
    model = model_settings("self-mm")
    with pytest.raises(BadCall, match=r"'self-mm' predicts one task .* got \[M, T\]"):
        model.check({"t": "text", "a": "audio"}, ["M", "T"])
    with pytest.raises(BadCall, match="'largest' of 'self-mm' must be greater than 0, not 0.0"):
        model_settings("self-mm", largest=0)
    specs = [InputSpec("t", "text", 3, "mean", 5), InputSpec("a", "audio", 2, "sequence", 5)]
    with pytest.raises(
        BadCall, match="makes labels, which must be values, but task 'emotion' has 4"
    ):
        network_class("self-mm")(model, specs, ("emotion",), Streams((0,)), (4,))
