import inspect
import itertools
import json
import math

import numpy as np
import pytest
import torch

from affectflow.cache.errors import BadCall, Diverged, TrainingError, UnknownName
from affectflow.cache.table import FeatureTable
from affectflow.train import loop
from affectflow.train.dataset import Dataset, Input
from affectflow.train.fit import encode, fit, predict
from affectflow.train.loop import clip_gradients, denormals_flushed
from affectflow.train.metrics import scores
from affectflow.train.registry import fit_settings

SMALL = {"epochs": 6, "seeds": 2, "batch_size": 16}


def fitted(dataset, name="sf", tasks=("M",), **settings):
    model, training = fit_settings(name, **{**SMALL, **settings})
    return fit(model, training, dataset, tasks, "sims")


def relabelled(dataset, **labels):
    return Dataset(dataset.ids, dataset.splits, {**dataset.labels, **labels}, dataset.inputs)


def rows_of(dataset, chosen):
    """The inputs of some utterances, as a caller with new clips would have them."""
    done = []
    for given in dataset.inputs:
        parts = [given.table[i] for i in chosen]
        offsets = np.concatenate([[0], np.cumsum([len(p) for p in parts])]).astype(np.int64)
        done.append(
            Input(
                given.name,
                given.modality,
                FeatureTable(
                    tuple(given.table.ids[i] for i in chosen),
                    np.concatenate([p.values for p in parts]),
                    offsets,
                    np.concatenate([p.mask for p in parts]),
                    np.concatenate([p.times for p in parts]),
                ),
            )
        )
    return done


def test_learns_what_the_features_say(dataset_of):
    done = fitted(dataset_of(("text", "audio"), n=200), epochs=30, seeds=1)
    assert done.meta["summary"]["test"]["M"]["MAE"]["mean"] < 0.3
    assert done.meta["summary"]["test"]["M"]["Corr"]["mean"] > 0.7


@pytest.mark.parametrize("name", ["sf", "lf-dnn", "tfn"])
def test_the_same_seed_gives_the_same_losses_bit_for_bit(dataset_of, name):
    dataset = dataset_of(("text", "audio"), missing=(3,))
    small = {"text_units": 8, "audio_units": 8} if name == "tfn" else {}
    first, second = (fitted(dataset, name, **small) for _ in range(2))
    assert first.meta == second.meta
    for key in first.weights:
        np.testing.assert_array_equal(first.weights[key], second.weights[key])


def test_a_seed_learns_the_same_alone_and_in_a_stack(dataset_of):
    dataset = dataset_of(("text", "audio"))
    whole = fitted(dataset, seeds=[3, 4, 5], epochs=4).meta["seeds"]
    alone = fitted(dataset, seeds=[4], epochs=4).meta["seeds"][0]
    np.testing.assert_allclose(whole[1]["train_loss"], alone["train_loss"], rtol=1e-4)
    np.testing.assert_allclose(whole[1]["valid_metric"], alone["valid_metric"], rtol=1e-4)


def test_seeds_beyond_a_stack_run_one_stack_after_another(dataset_of, monkeypatch):
    dataset = dataset_of(("text", "audio"))
    whole = fitted(dataset, seeds=3)
    monkeypatch.setattr("affectflow.train.fit.STACK", 1)
    apart = fitted(dataset, seeds=3)
    assert [seed["seed"] for seed in apart.meta["seeds"]] == [0, 1, 2]
    for key, value in whole.weights.items():
        np.testing.assert_allclose(apart.weights[key], value, atol=1e-4)


def test_meta_is_plain_json_and_says_what_was_done(dataset_of):
    meta = fitted(dataset_of(("text", "audio"), missing=(0, 45))).meta
    assert json.loads(json.dumps(meta, allow_nan=False)) == json.loads(json.dumps(meta))
    assert (meta["model"], meta["version"], meta["family"]) == ("sf", 1, "sims")
    assert meta["sizes"] == {"train": 40, "valid": 10, "test": 10}
    assert meta["masked"]["train"] == {"text": 1, "audio": 1}
    assert meta["inputs"][0]["width"] == 6
    assert meta["rows"]["test"]["M"]["of"] == 10
    assert meta["rows"]["test"]["M"]["MAE"] == 10
    assert meta["rows"]["test"]["M"]["Acc2_weak"] < 10


def test_stops_early_and_keeps_the_best_epoch(dataset_of):
    dataset = dataset_of(("text",))
    noise = relabelled(dataset, M=np.random.default_rng(1).uniform(-1, 1, 60))
    done = fitted(noise, epochs=200, patience=3, seeds=3)
    for seed in done.meta["seeds"]:
        assert seed["epochs"] == seed["best_epoch"] + 3
        assert seed["valid_metric"][seed["best_epoch"] - 1] == min(seed["valid_metric"])
        table = done.predictions.query(f"seed == {seed['seed']} and split == 'valid'")
        error = (table["prediction"] - table["truth"]).abs().mean()
        assert error == pytest.approx(min(seed["valid_metric"]), rel=1e-5)


def test_the_seed_is_chosen_by_validation_alone(dataset_of):
    meta = fitted(dataset_of(("text",)), seeds=4).meta
    best = min(meta["seeds"], key=lambda seed: min(seed["valid_metric"]))
    assert meta["chosen"] == best["seed"]


def test_nothing_that_is_learned_depends_on_the_test_split(dataset_of):
    dataset = dataset_of(("text", "audio"))
    labels = np.where(dataset.splits == "test", -dataset.labels["M"], dataset.labels["M"])
    first, second = fitted(dataset), fitted(relabelled(dataset, M=labels))
    for key, value in first.weights.items():
        np.testing.assert_array_equal(value, second.weights[key])
    assert first.meta["chosen"] == second.meta["chosen"]
    assert first.meta["summary"]["test"] != second.meta["summary"]["test"]


def test_the_loop_is_handed_no_test_split():
    assert "test" not in inspect.getsource(loop.Loop)


def longer_beside_training(dataset):
    """The same training split; elsewhere each row stands five times."""
    done = []
    for given in dataset.inputs:
        table, times = given.table, np.where(dataset.splits == "train", 1, 5)
        numbers = [
            np.tile(np.arange(*ends), n)
            for ends, n in zip(itertools.pairwise(table.offsets), times, strict=True)
        ]
        offsets = np.concatenate([[0], np.cumsum(table.lengths * times)]).astype(np.int64)
        rows = np.concatenate(numbers)
        arrays = (table.values[rows], offsets, table.mask[rows], table.times[rows])
        done.append(Input(given.name, given.modality, FeatureTable(table.ids, *arrays)))
    return Dataset(dataset.ids, dataset.splits, dataset.labels, tuple(done))


def test_the_length_comes_from_the_training_split(dataset_of):
    dataset = longer_beside_training(dataset_of(("text", "audio")))
    for given, spec in zip(dataset.inputs, fitted(dataset).meta["inputs"], strict=True):
        lengths = given.table.lengths[dataset.splits == "train"]
        assert spec["length"] == int(lengths.mean() + 3 * lengths.std())
        assert spec["length"] < given.table.lengths.mean()
    nothing_cut = fitted(dataset, length="longest").meta["inputs"]
    assert [s["length"] for s in nothing_cut] == [i.table.lengths.max() for i in dataset.inputs]


def test_the_normaliser_comes_from_the_training_split(dataset_of):
    dataset = dataset_of(("text", "audio"))
    done = fitted(dataset)
    table = dataset.inputs[0].table
    end = table.offsets[40]  # the first 40 utterances are the training split
    np.testing.assert_allclose(
        done.weights["scaler.text.mean"], table.values[:end].mean(axis=0), atol=1e-5
    )
    plain = fitted(dataset, normalize="none", length=2)
    assert (plain.weights["scaler.text.scale"] == 1).all()
    assert plain.meta["inputs"][0]["length"] == 2


def test_scores_are_those_of_the_predictions(dataset_of):
    done = fitted(dataset_of(("text",)))
    rows = done.predictions.query("split == 'test' and seed == 1")
    expected = scores("sims", rows["prediction"], rows["truth"])
    for name, value in done.meta["seeds"][1]["scores"]["test"]["M"].items():
        assert value == pytest.approx(expected[name])
    values = [seed["scores"]["test"]["M"]["MAE"] for seed in done.meta["seeds"]]
    summary = done.meta["summary"]["test"]["M"]["MAE"]
    assert summary["mean"] == pytest.approx(np.mean(values))
    assert summary["std"] == pytest.approx(np.std(values, ddof=1))


def test_a_missing_label_is_left_out_of_loss_and_score(dataset_of):
    dataset = dataset_of(("text",))
    holes = dataset.labels["T"].copy()
    holes[::3] = np.nan
    done = fitted(relabelled(dataset, T=holes), tasks=("T", "M"))
    assert done.meta["rows"]["train"]["T"]["labelled"] == 26
    assert all(math.isfinite(x) for seed in done.meta["seeds"] for x in seed["train_loss"])
    assert done.predictions.query("task == 'T'")["truth"].isna().sum() == 2 * 20
    assert not done.predictions["prediction"].isna().any()
    wild = np.where(np.isnan(holes), np.nan, dataset.labels["T"])
    same = fitted(relabelled(dataset, T=wild), tasks=("T", "M"))
    assert same.meta["seeds"] == done.meta["seeds"]


def test_an_empty_test_split_leaves_its_scores_out(dataset_of):
    dataset = dataset_of(("text",))
    splits = np.where(dataset.splits == "test", "train", dataset.splits)
    done = fitted(Dataset(dataset.ids, splits, dataset.labels, dataset.inputs))
    assert done.meta["summary"]["test"] == {}
    assert done.meta["sizes"]["test"] == 0


def test_predicting_gives_the_scores_of_the_fit(dataset_of):
    dataset = dataset_of(("text", "audio", "vision"), missing=(7,))
    done = fitted(dataset, "lf-dnn")
    again = predict(done.weights, done.meta, dataset.inputs)
    both = again.merge(done.predictions, on=["id", "seed", "task"])
    assert len(both) == len(done.predictions)
    np.testing.assert_allclose(both["prediction_x"], both["prediction_y"], atol=1e-6)


@pytest.mark.parametrize("name", ["sf", "fmlmsn-pair"])
def test_one_utterance_is_scored_and_encoded_as_among_many(dataset_of, name):
    dataset = dataset_of(("text", "audio"))
    tasks = ("T", "A", "TA") if name == "fmlmsn-pair" else ("M",)
    done = fitted(dataset, name, tasks, seeds=2)
    one = rows_of(dataset, [11])
    whole = predict(done.weights, done.meta, dataset.inputs)
    name_of_it = dataset.ids[11]
    alone = predict(done.weights, done.meta, one)
    np.testing.assert_allclose(
        alone["prediction"], whole[whole["id"] == name_of_it]["prediction"], atol=1e-5
    )
    hidden = encode(done.weights, done.meta, dataset.inputs)[name_of_it]
    np.testing.assert_allclose(encode(done.weights, done.meta, one)[name_of_it], hidden, atol=1e-5)


def test_encodes_by_the_chosen_seed_and_leaves_out_what_has_no_input(dataset_of):
    dataset = dataset_of(("text", "audio"), missing=(2,))
    done = fitted(dataset, "fmlmsn-pair", ("T", "A", "TA"), seeds=3)
    hidden = encode(done.weights, done.meta, dataset.inputs)
    assert set(dataset.ids) - set(hidden) == {dataset.ids[2]}
    one = hidden[dataset.ids[0]]
    assert one.shape == (64,)
    assert one.dtype == np.float32
    rows = done.predictions.query(
        f"id == '{dataset.ids[0]}' and task == 'TA' and seed == {done.meta['chosen']}"
    )
    place = [s["seed"] for s in done.meta["seeds"]].index(done.meta["chosen"])
    weight = done.weights["net.pair.score.weight"][place][:, 0]
    score = one @ weight + done.weights["net.pair.score.bias"][place].item()
    assert score == pytest.approx(rows["prediction"].item(), abs=1e-5)


def test_labels_m_trains_every_task_on_the_multimodal_label(dataset_of):
    dataset = dataset_of(("text", "audio"), tasks=("M",))
    with pytest.raises(
        TrainingError,
        match=r"task 'T' has no label 'T' in split 'train'. Columns .*: M\..* set 'labels: M'",
    ):
        fitted(dataset, "fmlmsn-pair", ("T", "A", "TA"))
    done = fitted(dataset, "fmlmsn-pair", ("T", "A", "TA"), labels="M")
    rows = done.predictions.query("split == 'test' and seed == 0").pivot(
        index="id", columns="task", values="truth"
    )
    assert (rows["T"] == rows["TA"]).all()
    assert done.meta["training"]["labels"] == "M"


def test_names_the_task_without_labels_in_the_validation_split(dataset_of):
    dataset = dataset_of(("text",))
    labels = np.where(dataset.splits == "valid", np.nan, dataset.labels["A"])
    with pytest.raises(TrainingError, match="task 'A' has no label 'A' in split 'valid'"):
        fitted(relabelled(dataset, A=labels), tasks=("A",))


def test_names_an_empty_split(dataset_of):
    dataset = dataset_of(("text",))
    splits = np.where(dataset.splits == "valid", "train", dataset.splits)
    with pytest.raises(TrainingError, match=r"split 'valid' has no utterances \(train: 50"):
        fitted(Dataset(dataset.ids, splits, dataset.labels, dataset.inputs))


def test_names_the_feature_that_is_not_finite(dataset_of):
    dataset = dataset_of(("text",))
    dataset.inputs[0].table.values[0, 2] = np.nan
    with pytest.raises(TrainingError, match="input 'text' .* utterance 'v0/0', column 'c2'"):
        fitted(dataset)


def test_refuses_what_does_not_fit_the_model(dataset_of):
    dataset = dataset_of(("text", "audio"))
    with pytest.raises(BadCall, match="model 'unimodal' needs one input, got text, audio"):
        fitted(dataset, "unimodal")
    with pytest.raises(TrainingError, match="2 task_weights do not fit 1 tasks"):
        fitted(dataset, task_weights=[1, 2])
    model, training = fit_settings("sf", **SMALL)
    with pytest.raises(UnknownName, match="unknown metric family 'mosy'"):
        fit(model, training, dataset, ("M",), "mosy")


def test_early_fusion_learns_from_aligned_rows(dataset_of):
    dataset = dataset_of(("text", "audio", "vision"), n=120, aligned=True)
    done = fitted(dataset, "ef-lstm", layers=1, dropout=0, epochs=40, lr=0.01)
    assert done.meta["summary"]["test"]["M"]["Corr"]["mean"] > 0.7
    assert len({spec["length"] for spec in done.meta["inputs"]}) == 1


def test_early_fusion_names_rows_that_are_not_aligned(dataset_of):
    wanted = r"utterance 'v0/0' has \d rows in '(text|audio)' and \d in .*'pool-words'"
    with pytest.raises(TrainingError, match=wanted):
        fitted(dataset_of(("text", "audio"), seed=1), "ef-lstm")
    dataset = dataset_of(("text", "audio"), aligned=True)
    done = fitted(dataset, "ef-lstm", epochs=1)
    with pytest.raises(TrainingError, match="must be the same word"):
        predict(done.weights, done.meta, dataset_of(("text", "audio"), seed=1).inputs)


def test_refuses_inputs_other_than_those_of_the_fit(dataset_of):
    dataset = dataset_of(("text", "audio"))
    done = fitted(dataset)
    with pytest.raises(TrainingError, match="fitted on input 'audio', which is missing; got text"):
        predict(done.weights, done.meta, dataset.inputs[:1])
    narrow = dataset_of(("audio",)).inputs[0].table
    swapped = [Input("text", "text", narrow), Input("audio", "audio", narrow)]
    with pytest.raises(TrainingError, match="'text' of 6 text columns, got 4 text columns"):
        predict(done.weights, done.meta, swapped)
    with pytest.raises(TrainingError, match="fitted by version 0 of 'sf', and here is version 1"):
        predict(done.weights, {**done.meta, "version": 0}, dataset.inputs)


def test_a_loss_that_is_not_finite_names_the_step_and_keeps_what_was_best(dataset_of):
    dataset = dataset_of(("text",))
    with pytest.raises(Diverged, match=r"seed 0 is not finite at epoch 1, .* \(lr 1e\+30\)") as met:
        fitted(dataset, lr=1e30, loss="mse", epochs=50)
    assert met.value.best == {}


def test_what_was_best_before_a_divergence_travels_with_the_error(dataset_of, monkeypatch):
    plain = loop.Loop.epoch

    def breaks_later(self):
        losses = plain(self)
        if len(self.curves[1].train_loss) == 2:
            losses[1, 1] = float("nan")
        return losses

    monkeypatch.setattr(loop.Loop, "epoch", breaks_later)
    with pytest.raises(Diverged, match=r"seed 1 is not finite at epoch 3, step 2 of 3") as met:
        fitted(dataset_of(("text",)))
    assert all(np.isfinite(value).all() for value in met.value.best.values())
    assert len(met.value.best) > 0


def test_clipping_scales_each_seed_by_its_own_norm():
    first, second = (torch.nn.Parameter(torch.zeros(2, 3)) for _ in range(2))
    first.grad = torch.tensor([[3.0, 0, 0], [0.1, 0, 0]])
    second.grad = torch.tensor([[0, 4.0, 0], [0, 0.1, 0]])
    clip_gradients([first, second], 1.0)
    torch.testing.assert_close(first.grad[0], torch.tensor([0.6, 0, 0]))
    torch.testing.assert_close(second.grad[0], torch.tensor([0, 0.8, 0]))
    torch.testing.assert_close(first.grad[1], torch.tensor([0.1, 0, 0]))


def test_every_optimiser_loss_and_weight_runs(dataset_of):
    dataset = dataset_of(("text",))
    for settings in (
        {"optimizer": "adamw", "weight_decay": 0.1, "loss": "mse"},
        {"loss": "huber", "clip": 0.5, "weight_decay": 0.1},
        {"task_weights": [0.0, 1.0], "batch_size": 7},
    ):
        done = fitted(dataset, tasks=("T", "M"), epochs=2, **settings)
        assert all(seed["epochs"] == 2 for seed in done.meta["seeds"])


def test_a_task_of_weight_zero_changes_nothing(dataset_of):
    dataset = dataset_of(("text",))
    wild = relabelled(dataset, T=-dataset.labels["T"])
    first, second = (fitted(d, tasks=("T", "M"), task_weights=[0, 1]) for d in (dataset, wild))
    assert first.meta["seeds"][0]["train_loss"] == second.meta["seeds"][0]["train_loss"]


def test_reports_progress_after_each_epoch(dataset_of):
    model, training = fit_settings("sf", epochs=3, seeds=2)
    seen = []
    fit(model, training, dataset_of(("text",)), ("M",), "sims", progress=lambda *a: seen.append(a))
    assert [epoch for epoch, _, _ in seen] == [1, 2, 3]
    assert seen[0][1] == 3
    assert len(seen[0][2]) == 2


def test_leaves_no_global_state_behind(dataset_of):
    state = torch.get_rng_state()
    np.random.seed(0)
    numpy_state = np.random.get_state()[1].tolist()
    fitted(dataset_of(("text",)))
    assert torch.equal(torch.get_rng_state(), state)
    assert np.random.get_state()[1].tolist() == numpy_state
    assert (torch.tensor(1e-40) * 1.0).item() > 0


def test_denormals_are_flushed_inside_and_as_before_outside():
    with denormals_flushed():
        assert (torch.tensor(1e-40) * 1.0).item() == 0
        with denormals_flushed():
            pass
        assert (torch.tensor(1e-40) * 1.0).item() == 0
    assert (torch.tensor(1e-40) * 1.0).item() > 0
