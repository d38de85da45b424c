import errno
import os
import sys

import numpy as np
import pandas as pd
import pytest

from affectflow.cache.checkpoints import checkpoint_folder, load, publish
from affectflow.cache.errors import BadCall, BadInput, Damaged, NewerCache, StoreFull

FIT = "ab" * 32
WEIGHTS = {
    "encode.weight": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "scale": np.array(2.5),
    "half": np.ones(3, np.float16),
    "steps": np.array([7]),
}
META = {"seeds": {"1": {"corr": float("nan")}}, "model": "früh"}


def test_reads_back_what_was_written(tmp_path):
    predictions = pd.DataFrame({"id": ["a/1", "b"], "seed": [1, 1], "prediction": [0.5, np.nan]})
    made = publish(tmp_path, FIT, WEIGHTS, META, predictions)
    found = load(tmp_path, FIT)
    assert found.digest == made.digest
    assert found.meta["model"] == "früh"
    assert np.isnan(found.meta["seeds"]["1"]["corr"])
    weights = found.weights()
    assert set(weights) == set(WEIGHTS)
    for name, array in WEIGHTS.items():
        assert weights[name].dtype == array.dtype
        np.testing.assert_array_equal(weights[name], array)
        assert weights[name].shape == array.shape
    pd.testing.assert_frame_equal(found.predictions(), predictions)


def test_there_may_be_no_weights_and_no_predictions(tmp_path):
    publish(tmp_path, FIT, {}, {})
    assert load(tmp_path, FIT).weights() == {}
    assert load(tmp_path, FIT).predictions() is None


def test_what_was_never_fitted_is_none(tmp_path):
    assert load(tmp_path, FIT) is None


def test_the_first_checkpoint_of_a_fit_wins_and_the_loser_gets_it(tmp_path):
    first = publish(tmp_path, FIT, WEIGHTS, {"by": "first"})
    second = publish(tmp_path, FIT, {"other": np.zeros(1)}, {"by": "second"})
    assert second.digest == first.digest
    assert second.meta == {"by": "first"}
    assert set(second.weights()) == set(WEIGHTS)
    assert [p.name for p in (tmp_path / "checkpoints" / "ab").iterdir()] == [FIT]


def test_the_digest_is_that_of_fit_and_weights_not_of_what_is_said_about_them(tmp_path):
    one = publish(tmp_path / "a", FIT, WEIGHTS, {"took": 1.0})
    same = publish(tmp_path / "b", FIT, dict(reversed(WEIGHTS.items())), {"took": 2.0})
    other = publish(tmp_path / "c", FIT, WEIGHTS | {"scale": np.array(2.6)}, {})
    another_fit = publish(tmp_path / "a", "cd" * 32, WEIGHTS, {})
    assert one.digest == same.digest
    assert len({one.digest, other.digest, another_fit.digest}) == 3


@pytest.mark.parametrize("byte", [3, 70, -2])
def test_damaged_json_is_raised(tmp_path, flip, byte):
    publish(tmp_path, FIT, WEIGHTS, META)
    flip(checkpoint_folder(tmp_path, FIT) / "checkpoint.json", byte)
    with pytest.raises(Damaged, match="prune --damaged.*fits it again"):
        load(tmp_path, FIT)


@pytest.mark.parametrize("name", ["weights.safetensors", "predictions.parquet"])
def test_damaged_weights_and_predictions_are_raised_when_they_are_read(tmp_path, flip, name):
    publish(tmp_path, FIT, WEIGHTS, META, pd.DataFrame({"id": ["a"]}))
    flip(checkpoint_folder(tmp_path, FIT) / name, -1)
    found = load(tmp_path, FIT)
    with pytest.raises(Damaged, match=f"{name} is damaged"):
        found.weights() if name.startswith("w") else found.predictions()
    with pytest.raises(Damaged):
        found.check()


@pytest.mark.parametrize("name", ["weights.safetensors", "checkpoint.json"])
def test_a_missing_file_is_damage(tmp_path, name):
    publish(tmp_path, FIT, WEIGHTS, META)
    (checkpoint_folder(tmp_path, FIT) / name).unlink()
    with pytest.raises(Damaged, match="it is missing"):
        load(tmp_path, FIT).check()


def test_a_checkpoint_of_another_fit_is_not_taken_for_this_one(tmp_path):
    publish(tmp_path, FIT, WEIGHTS, META)
    folder = checkpoint_folder(tmp_path, "cd" * 32)
    folder.parent.mkdir()
    checkpoint_folder(tmp_path, FIT).rename(folder)
    with pytest.raises(Damaged, match=f"that of fit {FIT[:12]}"):
        load(tmp_path, "cd" * 32)


def test_a_newer_format_is_refused_with_both_versions(tmp_path, monkeypatch):
    monkeypatch.setattr("affectflow.cache.checkpoints.FORMAT", 5)
    publish(tmp_path, FIT, WEIGHTS, META)
    monkeypatch.undo()
    with pytest.raises(NewerCache, match="format 5, .* up to 1"):
        load(tmp_path, FIT)


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StoreFull, match="no room to write"):
        publish(tmp_path, FIT, WEIGHTS, META)
    assert not [p for p in tmp_path.rglob("*") if not p.is_dir()]
    assert list((tmp_path / "checkpoints" / "ab").iterdir()) == []


def test_meta_that_json_cannot_say_leaves_nothing_behind(tmp_path):
    with pytest.raises(BadInput, match="meta cannot be written"):
        publish(tmp_path, FIT, WEIGHTS, {"model": object()})
    assert list(tmp_path.iterdir()) == []


def test_a_fingerprint_never_becomes_a_path_unchecked(tmp_path):
    with pytest.raises(BadCall, match="64 hex digits"):
        load(tmp_path, "../../x")


def test_neither_torch_nor_pandas_is_needed_to_load(tmp_path):
    import subprocess

    publish(tmp_path, FIT, WEIGHTS, META)
    script = (
        "import sys; from pathlib import Path; from affectflow.cache.checkpoints import load;"
        f"load(Path({str(tmp_path)!r}), {FIT!r}).weights();"
        "print([m for m in ('torch', 'pandas', 'h5py') if m in sys.modules])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "[]"
