"""What a fit tells of labels and of a course that are not as they should be."""

import numpy as np
import pytest

from affectflow.cache.errors import TrainingError
from affectflow.train.dataset import Dataset
from affectflow.train.fit import fit
from affectflow.train.prepare import truth_for
from affectflow.train.registry import fit_settings


def notes(dataset, labels, tasks=("M",), **settings):
    model, training = fit_settings("sf", **{"epochs": 5, "seeds": 1, "batch_size": 16, **settings})
    given = Dataset(dataset.ids, dataset.splits, labels, dataset.inputs)
    return fit(model, training, given, tasks, "sims").meta["notes"]


def test_says_when_validation_never_improved(dataset_of):
    dataset = dataset_of(("text",))
    turned = np.where(dataset.splits == "valid", -1.0, np.where(dataset.labels["M"] > 0, 0.9, 0.8))
    turned[-15] = -0.9  # of the validation split
    (note,) = notes(dataset, {"M": turned}, seeds=[0, 1, 2])
    assert "validation error of seed(s) 0, 1, 2 never got better than after the first" in note


def test_has_nothing_to_say_of_a_fit_that_went_well(dataset_of):
    dataset = dataset_of(("text",), n=200)
    assert notes(dataset, dataset.labels) == []


@pytest.mark.parametrize(
    ("split", "said"), [("train", "there is nothing to learn"), ("test", "its scores say little")]
)
def test_says_where_all_labels_are_the_same(dataset_of, split, said):
    dataset = dataset_of(("text",))
    labels = np.where(dataset.splits == split, 0.4, dataset.labels["M"])
    n = (dataset.splits == split).sum()
    found = notes(dataset, {"M": labels})
    assert f"all {n} labels of task 'M' in split '{split}' are 0.4: {said}" in found


def test_says_where_a_split_has_one_class(dataset_of):
    dataset = dataset_of(("text",))
    names = np.where(dataset.labels["M"] > 0, "happy", "sad")
    names[dataset.splits == "valid"] = "sad"
    found = notes(dataset, {"emotion": names}, ("emotion",))
    told = "all 10 labels of task 'emotion' in split 'valid' are sad: its scores say little"
    assert told in found


def test_says_how_many_are_not_scored_for_a_class_that_training_lacks(dataset_of):
    dataset = dataset_of(("text",))
    names = np.where(dataset.labels["M"] > 0, "happy", "sad").astype("<U8")
    test = np.flatnonzero(dataset.splits == "test")
    names[test[:3]] = "disgust"
    found = notes(dataset, {"emotion": names}, ("emotion",))
    told = (
        f"3 of {len(test)} utterances of split 'test' have a class of task 'emotion' that training "
        "has no example of (disgust): that label is not scored"
    )
    assert told in found
    chosen = notes(dataset, {"emotion": names}, ("emotion",), classes=["happy", "sad"])
    assert not any("disgust" in note for note in chosen)


def test_says_that_of_several_classes_only_the_one_that_training_lacks_is_not_scored(dataset_of):
    dataset = dataset_of(("text",))
    names = np.where(dataset.labels["M"] > 0, "happy", "sad").astype("<U16")
    test = np.flatnonzero(dataset.splits == "test")
    names[test[:2]] = ["disgust", "happy;disgust"]
    given = Dataset(dataset.ids, dataset.splits, {"emotion": names}, dataset.inputs)
    _, training = fit_settings("sf", multilabel=True)
    truth = truth_for(given, training, ("emotion",), "sims")
    assert truth.values[test[:2]].tolist() == [[0, 0], [1, 0]]  # of happy, sad: both are scored
    told = "(disgust): those are neither predicted nor scored, the other classes are"
    assert [note for note in truth.notes if told in note and note.startswith("2 of ")]


@pytest.mark.parametrize("settings", [{"class_weights": "balanced"}, {"multilabel": True}])
def test_refuses_settings_of_classes_where_only_values_are_learned(dataset_of, settings):
    dataset = dataset_of(("text",))
    with pytest.raises(TrainingError, match=r"for tasks of classes \(emotion\), .* Leave that out"):
        notes(dataset, dataset.labels, **settings)
