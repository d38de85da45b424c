import numpy as np
import pytest

from affectflow.train.absent import subsets
from affectflow.train.dataset import Dataset, Input, InputSpec
from affectflow.train.fit import fit, predict
from affectflow.train.metrics import scores
from affectflow.train.registry import fit_settings


def fitted(dataset, name="sf", **settings):
    model, training = fit_settings(name, **{"epochs": 3, "seeds": 2, "batch_size": 16, **settings})
    return fit(model, training, dataset, ("M",), "sims")


def without(dataset, names):
    """The same utterances, where none has these inputs."""
    inputs = []
    for given in dataset.inputs:
        table = given.table
        if given.name in names:
            nobody = {i: None for i in table.ids}
            empty = type(table)(
                table.ids,
                table.values[:0],
                np.zeros(len(nobody) + 1, np.int64),
                table.mask[:0],
                table.times[:0],
            )
            given = Input(given.name, given.modality, empty)
        inputs.append(given)
    return inputs


def spec(name, modality):
    return InputSpec(name, modality, 1, "mean", 1)


def test_subsets_are_called_by_letters_or_by_names():
    three = [spec("v", "vision"), spec("t", "text"), spec("a", "audio")]
    assert list(subsets(three)) == ["T", "A", "V", "TA", "TV", "AV"]
    assert subsets(three)["TV"] == ("t", "v")
    fused = [spec(n, "fused") for n in ("h_av", "h_ta", "h_tv")]
    assert list(subsets(fused))[-1] == "h_ta+h_tv"
    four = [*three, spec("v2", "vision")]
    assert list(subsets(four)) == ["v+t+a", "v+t+v2", "v+a+v2", "t+a+v2"]
    assert subsets(three[:1]) == {}
    assert list(subsets([*three, spec("told", "soft")])) == list(subsets(three))


@pytest.mark.parametrize("name", ["sf", "tfn", "mult", "ef-lstm"])
def test_scores_without_a_modality_are_those_of_utterances_that_lack_it(dataset_of, name):
    aligned = name == "ef-lstm"
    dataset = dataset_of(("text", "audio"), aligned=aligned)
    few = {"layers": 1, "self_layers": 1} if name == "mult" else {}
    done = fitted(dataset, name, **few)
    assert list(done.meta["absent"]) == ["T", "A"]
    test = dataset.rows("test")
    for label, missing in (("T", "audio"), ("A", "text")):
        table = predict(done.weights, done.meta, without(dataset, [missing]))
        table = table[table["id"].isin([dataset.ids[i] for i in test])]
        maes = [
            scores("sims", rows["prediction"].to_numpy(), dataset.labels["M"][test])["MAE"]
            for _, rows in table.groupby("seed")
        ]
        found = done.meta["absent"][label]["M"]["MAE"]
        assert found["mean"] == pytest.approx(np.mean(maes), rel=1e-4)
        assert found["std"] == pytest.approx(np.std(maes, ddof=1), abs=1e-5)


def test_nothing_is_scored_without_a_test_split(dataset_of):
    dataset = dataset_of(("text", "audio"))
    splits = np.where(dataset.splits == "test", "train", dataset.splits)
    done = fitted(Dataset(dataset.ids, splits, dataset.labels, dataset.inputs))
    assert done.meta["absent"] == {}
