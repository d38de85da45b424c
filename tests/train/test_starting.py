"""A fit that starts from the weights of another."""

import numpy as np
import pytest

from affectflow.cache.errors import BadInput
from affectflow.train.fit import fit
from affectflow.train.registry import fit_settings
from affectflow.train.starting import Parent

STILL = {"seeds": [7, 8], "epochs": 1, "lr": 1e-12}


def fitted(dataset, name="sf", tasks=("M",), parent=None, **settings):
    settings = {"seeds": 2, "epochs": 3, "lr": 1e-2, **settings}
    return fit(*fit_settings(name, **settings), dataset, tasks, "sims", parent=parent)


def parent_of(done):
    return Parent("before", done.weights, done.meta)


def test_all_seeds_start_from_the_weights_of_the_seed_that_validation_chose(dataset_of):
    dataset = dataset_of(("text", "audio"), tasks=("M",))
    first = fitted(dataset)
    place = [seed["seed"] for seed in first.meta["seeds"]].index(first.meta["chosen"])
    copy = {name: value.copy() for name, value in first.weights.items()}
    then = fitted(dataset, parent=parent_of(first), **STILL)  # a rate at which nothing moves
    names = [name for name in first.weights if name.startswith("net.")]
    assert names
    for name in names:
        for seed in (0, 1):
            np.testing.assert_allclose(then.weights[name][seed], copy[name][place], atol=1e-9)
    assert all((first.weights[name] == copy[name]).all() for name in copy)  # it is not changed
    n = len(names)
    said = f"starts from seed {first.meta['chosen']} of 'before': {n} of {n} parameters"
    assert said in then.meta["notes"]
    assert "before" not in str(fitted(dataset).meta["notes"])


def test_what_the_parent_has_not_is_drawn_anew_and_said(dataset_of):
    dataset = dataset_of(("text", "audio"), tasks=("M", "T"))
    first = fitted(dataset)
    then = fitted(dataset, tasks=("M", "T"), parent=parent_of(first), **STILL)
    (said,) = [note for note in then.meta["notes"] if note.startswith("starts from seed")]
    assert "; drawn anew: " in said
    own = {name for name in then.weights if name.startswith("net.")}
    shared = {
        n for n in own & set(first.weights) if then.weights[n].shape == first.weights[n].shape
    }
    assert own - shared
    place = [seed["seed"] for seed in first.meta["seeds"]].index(first.meta["chosen"])
    for name in shared:
        np.testing.assert_allclose(then.weights[name][0], first.weights[name][place], atol=1e-9)
    for name in own - shared:
        assert (then.weights[name][0] != then.weights[name][1]).any()


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        (
            "sf",
            {"units": 7},
            r"'sf' cannot start from 'before' \(model 'sf'\): widths differ",
        ),
        ("sf", {"units": 7}, r"is \d+ x 128 there and \d+ x 7 here"),
        (
            "ef-lstm",
            {},
            r"'ef-lstm' cannot .* \(model 'sf'\): .* no parameter of the same name",
        ),
    ],
)
def test_names_both_models_where_the_weights_do_not_fit(dataset_of, name, settings, message):
    tasks = ("M",)
    dataset = dataset_of(("text", "audio"), tasks=tasks, aligned=True)
    with pytest.raises(BadInput, match=message):
        fitted(dataset, name, parent=parent_of(fitted(dataset)), **settings)


def test_refuses_a_text_encoder_of_another_width(dataset_of, monkeypatch):
    kind = {"aligned": True, "model": "mag-encoder", "tasks": ("M",)}
    given = {"epochs": 1, "seeds": 1, "encoder_lr": 1e-3}
    first = fitted(dataset_of(("text", "audio"), **kind), "mag-encoder", **given)
    monkeypatch.setitem(dataset_of.__globals__["WIDTHS"], "text", 8)
    other = dataset_of(("text", "audio"), **kind)
    message = (
        r"'mag-encoder' cannot start from 'before' \(model 'mag-encoder'\): it was trained above "
        "text states of 6 columns, and those of 'text' have 8: another base model"
    )
    with pytest.raises(BadInput, match=message):
        fitted(other, "mag-encoder", parent=parent_of(first), **given)
