import subprocess
import sys

import pytest

from affectflow.cache.errors import BadCall, UnknownName
from affectflow.train.registry import (
    MODELS,
    fit_settings,
    model_class,
    model_settings,
    network_class,
    settings_table,
)
from affectflow.train.training import Training, primary_task


def test_settings_need_neither_torch_nor_numpy():
    code = (
        "import sys, affectflow.train.registry as r; r.fit_settings('tfn'); "
        "print([m for m in ('torch', 'numpy', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_its_network_and_its_name(name):
    assert model_settings(name).name == name
    assert network_class(name).__name__ == MODELS[name].network
    assert settings_table(name)["epochs"] == 200


def test_tells_model_and_training_settings_apart():
    model, training = fit_settings("fmlmsn-pair", pair_units=16, lr=2e-3, seeds=3)
    assert model == model_settings("fmlmsn-pair", pair_units=16)
    assert training == Training(lr=2e-3, seeds=(0, 1, 2))


def test_a_model_brings_the_training_of_its_source():
    assert fit_settings("tfn")[1].batch_size == 32
    assert fit_settings("tfn", batch_size=16)[1].batch_size == 16


def test_no_setting_of_a_model_is_also_one_of_the_training():
    training = set(Training.__dataclass_fields__)
    for name in MODELS:
        assert not training & set(model_class(name).__dataclass_fields__)


def test_defaults_of_fmlmsn_are_the_ch_sims_column_of_table_3():
    model, training = fit_settings("fmlmsn-pair")
    assert (model.text_hidden, model.audio_hidden, model.vision_hidden) == (128, 16, 128)
    assert (model.text_out, model.pair_units) == (128, 64)
    assert (model.text_units, model.audio_units, model.vision_units) == (64, 16, 64)
    assert model.text_dropout == model.audio_dropout == model.vision_dropout == 0
    assert (training.lr, training.batch_size, training.patience) == (1e-3, 64, 20)
    assert model_settings("fmlmsn-meta").units == 64


def test_names_the_nearest_model_and_setting():
    with pytest.raises(
        UnknownName, match="unknown model 'fmlmsn-pare'. Did you mean 'fmlmsn-pair'"
    ):
        model_settings("fmlmsn-pare")
    with pytest.raises(UnknownName, match="unknown setting 'unit' of 'sf'. Did you mean 'units'"):
        model_settings("sf", unit=3)
    with pytest.raises(UnknownName, match="unknown setting 'patiense' of 'sf'.*'patience'"):
        fit_settings("sf", patiense=3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": "1e-3"}, "lr must be a finite number, not '1e-3'"),
        ({"lr": 0}, "lr must be greater than 0"),
        ({"seeds": []}, "seeds must be one or more whole numbers"),
        ({"seeds": [1, 1]}, "seeds must differ from each other"),
        ({"seeds": "three"}, "seeds must be a number or a list"),
        ({"epochs": 0}, "epochs must be a whole number of at least 1"),
        ({"clip": -1}, "clip must be at least 0"),
        ({"length": "fmlmsm"}, "unknown length .*'fmlmsm'. Did you mean 'fmlmsn'"),
        ({"length": 0}, "length must be a whole number of at least 1"),
        ({"labels": "own "}, "unknown labels 'own '. Did you mean 'own'"),
        ({"task_weights": 2}, "task_weights must be a list of numbers, not 2"),
        ({"task_weights": [-1]}, "task_weights must be at least 0"),
        ({"dropout": 1}, r"setting 'dropout' of 'sf' must lie in \[0, 1\), not 1"),
        ({"units": 2.5}, "setting 'units' of 'sf' must be a whole number"),
    ],
)
def test_refuses_settings_out_of_range(settings, message):
    with pytest.raises(BadCall, match=message):
        fit_settings("sf", **settings)


@pytest.mark.parametrize(
    ("name", "inputs", "tasks", "message"),
    [
        ("unimodal", {"a": "audio", "t": "text"}, ["M"], "needs one input, got a, t"),
        ("sf", {}, ["M"], "needs at least one input"),
        ("sf", {"a": "audio"}, [], "needs at least one task"),
        ("sf", {"a": "audio"}, ["M", "M"], "a task is named twice"),
        ("sf", {"a": "adio"}, ["M"], "unknown modality 'adio' of input 'a'. Did you mean 'audio'"),
        ("tfn", {"a": "audio"}, ["M"], r"needs 2 to 3 inputs, each of another.*got a \(audio\)"),
        ("tfn", {"a": "audio", "b": "audio"}, ["M"], r"got a \(audio\), b \(audio\)"),
        ("tfn", {"a": "audio", "h": "fused"}, ["M"], r"h \(fused\)"),
        ("fmlmsn-pair", {"a": "audio", "t": "text"}, ["A", "V", "AV"], r"\[A, T, AT\].*got \[A, V"),
        ("fmlmsn-pair", {"a": "audio", "t": "text"}, ["AT", "A"], "that of all inputs last"),
    ],
)
def test_a_model_says_what_it_needs(name, inputs, tasks, message):
    with pytest.raises(BadCall, match=message):
        model_settings(name).check(inputs, tasks)


def test_whole_numbers_and_floats_are_one_setting():
    assert type(Training(lr=1).lr) is float
    assert type(model_settings("sf", dropout=0).dropout) is float


def test_the_multimodal_task_leads_wherever_it_stands():
    assert primary_task(["M", "T", "A"]) == "M"
    assert primary_task(["A", "V", "AV"]) == "AV"
