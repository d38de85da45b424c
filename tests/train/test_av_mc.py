import dataclasses

import numpy as np
import pytest
import torch

from affectflow.cache.errors import BadCall
from affectflow.train.batches import Part
from affectflow.train.dataset import InputSpec, join
from affectflow.train.fit import fit
from affectflow.train.models.av_mc import mix
from affectflow.train.objectives import Objective, label_weights
from affectflow.train.reading import read, scaler_of
from affectflow.train.registry import fit_settings, model_settings, network_class
from affectflow.train.seeds import Streams

TASKS = ("A", "M")
DRY = {"audio_dropout": 0, "vision_dropout": 0, "post_dropout": 0}


def fitted(dataset, seeds=(0,), **settings):
    model = model_settings("av-mc", **DRY, **settings)
    every = np.arange(len(dataset.ids))
    specs, readings = [], {}
    for g in dataset.inputs:
        specs.append(InputSpec(g.name, g.modality, g.width, model.reads(g.modality), 50))
        readings[g.name] = read(g, specs[-1].reads, 50, scaler_of(g, 50, every))
    net = network_class("av-mc")(model, specs, TASKS, Streams(seeds)).train()
    truth = np.stack([dataset.labels[task] for task in TASKS], axis=1)
    return net, Part(readings, truth, "cpu")


def learn(net, part, index, known, task_weights):
    weights = label_weights(known, torch.tensor(task_weights))
    for p in net.parameters():
        p.grad = torch.zeros_like(p)
    return net.learn(part.batch(index), Objective("l1", part.truth[index], weights))


def test_the_loss_of_mixed_sound_is_that_worked_out_by_hand(dataset_of, monkeypatch):
    net, part = fitted(dataset_of(("text", "audio"), missing=(1,)))
    index = torch.arange(4).unsqueeze(0)
    mates, share = torch.tensor([[2, 1, 3, 0]]), torch.full((1, 1, 1), 0.7)
    monkeypatch.setattr(net, "_mates", lambda real: (mates, share))
    known = torch.tensor([[[1, 1], [1, 1], [0, 1], [1, 0]]], dtype=torch.bool)
    net.mix_weight = 0
    plain = learn(net, part, index, known, (3.0, 0.5))
    net.mix_weight = 2.0
    whole = learn(net, part, index, known, (3.0, 0.5))
    with torch.no_grad():
        embedded = net._embed(part.batch(index))
        scores, _ = net._read(embedded)
        found, _ = net._read([embedded[0], mix(embedded[1], mates, share)])
    truth = part.truth[index][0]
    sound, both = [], []
    for i, mate in ((0, 2), (2, 3), (3, 0)):  # 1 has no sound
        labelled = known[0, i] & known[0, mate]
        for k, errors in enumerate((sound, both)):
            given = truth[:, k] if labelled[k] else scores[0, :, k]
            wanted = 0.7 * given[i] + 0.3 * given[mate]
            if k == 0 or labelled[k]:  # the fused task is not guessed
                errors.append((found[0, i, k] - wanted).abs())
    # a mix counts as much as its task
    wanted = plain + 2.0 * (3.0 * torch.stack(sound).mean() + 0.5 * torch.stack(both).mean())
    torch.testing.assert_close(whole, wanted)


def test_mates_are_drawn_for_each_seed_alone_among_those_that_have_the_modality():
    real = torch.ones(2, 9, dtype=torch.bool)
    real[:, [2, 5]] = False
    net = network_class("av-mc")
    pairs = []
    for seeds in ((3, 4), (4,)):
        drawer = type("Drawer", (), {"streams": Streams(seeds)})
        mates, shares = net._mates(drawer, real[: len(seeds)])
        for mate in mates:
            assert sorted(mate.tolist()) == list(range(9))
            assert mate[[2, 5]].tolist() == [2, 5]  # mixed with themselves
        assert ((shares > 0) & (shares < 1)).all()
        pairs.append((mates[-1], shares[-1]))
    assert torch.equal(pairs[0][0], pairs[1][0])
    assert torch.equal(pairs[0][1], pairs[1][1])


def without_labels(dataset, some):
    """The same utterances, of which some have no label; and those that have one, alone."""
    labels = {task: values.copy() for task, values in dataset.labels.items()}
    for values in labels.values():
        values[some] = np.nan
    rest = np.setdiff1d(np.arange(len(dataset.ids)), some)
    ids = [dataset.ids[i] for i in rest]
    kept = {task: values[rest] for task, values in dataset.labels.items()}
    return dataclasses.replace(dataset, labels=labels), join(
        ids, dataset.splits[rest], kept, dataset.inputs
    )


@pytest.mark.parametrize(("name", "hears"), [("av-mc", True), ("mlf-dnn", False)])
def test_utterances_without_labels_are_learned_from_by_av_mc_alone(dataset_of, name, hears):
    model, training = fit_settings(name, seeds=1, epochs=2, batch_size=64, normalize="none")
    losses = []
    for data in without_labels(dataset_of(("text", "audio")), np.arange(0, 20)):
        done = fit(model, training, data, ("T", "A", "TA"), "sims")
        losses.append(done.meta["seeds"][0]["train_loss"])
        assert len(done.predictions) == 3 * len(data.ids)
    assert (losses[0] != losses[1]) == hears


def test_av_mc_says_which_tasks_it_needs():
    with pytest.raises(BadCall, match=r"'av-mc' on t, a mixes .* needs task A too, got \[T, M\]"):
        model_settings("av-mc").check({"t": "text", "a": "audio"}, ["T", "M"])
    specs = [InputSpec("t", "text", 3, "mean", 5), InputSpec("a", "audio", 2, "sequence", 5)]
    with pytest.raises(BadCall, match="'av-mc' mixes labels, .* task 'M' has 3 classes"):
        network_class("av-mc")(model_settings("av-mc"), specs, ("A", "M"), Streams((0,)), (1, 3))
