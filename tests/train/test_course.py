import time

import numpy as np
import pytest

from affectflow.cache.checkpoints import read_safetensors
from affectflow.cache.courses import Course
from affectflow.cache.errors import Diverged
from affectflow.train.course import Parted
from affectflow.train.fit import fit
from affectflow.train.loop import Loop
from affectflow.train.optimizer import Adam
from affectflow.train.registry import fit_settings

MARK = "ab" * 32
SMALL = {"epochs": 7, "seeds": 3, "batch_size": 16, "patience": 3, "lr": 0.01}


class Killed(BaseException):
    """Stands for what no code can catch."""


def fitted(dataset, name="sf", keeper=None, progress=None, **settings):
    model, training = fit_settings(name, **{**SMALL, **settings})
    return fit(model, training, dataset, ("M",), "sims", keeper=keeper, progress=progress)


@pytest.mark.parametrize("name", ["sf", "tfn"])
@pytest.mark.parametrize("apart", [False, True])
def test_a_fit_that_was_killed_goes_on_to_the_same_bits(
    dataset_of, tmp_path, monkeypatch, name, apart
):
    if apart:  # one stack of seeds after another; the second is killed
        monkeypatch.setattr("affectflow.train.fit.STACK", 1)
    dataset = dataset_of(("text", "audio"), missing=(3,))
    whole = fitted(dataset, name)
    heard = []

    def killed(epoch, most, best):
        heard.append(epoch)
        if len(heard) == (10 if apart else 4):
            raise Killed

    with pytest.raises(Killed):
        fitted(dataset, name, Course(tmp_path, MARK, every=0), killed)
    before = len(heard)
    course = Course(tmp_path, MARK, every=1000)
    again = fitted(dataset, name, course, lambda *said: heard.append(said[0]))
    assert heard[before] == heard[before - 1] + 1  # not from the first epoch
    assert again.meta == whole.meta
    for key, value in whole.weights.items():
        np.testing.assert_array_equal(again.weights[key], value)
    course.forget()
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_what_is_damaged_or_of_another_torch_is_begun_anew(dataset_of, tmp_path, monkeypatch):
    dataset = dataset_of(("text",))
    whole = fitted(dataset)
    fitted(dataset, keeper=Course(tmp_path, MARK, every=0))
    heard = []
    monkeypatch.setattr("torch.__version__", "0.1")
    again = fitted(dataset, keeper=Course(tmp_path, MARK), progress=lambda *a: heard.append(a[0]))
    assert heard[0] == 1
    monkeypatch.undo()
    monkeypatch.setattr(Adam, "state", lambda optimizer: {})  # code that keeps other tensors
    again = fitted(dataset, keeper=Course(tmp_path, MARK), progress=lambda *a: heard.append(a[0]))
    assert heard.count(1) == 2
    monkeypatch.undo()
    (file,) = tmp_path.rglob("*.course")
    image = bytearray(file.read_bytes())
    image[len(image) // 2] ^= 1
    file.write_bytes(image)
    again = fitted(dataset, keeper=Course(tmp_path, MARK), progress=lambda *a: heard.append(a[0]))
    assert heard.count(1) == 3
    assert again.meta == whole.meta


def test_a_short_fit_writes_nothing(dataset_of, tmp_path):
    fitted(dataset_of(("text",)), keeper=Course(tmp_path, MARK))
    assert not list(tmp_path.rglob("*"))


def test_is_saved_when_it_is_time(tmp_path):
    course = Course(tmp_path, MARK, every=0.05)
    assert not course.due()
    time.sleep(0.06)
    assert course.due()
    course.save("a", {"x": np.arange(3)}, {"done": 1})
    assert not course.due()
    arrays, record = course.load("a")
    assert (arrays["x"].tolist(), record) == ([0, 1, 2], {"done": 1})
    assert course.load("b") is None


def test_a_loss_that_is_not_finite_keeps_the_last_good_weights(dataset_of, tmp_path, monkeypatch):
    dataset = dataset_of(("text", "audio"))
    epoch = Loop.epoch

    def breaks_in_the_fourth(loop):
        losses = epoch(loop)
        if loop.done == 3:
            losses[1, 2] = float("nan")
        return losses

    good = fitted(dataset, epochs=3)
    monkeypatch.setattr(Loop, "epoch", breaks_in_the_fourth)
    with pytest.raises(
        Diverged, match=r"seed 2 .* epoch 4, step 2 of 3 .* weights lie in '"
    ) as met:
        fitted(dataset, keeper=Course(tmp_path, MARK))
    (path,) = tmp_path.rglob("*.safetensors")
    assert str(path) in str(met.value)
    kept = read_safetensors(path)
    for key, value in kept.items():
        np.testing.assert_array_equal(value, good.weights[f"net.{key}"][2])


def test_stacks_that_were_fitted_apart_are_found_and_make_the_same_whole(
    dataset_of, tmp_path, monkeypatch
):
    monkeypatch.setattr("affectflow.train.fit.STACK", 1)
    dataset = dataset_of(("text",))
    model, training = fit_settings("sf", **SMALL)
    whole = fitted(dataset)
    for stack in (2, 0, 1):
        course = Course(tmp_path, MARK)
        with pytest.raises(Parted) as met:
            fit(model, training, dataset, ("M",), "sims", keeper=course, stack=stack)
        assert met.value.stacks == 3
    monkeypatch.setattr(Loop, "epoch", None)  # nothing is left to learn
    again = fitted(dataset, keeper=Course(tmp_path, MARK))
    assert again.meta == whole.meta
    for key, value in whole.weights.items():
        np.testing.assert_array_equal(again.weights[key], value)


def test_a_single_stack_is_the_whole_fit(dataset_of, tmp_path):
    dataset = dataset_of(("text",))
    model, training = fit_settings("sf", **SMALL)
    alone = fit(model, training, dataset, ("M",), "sims", keeper=Course(tmp_path, MARK), stack=0)
    assert alone.meta == fitted(dataset).meta
