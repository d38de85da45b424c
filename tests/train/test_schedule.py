from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from affectflow.cache.errors import BadCall
from affectflow.cache.keys import settings_of
from affectflow.train.fit import fit
from affectflow.train.loop import Loop
from affectflow.train.registry import MODELS, fit_settings, model_class
from affectflow.train.schedule import plateaus, rate
from affectflow.train.training import Training

SMALL = {"epochs": 3, "seeds": 2, "batch_size": 8}


def fitted(dataset, name="sf", tasks=("M",), **settings):
    model, training = fit_settings(name, **{**SMALL, **settings})
    return fit(model, training, dataset, tasks, "sims")


def rates(n=40, errors=(), **settings):
    training = Training(lr=0.1, **settings)
    return [rate(training, step, n, errors) for step in range(n)]


def theirs(make, n=40):
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    scheduler = make(optimizer)
    found = []
    for _ in range(n):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_rates_are_those_of_torch():
    schedulers = torch.optim.lr_scheduler
    assert rates() == [0.1] * 40
    assert rates(schedule="cosine") == pytest.approx(
        theirs(lambda o: schedulers.CosineAnnealingLR(o, 40))
    )
    assert rates(schedule="linear") == pytest.approx(
        theirs(lambda o: schedulers.LinearLR(o, 1.0, 0.0, 40))
    )


def test_the_rate_rises_in_a_line_and_falls_over_the_rest():
    found = rates(schedule="linear", warmup=0.25)
    assert found[:10] == pytest.approx([0.01 * (i + 1) for i in range(10)])
    assert found[10:] == pytest.approx([0.1 * (1 - i / 30) for i in range(30)])


def test_a_plateau_lowers_the_rate_as_that_of_torch_does():
    errors = [5, 4, 4, 4, 4, 3, 3.5, 3.2, 3.1, 3.0, 2.9, 2.9]
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    # their patience is the number of bad epochs that are borne, ours that at which it falls
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=2, threshold=0
    )
    for i, error in enumerate(errors):
        reference.step(error)
        training = Training(lr=1.0, schedule="plateau", plateau_factor=0.5, plateau_epochs=3)
        assert rate(training, 0, 1, errors[: i + 1]) == optimizer.param_groups[0]["lr"]
    assert plateaus(errors, 3) == 2


def test_each_seed_has_a_plateau_of_its_own(dataset_of):
    dataset = dataset_of(("text",))
    settings = {"schedule": "plateau", "plateau_epochs": 1, "epochs": 6}
    both = fitted(dataset, seeds=[3, 4], **settings).meta["seeds"][1]
    assert both == fitted(dataset, seeds=[4], **settings).meta["seeds"][0]


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_steps_follow_the_schedule(dataset_of, monkeypatch, schedule):
    steps = []
    step = Loop._step

    def noted(loop, batches, n, lr):
        steps.append((n, lr))
        return step(loop, batches, n, lr)

    monkeypatch.setattr(Loop, "_step", noted)
    fitted(dataset_of(("text",)), schedule=schedule, warmup=0.2, batch_size=12)  # 40 to learn from
    assert [n for n, _ in steps] == [12, 12, 12, 4] * 3
    training = Training(schedule=schedule, warmup=0.2)
    assert [lr for _, lr in steps] == [rate(training, i, 12, ()) for i in range(12)]


#: Inputs, tasks and settings of models that are not on text and audio, for M, by default.
OTHERS = {
    "unimodal": (("text",), ("M",), {}),
    "fmlmsn-pair": (("text", "audio"), ("T", "A", "TA"), {}),
    "fmlmsn-meta": (("fused1", "fused2"), ("M",), {}),
    **dict.fromkeys(("mlf-dnn", "mlmf", "mtfn"), (("text", "audio"), ("T", "A", "M"), {})),
    "mult": (("text", "audio"), ("M",), {"layers": 1, "self_layers": 1}),
    **dict.fromkeys(("kebr", "kebr-encoder"), (("text", "audio", "vision"), ("M",), {"layers": 1})),
    **dict.fromkeys(
        ("easum-general", "easum-specific"), (("text", "audio"), ("M",), {"layers": 1})
    ),
    "finetune": (("text",), ("M",), {}),
    # of the losses of these two, what is a sum over utterances
    "av-mc": (("text", "audio"), ("T", "A", "M"), {"mix_weight": 0}),
    "misa": (("text", "audio"), ("M",), {"similarity_weight": 0, "difference_weight": 0}),
}


def whole_and_parts(dataset_of, name, several=False, **settings):
    """Each seed's course in batches of 16, and in four of 4 a step, without dropout."""
    kinds, tasks, own = OTHERS.get(name, (("text", "audio"), ("M",), {}))
    dataset = dataset_of(kinds, model=name, aligned=model_class(name).aligned)
    if several:  # corpora, in turns
        turns = np.resize(["mosei", "mosi"], len(dataset.ids))
        dataset = replace(dataset, domains=turns)
    dry = {f.name: 0.0 for f in fields(model_class(name)) if f.name.endswith("dropout")}
    return [
        fitted(dataset, name, tasks, **{**dry, **own, **settings, "clip": 0.0, **batches}).meta[
            "seeds"
        ]
        for batches in ({"batch_size": 16}, {"batch_size": 4, "accumulate": 4})
    ]


@pytest.mark.parametrize("name", sorted(MODELS.keys() - {"self-mm"}))
def test_accumulated_batches_step_as_one_large_batch(dataset_of, name):
    for a, b in zip(*whole_and_parts(dataset_of, name), strict=True):
        assert b["train_loss"] == pytest.approx(a["train_loss"], rel=1e-4)
        assert b["valid_metric"] == pytest.approx(a["valid_metric"], rel=1e-4)


@pytest.mark.parametrize(
    ("name", "settings", "off"),
    [
        ("misa", {"similarity_weight": 1, "difference_weight": 1}, 0.2),
        ("av-mc", {"mix_weight": 1}, 0.2),
        ("self-mm", {"epochs": 6}, 0.2),
        ("easum-general", {"several": True}, 0.4),
    ],
)
def test_accumulated_batches_are_not_one_where_losses_are_no_sums(dataset_of, name, settings, off):
    for a, b in zip(*whole_and_parts(dataset_of, name, **settings), strict=True):
        assert b["train_loss"] != pytest.approx(a["train_loss"], rel=1e-4)
        assert b["train_loss"] == pytest.approx(a["train_loss"], rel=off)


@pytest.mark.parametrize("name", ["sf", "fmlmsn-meta", "tfn", "mult"])
def test_mixed_precision_learns_nearly_the_same(dataset_of, name):
    kinds = ("fused1", "fused2") if name == "fmlmsn-meta" else ("text", "audio")
    dataset = dataset_of(kinds)
    few = {"layers": 1, "self_layers": 1} if name == "mult" else {}
    exact, mixed = (
        fitted(dataset, name, lr=1e-4, precision=p, epochs=2, **few)
        for p in ("float32", "bfloat16")
    )
    for a, b in zip(exact.meta["seeds"], mixed.meta["seeds"], strict=True):
        assert b["train_loss"] != a["train_loss"]
        assert b["valid_metric"] == pytest.approx(a["valid_metric"], rel=0.1)
    assert all(value.dtype != torch.bfloat16 for value in mixed.weights.values())


def test_clipping_bounds_each_seeds_gradient(dataset_of, monkeypatch):
    norms = []
    step = Loop._step

    def noted(loop, *args):
        done = step(loop, *args)
        gradients = [p.grad.flatten(1) for p in loop.parameters]
        norms.append(torch.cat(gradients, dim=1).norm(dim=1))
        return done

    monkeypatch.setattr(Loop, "_step", noted)
    fitted(dataset_of(("text",)), clip=0.05, epochs=1)
    assert max(float(n.max()) for n in norms) <= 0.05 + 1e-6


def test_settings_that_came_later_leave_old_fingerprints_as_they_are():
    old = {
        "seeds", "epochs", "patience", "batch_size", "lr", "weight_decay", "clip", "optimizer",
        "loss", "task_weights", "labels", "length", "length_factor", "normalize",
    }  # fmt: skip
    assert set(settings_of(Training())) == old
    assert set(settings_of(Training(plateau_factor=0.5))) == old  # it means nothing here
    assert settings_of(Training(schedule="cosine"))["schedule"] == "cosine"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"schedule": "cosin"}, "unknown schedule 'cosin'. Did you mean 'cosine'"),
        ({"warmup": 1}, r"warmup must lie in \[0, 1\), not 1.0"),
        ({"accumulate": 0}, "accumulate must be a whole number of at least 1, not 0"),
        ({"precision": "float16"}, "unknown precision 'float16'"),
        ({"plateau_factor": -1}, r"plateau_factor must lie in \[0, 1\)"),
    ],
)
def test_refuses_what_is_out_of_range(settings, message):
    with pytest.raises(BadCall, match=message):
        Training(**settings)
