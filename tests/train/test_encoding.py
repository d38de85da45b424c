"""What a fitted model gives of an utterance: its hidden layer, its predictions, its own rows."""

from dataclasses import replace

import numpy as np
import pytest

from affectflow.cache.errors import BadCall, UnknownName
from affectflow.cache.table import FeatureTable
from affectflow.train.dataset import Input, InputSpec, join
from affectflow.train.fit import encode, encoded, fit, predict
from affectflow.train.registry import fit_settings, network_class

SHORT = {"seeds": 2, "epochs": 2}


def fitted(dataset, name, tasks=("M",), **settings):
    return fit(*fit_settings(name, **{**SHORT, **settings}), dataset, tasks, "sims")


def with_moods(dataset):
    moods = ["sad" if value < 0 else "glad" for value in dataset.labels["M"]]
    labels = {**dataset.labels, "emotion": moods}
    return join(dataset.ids, dataset.splits, labels, dataset.inputs)


def test_scores_are_what_the_chosen_seed_predicts_under_the_names_of_its_classes(dataset_of):
    dataset = with_moods(dataset_of(("text", "audio"), tasks=("M",), missing=(3,)))
    done = fitted(dataset, "sf", ("M", "emotion"))
    given = dict(encoded(done.weights, done.meta, dataset.inputs, gives="scores"))
    table = predict(done.weights, done.meta, dataset.inputs)
    table = table[table["seed"] == done.meta["chosen"]].pivot(
        index="id", columns="task", values="prediction"
    )
    assert set(given) == {*dataset.ids} - {dataset.ids[3]}  # it has no input
    columns = ("M", "emotion=glad", "emotion=sad")
    for name, features in given.items():
        assert features.columns == columns
        assert np.isnan(features.times).all()
        np.testing.assert_allclose(features.values[0], table.loc[name, list(columns)], atol=1e-6)
    assert features.values[0, 1:].sum() == pytest.approx(1)


def test_rows_follow_those_of_the_text_with_their_times_and_mask(dataset_of):
    dataset = dataset_of(("text", "audio"), aligned=True, tasks=("M",))
    for given in dataset.inputs:
        given.table.times[:] = np.arange(len(given.table.times))[:, None] + [0, 0.5]
    text = dataset.inputs[0].table
    text.mask[text.offsets[5]] = False  # the first word of utterance 5
    done = fitted(dataset, "mag", length=3, units=4, heads=2)
    rows = dict(encoded(done.weights, done.meta, dataset.inputs, gives="rows"))
    hidden = encode(done.weights, done.meta, dataset.inputs)
    assert list(rows) == list(dataset.ids)
    for i, name in enumerate(dataset.ids):
        first, n = text.offsets[i], min(text.lengths[i], 3)
        assert rows[name].values.shape == (n, 4)
        np.testing.assert_array_equal(rows[name].times, text.times[first : first + n])
        np.testing.assert_array_equal(rows[name].mask, text.mask[first : first + n])
    # the layer that is read out is made of the mean over the real rows
    weight, bias = (done.weights[f"net.hidden.{part}"] for part in ("weight", "bias"))
    seed = [s["seed"] for s in done.meta["seeds"]].index(done.meta["chosen"])
    for name in (dataset.ids[5], dataset.ids[6]):
        mean = rows[name].values[rows[name].mask].mean(axis=0)
        wanted = np.maximum(mean @ weight[seed] + bias[seed], 0).ravel()
        np.testing.assert_allclose(hidden[name], wanted, atol=1e-5)


def test_a_row_for_several_has_the_time_of_them_all(dataset_of, monkeypatch):
    dataset = dataset_of(("text", "audio"), aligned=True, tasks=("M",))
    for given in dataset.inputs:
        given.table.times[:] = np.arange(len(given.table.times))[:, None] + [0, 0.5]
    done = fitted(dataset, "mag", units=4, heads=2)
    each = dict(encoded(done.weights, done.meta, dataset.inputs, gives="rows"))
    kind = network_class("mag")
    forward = kind.forward

    def every_second(self, batch):
        made = forward(self, batch)
        rows, mask = made.rows[:, :, ::2], made.rows_mask[:, :, ::2]
        return replace(made, rows=rows, rows_mask=mask, rows_stride=2)

    monkeypatch.setattr(kind, "forward", every_second)
    text = dataset.inputs[0].table
    for i, (name, made) in enumerate(
        encoded(done.weights, done.meta, dataset.inputs, gives="rows")
    ):
        times = text.times[text.offsets[i] : text.offsets[i + 1]]
        np.testing.assert_array_equal(made.values, each[name].values[::2])
        assert made.times[:, 0].tolist() == times[::2, 0].tolist()
        assert made.times[:, 1].tolist() == [*times[1::2, 1], *times[-1:, 1]][: len(made)]


def test_an_utterance_without_the_rows_to_follow_gives_none(dataset_of):
    dataset = dataset_of(("audio", "text"), aligned=True, tasks=("M",))  # 2 lacks its text
    done = fitted(dataset, "mag", units=4, heads=2)
    rows = dict(encoded(done.weights, done.meta, dataset.inputs, gives="rows"))
    assert set(rows) == {*dataset.ids} - {dataset.ids[2]}
    assert dataset.ids[2] in encode(done.weights, done.meta, dataset.inputs)


def test_a_model_without_rows_says_so(dataset_of):
    dataset = dataset_of(("text", "audio"), tasks=("M",))
    done = fitted(dataset, "tfn")
    with pytest.raises(BadCall, match="model 'tfn' has no rows of its own to give"):
        list(encoded(done.weights, done.meta, dataset.inputs, gives="rows"))
    with pytest.raises(UnknownName, match="'row'. Did you mean 'rows'"):
        list(encoded(done.weights, done.meta, dataset.inputs, gives="row"))


def test_what_a_fit_predicted_is_read_as_it_is_and_its_columns_are_known(dataset_of):
    dataset = dataset_of(("text",), tasks=("M",))
    n = len(dataset.ids)
    names = ("emotion=glad", "emotion=sad")
    share = np.linspace(0, 1, n, dtype=np.float32)
    table = FeatureTable(
        dataset.ids, np.stack([share, 1 - share], axis=1), np.arange(n + 1), np.ones(n, bool),
        np.full((n, 2), np.nan), names,
    )  # fmt: skip
    both = (*dataset.inputs, Input("soft", "soft", table))
    done = fitted(join(dataset.ids, dataset.splits, dataset.labels, both), "sf")
    assert done.weights["scaler.soft.mean"].tolist() == [0, 0]
    assert done.weights["scaler.soft.scale"].tolist() == [1, 1]
    assert np.ptp(done.weights["scaler.text.mean"]) > 0
    text, soft = (InputSpec(**spec) for spec in done.meta["inputs"])
    assert (text.columns, soft.columns) == ((), names)
