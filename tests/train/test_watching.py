import numpy as np
import pytest
import torch

from affectflow.train.batches import Part
from affectflow.train.fit import fit
from affectflow.train.metrics import scores
from affectflow.train.models.base import Output
from affectflow.train.models.sf import SfNet
from affectflow.train.registry import fit_settings
from affectflow.train.settings.sf import Sf
from affectflow.train.targets import Target
from affectflow.train.watching import Watch

NAN = float("nan")


def fitted(dataset, family="sims"):
    model, training = fit_settings("sf", epochs=3, seeds=2, batch_size=16)
    return fit(model, training, dataset, ("A", "M"), family)


def out_of(predictions, **watched):
    values = torch.tensor(predictions)
    named = {name: torch.tensor(v) for name, v in watched.items()}
    return Output(values, values, watched=named)


def test_what_is_watched_is_a_mean_over_the_utterances_that_have_it():
    valid = Part({}, np.array([[0.5], [NAN], [-0.5]]), "cpu")
    watch = Watch((), Target("M"), slice(0, 1), "sims", valid)
    out = out_of(np.zeros((2, 3, 1)), cosine=[[0.1, NAN, 0.3], [NAN, NAN, NAN]])
    first, second = watch(out)
    assert first == {"cosine": pytest.approx(0.2)}
    assert second == {"cosine": None}


@pytest.mark.parametrize(("family", "there"), [("mosi", ["F1_has0"]), ("sims", ["F1"])])
def test_metrics_are_those_of_the_labelled_utterances_and_the_chosen_task(family, there):
    rng = np.random.default_rng(0)
    truth = rng.uniform(-1, 1, (9, 2))
    truth[4, 1] = NAN
    predictions = rng.uniform(-1, 1, (2, 9, 2)).astype(np.float32)
    valid = Part({}, truth, "cpu")
    watch = Watch(("F1", "F1_has0"), Target("M"), slice(1, 2), family, valid)
    known = np.isfinite(truth[:, 1])
    for found, p in zip(watch(out_of(predictions)), predictions, strict=True):
        wanted = scores(family, p[known, 1], truth[known, 1].astype(np.float32))
        assert found == {name: pytest.approx(wanted[name]) for name in there}


def test_the_course_of_a_fit_has_a_value_an_epoch_and_ends_with_what_is_chosen(
    dataset_of, monkeypatch
):
    dataset = dataset_of(("text", "audio"))
    assert all(seed["watched"] == {} for seed in fitted(dataset).meta["seeds"])
    monkeypatch.setattr(Sf, "follows", ("Corr", "F1_has0"))
    plain = SfNet.forward

    def showing(net, batch):
        out = plain(net, batch)
        return Output(out.predictions, out.hidden, watched={"size/hidden": out.hidden.norm(dim=-1)})

    monkeypatch.setattr(SfNet, "forward", showing)
    done = fitted(dataset)
    for seed in done.meta["seeds"]:
        assert list(seed["watched"]) == ["size/hidden", "Corr"]
        assert [len(values) for values in seed["watched"].values()] == [3, 3]
        chosen = seed["watched"]["Corr"][seed["best_epoch"] - 1]
        assert chosen == pytest.approx(seed["scores"]["valid"]["M"]["Corr"], abs=1e-6)
    assert len({seed["watched"]["size/hidden"][0] for seed in done.meta["seeds"]}) == 2


def test_watching_changes_nothing(dataset_of, monkeypatch):
    dataset = dataset_of(("text",))
    before = fitted(dataset)
    monkeypatch.setattr(Sf, "follows", ("F1", "MAE"))
    after = fitted(dataset)
    for name, value in before.weights.items():
        np.testing.assert_array_equal(after.weights[name], value)
