from dataclasses import replace

import numpy as np
import pytest
import torch

from affectflow.cache.courses import Course
from affectflow.cache.errors import BadCall
from affectflow.train.dataset import InputSpec
from affectflow.train.fit import fit
from affectflow.train.fitted import predict
from affectflow.train.loop import by_rate
from affectflow.train.models.base import Batch
from affectflow.train.models.copies import Copies, drawn_from
from affectflow.train.registry import fit_settings, model_settings, network_class
from affectflow.train.seeds import Streams
from affectflow.train.training import Training

NAME = "mag-encoder"


@pytest.fixture
def dataset(dataset_of):
    return dataset_of(("text", "audio"), n=40, aligned=True, model=NAME)


def fitted(dataset, **settings):
    given = {"seeds": [5], "epochs": 2, "batch_size": 10, "encoder_lr": 1e-2, "lr": 1e-2}
    return fit(*fit_settings(NAME, **{**given, **settings}), dataset, ("M",), "sims")


def losses(done):
    return done.meta["seeds"][0]["train_loss"]


def test_the_encoders_dropout_comes_from_the_seed_alone(dataset, encoded):
    dropped = encoded(dataset, NAME, dropout=0.5)
    torch.manual_seed(1)
    first = losses(fitted(dropped))
    torch.manual_seed(2)
    before = torch.get_rng_state()
    again = losses(fitted(dropped))
    assert torch.equal(torch.get_rng_state(), before)
    assert first == again
    assert first != losses(fitted(dataset))  # and there is some
    assert first != losses(fitted(dropped, seeds=[6]))


def test_a_fit_that_was_broken_off_goes_on_to_the_same_bits(dataset, encoded, tmp_path):
    dropped = encoded(dataset, NAME, dropout=0.5)
    model, training = fit_settings(NAME, seeds=1, epochs=4, batch_size=10, lr=1e-2)
    course = Course(tmp_path, "ab" * 32, every=0)

    def broken_off(epoch, *_):
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(model, training, dropped, ("M",), "sims", keeper=course, progress=broken_off)
    again = fit(model, training, dropped, ("M",), "sims", keeper=course)
    whole = fit(model, training, dropped, ("M",), "sims")
    assert again.meta == whole.meta
    for name, value in whole.weights.items():
        np.testing.assert_array_equal(again.weights[name], value)


def test_a_stream_stands_in_for_the_global_random_numbers():
    stream, same = (torch.Generator().manual_seed(3) for _ in range(2))
    before = torch.get_rng_state()
    with drawn_from(stream):
        found = torch.rand(4)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(found, torch.rand(4, generator=same))
    assert torch.equal(torch.rand(2, generator=stream), torch.rand(2, generator=same))


def test_copies_are_the_module_and_leave_it_alone(encoded, dataset):
    module = dataset.inputs[0].encoder
    copies = Copies(module, Streams((0, 1))).eval()
    names = {name: p.shape for name, p in module.named_parameters()}
    assert {n.removeprefix("module."): p.shape[1:] for n, p in copies.named_parameters()} == names
    x = torch.randn(2, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(2, 3, 4, dtype=torch.bool)
    with torch.no_grad():
        next(copies.parameters())[1] += 1  # the second seed's alone
        found = copies(x, mask)
        torch.testing.assert_close(found[0], module(x[0], mask[0]))
        assert not torch.allclose(found[1], module(x[1], mask[1]))


@pytest.mark.parametrize(("still", "moves"), [("encoder_lr", "lr"), ("lr", "encoder_lr")])
def test_the_encoder_learns_at_a_rate_of_its_own(dataset, still, moves):
    first = fitted(dataset, **{still: 1e-12, moves: 1e-12}, epochs=1).weights
    after = fitted(dataset, **{still: 1e-12, moves: 1e-2}, epochs=1).weights
    far = {name: np.abs(after[name] - first[name]).max() for name in after if "net." in name}
    encoder = [size for name, size in far.items() if "net.encoder." in name]
    rest = [size for name, size in far.items() if "net.encoder." not in name]
    moved, stayed = (encoder, rest) if moves == "encoder_lr" else (rest, encoder)
    assert max(stayed) < 1e-9
    assert np.median(moved) > 1e-3


def test_parameters_of_one_rate_stand_together(dataset):
    net = network(dataset.inputs[0].encoder, encoder_lr=1e-5)
    groups = {rate: {id(p) for p in group} for group, rate in by_rate(net, 1e-3)}
    encoder = {id(p) for p in net.encoder.parameters()}
    assert groups == {1e-5: encoder, 1e-3: {id(p) for p in net.parameters()} - encoder}


def network(encoder, tasks=("M",), **settings):
    specs = [InputSpec("text", "text", 6, "sequence", 9), InputSpec("a", "audio", 4, "sequence", 9)]
    model = model_settings(NAME, **settings)
    return network_class(NAME)(model, specs, tasks, Streams((0,)), (), {"text": encoder}).eval()


@pytest.mark.parametrize(("summary", "place"), [("first", 0), ("last", 2)])
def test_the_score_is_read_where_the_encoder_says(dataset, summary, place):
    class Same(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))
            self.summary = summary

        def forward(self, states, mask):
            return states * self.weight

    net = network(Same())
    text = torch.randn(1, 1, 5, 6, generator=torch.Generator().manual_seed(1))
    mask = torch.tensor([[[True, True, True, False, False]]])
    sound = {"a": torch.zeros(1, 1, 5, 4)}
    batch = Batch({"text": text, **sound}, {"text": mask, "a": torch.zeros_like(mask)}, None)
    with torch.no_grad():
        torch.testing.assert_close(net(batch).hidden, net.gate.normal(text)[:, :, place])


def test_text_is_neither_normalised_nor_cut_and_sound_is_normalised(dataset):
    done = fitted(dataset)
    assert not done.weights["scaler.text.mean"].any()
    assert (done.weights["scaler.text.scale"] == 1).all()
    assert done.weights["scaler.audio.mean"].all()
    longest = max(int(given.table.lengths.max()) for given in dataset.inputs)
    assert [spec["length"] for spec in done.meta["inputs"]] == [longest] * 2


def test_a_fit_of_part_of_the_text_is_refused(dataset):
    said = "'mag-encoder' reads every row .* 'length' must be 'longest', not 5. Set 'max_length'"
    with pytest.raises(BadCall, match=said):
        fit_settings(NAME, length=5)
    with pytest.raises(BadCall, match="'length' must be 'longest', not 'fmlmsn'"):
        fit(model_settings(NAME), Training(), dataset, ("M",), "sims")


def test_the_layers_above_must_come_with_the_text(dataset):
    done = fitted(dataset, epochs=1)
    bare = tuple(replace(given, encoder=None) for given in dataset.inputs)
    said = (
        "'mag-encoder' trains the layers above those whose states 'text' holds, and they were not"
    )
    with pytest.raises(BadCall, match=said):
        fitted(replace(dataset, inputs=bare))
    with pytest.raises(BadCall, match=said):
        predict(done.weights, done.meta, bare)


def test_says_what_it_needs():
    with pytest.raises(BadCall, match=r"'mag-encoder' shifts text, .* a \(audio\), v \(vision\)"):
        model_settings(NAME).check({"a": "audio", "v": "vision"}, ["M"])
    for setting in ("largest_shift", "encoder_lr"):
        with pytest.raises(BadCall, match=f"'{setting}' of 'mag-encoder' must be greater than 0"):
            model_settings(NAME, **{setting: 0})
