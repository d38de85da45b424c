import numpy as np
import pytest
import torch
from torch.nn import functional

from affectflow.cache.errors import BadCall, TrainingError
from affectflow.train.class_metrics import one_class
from affectflow.train.dataset import Dataset
from affectflow.train.fit import fit, predict
from affectflow.train.objectives import (
    as_predictions,
    choosing_error,
    column_weights,
    label_weights,
    masked_loss,
)
from affectflow.train.registry import fit_settings
from affectflow.train.targets import Target, importance, targets_of, truth_of
from affectflow.train.training import Training, task_faults

EMOTION = Target("emotion", "class", ("angry", "happy", "sad"))
SEVERAL = Target("emotion", "several", ("angry", "happy", "sad"))
SMALL = {"epochs": 4, "seeds": 2, "batch_size": 16}


def with_emotions(dataset, several=False):
    """Emotions that follow the sentiment, as the features do."""
    value = dataset.labels["M"]
    names = np.select([value < -0.3, value > 0.3], ["sad", "happy"], "angry").astype(np.str_)
    if several:
        names = np.where(value > 0.6, "happy;surprise", np.where(value < -0.6, "none", names))
    return Dataset(
        dataset.ids, dataset.splits, {**dataset.labels, "emotion": names}, dataset.inputs
    )


def fitted(dataset, name="sf", tasks=("emotion",), **settings):
    model, training = fit_settings(name, **{**SMALL, **settings})
    return fit(model, training, dataset, tasks, "sims")


def autograd(loss, scores):
    scores = scores.clone().requires_grad_()
    value = loss(scores)
    value.backward()
    return value.detach(), scores.grad


@pytest.mark.parametrize("balanced", [False, True])
def test_loss_of_classes_is_cross_entropy_and_its_slope_that_of_autograd(balanced):
    rng = np.random.default_rng(0)
    scores = torch.randn(1, 20, 3, dtype=torch.float64)
    classes = rng.integers(0, 3, 20)
    truth = np.eye(3)[classes]
    truth[4] = np.nan
    counts = importance(EMOTION, truth, "balanced" if balanced else "none")
    weights = label_weights(torch.from_numpy(counts), torch.ones(3)).unsqueeze(0)
    known = np.isfinite(truth[:, 0])
    share = known.sum() / (3 * np.bincount(classes[known], minlength=3)) if balanced else np.ones(3)
    wanted, slope = autograd(
        lambda s: functional.cross_entropy(
            s[0, known], torch.from_numpy(classes[known]), torch.from_numpy(share)
        ),
        scores,
    )
    filled = torch.from_numpy(np.nan_to_num(truth)).unsqueeze(0)
    loss, ours = masked_loss("l1", filled, weights.double(), scores, (EMOTION,))
    torch.testing.assert_close(loss[0], wanted, rtol=1e-6, atol=0)
    torch.testing.assert_close(ours, slope, rtol=1e-5, atol=1e-7)


def test_loss_of_several_is_binary_cross_entropy_beside_values():
    scores = torch.randn(2, 8, 4, dtype=torch.float64)
    truth = torch.cat([torch.randn(2, 8, 1), (torch.rand(2, 8, 3) < 0.4).float()], -1).double()
    targets = (Target("M"), SEVERAL)
    weights = label_weights(torch.ones(2, 8, 4), torch.tensor(column_weights(targets, (2.0, 3.0))))
    wanted, slope = autograd(
        lambda s: sum(
            2 * (s[i, :, :1] - truth[i, :, :1]).abs().mean()
            + 3 * functional.binary_cross_entropy_with_logits(s[i, :, 1:], truth[i, :, 1:])
            for i in range(2)
        ),
        scores,
    )
    loss, ours = masked_loss("l1", truth, weights.double(), scores, targets)
    torch.testing.assert_close(loss.sum(), wanted, rtol=1e-6, atol=0)
    torch.testing.assert_close(ours, slope, rtol=1e-5, atol=1e-7)
    read = as_predictions(targets, scores)
    torch.testing.assert_close(read[..., 1:], torch.sigmoid(scores[..., 1:]))
    torch.testing.assert_close(read[..., :1], scores[..., :1])


def test_the_epoch_is_chosen_by_the_mean_over_what_is_labelled():
    scores, known = torch.randn(2, 6, 3), torch.tensor([[True] * 3] * 5 + [[False] * 3])
    truth = torch.eye(3)[[0, 1, 2, 0, 1, 2]]
    found = choosing_error(EMOTION, scores, truth, known)
    wanted = [functional.cross_entropy(s[:5], truth[:5].argmax(1)) for s in scores]
    torch.testing.assert_close(found, torch.stack(wanted))
    found = choosing_error(SEVERAL, scores, truth, known)
    each = [functional.binary_cross_entropy_with_logits(s[:5], truth[:5]) for s in scores]
    torch.testing.assert_close(found, torch.stack(each))


def test_truth_has_a_column_for_each_class_and_none_where_there_is_no_label():
    labels = np.array(["happy", "", "fear", "sad"])
    truth = truth_of(EMOTION, labels, ["a", "b", "c", "d"])
    np.testing.assert_array_equal(truth[[0, 3]], [[0, 1, 0], [0, 0, 1]])
    assert np.isnan(truth[1:3]).all()
    labels = np.array(["happy;sad", "", "none", "fear"])
    truth = truth_of(SEVERAL, labels, ["a", "b", "c", "d"])
    np.testing.assert_array_equal(truth[[0, 2, 3]], [[0, 1, 1], [0, 0, 0], [0, 0, 0]])
    assert np.isnan(truth[1]).all()
    with pytest.raises(TrainingError, match=r"'a' has 2 classes \('happy;sad'\).*multilabel: true"):
        truth_of(EMOTION, np.array(["happy;sad"]), ["a"])


def test_balanced_classes_weigh_the_same_in_all():
    truth = np.eye(3)[[0] * 8 + [1] * 3 + [2]]
    counts = importance(EMOTION, truth, "balanced")
    np.testing.assert_allclose((counts[:, 0] @ truth), [4, 4, 4])
    several = importance(SEVERAL, truth, "balanced")
    np.testing.assert_allclose((several * truth).sum(0), (several * (1 - truth)).sum(0))


@pytest.mark.parametrize(
    ("name", "inputs", "tasks", "aligned"),
    [
        ("sf", ("text", "audio"), ("emotion",), False),
        ("unimodal", ("text",), ("emotion",), False),
        ("lf-dnn", ("text", "audio"), ("M", "emotion"), False),
        ("tfn", ("text", "audio"), ("emotion", "valence"), False),
        ("lmf", ("text", "audio"), ("emotion",), False),
        ("mult", ("text", "audio"), ("emotion",), False),
        ("ef-lstm", ("text", "audio"), ("emotion",), True),
        ("mfn", ("text", "audio"), ("emotion",), True),
        ("misa", ("text", "audio"), ("emotion", "M"), False),
        ("mag", ("text", "audio"), ("emotion",), True),
        ("graph-mfn", ("text", "audio"), ("emotion",), True),
        ("mtfn", ("text", "audio"), ("T", "A", "emotion"), False),
        ("fmlmsn-pair", ("text", "audio"), ("T", "A", "emotion"), False),
        ("fmlmsn-meta", ("fused1", "fused2"), ("emotion", "arousal"), False),
    ],
)
def test_every_model_scores_classes(dataset_of, name, inputs, tasks, aligned):
    names = ("M", "T", "A", "valence", "arousal")
    dataset = with_emotions(dataset_of(inputs, aligned=aligned, tasks=names))
    done = fitted(dataset, name, tasks, epochs=2)
    columns = [f"emotion={name}" for name in EMOTION.names]
    rows = done.predictions[done.predictions["task"].isin(columns)]
    sums = rows.groupby(["id", "seed"])["prediction"].sum()
    np.testing.assert_allclose(sums, 1, atol=1e-5)
    assert {"Acc", "F1", "UAR", "F1_sad"} <= set(done.meta["summary"]["test"]["emotion"])
    again = predict(done.weights, done.meta, dataset.inputs)
    both = again.merge(done.predictions, on=["id", "seed", "task"])
    np.testing.assert_allclose(both["prediction_x"], both["prediction_y"], atol=1e-6)


def test_learns_the_classes_and_scores_what_it_predicted(dataset_of):
    dataset = with_emotions(dataset_of(("text", "audio"), n=200))
    done = fitted(dataset, epochs=30, seeds=1, class_weights="balanced")
    scores = done.meta["summary"]["test"]["emotion"]
    assert scores["Acc"]["mean"] > 0.6
    rows = done.predictions.query("split == 'test'")
    names = EMOTION.columns
    p = rows.pivot(index="id", columns="task", values="prediction")[list(names)].to_numpy()
    y = rows.pivot(index="id", columns="task", values="truth")[list(names)].to_numpy()
    wanted = one_class(p, y, EMOTION.names)
    assert {k: v["mean"] for k, v in scores.items()} == pytest.approx(wanted, rel=1e-5)


def test_several_emotions_and_dimensions_in_one_fit(dataset_of):
    dataset = with_emotions(dataset_of(("text", "audio"), tasks=("M", "valence")), several=True)
    done = fitted(dataset, tasks=("emotion", "valence"), multilabel=True)
    names = done.meta["targets"][0]["names"]
    assert names == ["angry", "happy", "sad", "surprise"]
    assert {"WA", "F1", "WA_surprise"} <= set(done.meta["summary"]["test"]["emotion"])
    assert set(done.meta["summary"]["test"]["valence"]) == {"CCC", "MAE", "Corr", "R2"}
    assert done.meta["rows"]["test"]["valence"]["CCC"] == 10


def test_an_utterance_of_another_class_has_no_label(dataset_of):
    dataset = with_emotions(dataset_of(("text",)))
    done = fitted(dataset, classes=["sad", "happy"])
    n = np.isin(dataset.labels["emotion"][dataset.splits == "test"], ["sad", "happy"]).sum()
    assert done.meta["rows"]["test"]["emotion"]["labelled"] == n < 10
    assert done.meta["targets"][0]["names"] == ["sad", "happy"]


def test_names_classes_that_the_training_split_lacks(dataset_of):
    dataset = with_emotions(dataset_of(("text",)))
    with pytest.raises(
        TrainingError, match=r"needs examples of 'fear' in split 'train', which has"
    ):
        fitted(dataset, classes=["sad", "fear"])
    one = np.where(dataset.splits == "train", "sad", dataset.labels["emotion"])
    single = Dataset(dataset.ids, dataset.splits, {"emotion": one}, dataset.inputs)
    with pytest.raises(
        TrainingError, match=r"needs at least two classes in split 'train', .*'sad'"
    ):
        fitted(single)
    without = Dataset(dataset.ids, dataset.splits, {"M": dataset.labels["M"]}, dataset.inputs)
    with pytest.raises(TrainingError, match="task 'emotion' has no label 'emotion' in .*: M"):
        fitted(without)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": ["a", "a"]}, "classes must differ"),
        ({"classes": ["a", "none"]}, "differ from each other and from 'none'"),
        ({"classes": "sad"}, "classes must be a list of names, not 'sad'"),
        ({"multilabel": 1}, "multilabel must be true or false, not 1"),
    ],
)
def test_refuses_settings_of_classes_that_are_none(settings, message):
    with pytest.raises(BadCall, match=message):
        Training(**settings)


def test_classes_are_those_of_the_training_split_in_the_order_of_the_alphabet():
    labels = {"emotion": np.array(["sad", "happy;angry", "none", "fear"])}
    (target,) = targets_of(("emotion",), Training(multilabel=True), labels, np.arange(3))
    assert (target.kind, target.names) == ("several", ("angry", "happy", "sad"))


def test_emotions_of_several_corpora_are_merged_under_nine_names(dataset_of):
    dataset = with_emotions(dataset_of(("text",)))
    names = dataset.labels["emotion"].astype(object)
    plain = fitted(dataset).predictions
    for nth, own in enumerate([{"happy": "joy", "sad": "sadness"}, {"happy": "hap", "sad": "sad"}]):
        names[nth::2] = [own.get(name, "ang") for name in dataset.labels["emotion"][nth::2]]

    def mixed():
        labels = {"emotion": names.astype(np.str_)}
        return Dataset(dataset.ids, dataset.splits, labels, dataset.inputs)

    merged = fitted(mixed(), emotions="nine")
    assert merged.meta["targets"][0]["names"] == ["angry", "happy", "sad"]
    assert merged.predictions.equals(plain)
    names[5] = "oth"
    with pytest.raises(
        TrainingError, match=f"no such emotion.*'oth' .1, the first '{dataset.ids[5]}"
    ):
        fitted(mixed(), emotions="nine")


def test_nine_emotions_are_for_fits_that_learn_emotions():
    training = Training(emotions="nine")
    assert task_faults(training, ["M", "emotion"]) == []
    (fault,) = task_faults(training, ["M"])
    assert fault.startswith("emotions: nine: for the task 'emotion', which this fit has not")
