import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from affectflow.cache.errors import BadCall
from affectflow.cache.table import FeatureTable
from affectflow.train.dataset import Input, InputSpec
from affectflow.train.fit import fit
from affectflow.train.models.base import Batch
from affectflow.train.models.kebr import Tcmf, cosine_constraint
from affectflow.train.registry import fit_settings, model_settings, network_class
from affectflow.train.seeds import Streams
from affectflow.train.settings.kebr import Kebr

WIDTHS = {"text": 6, "audio": 4, "vision": 5}
LENGTHS = {"text": 5, "audio": 7, "vision": 3}
RNG = np.random.default_rng


def f(cos_a, cos_v, scale=1.0, penalty=0.2):
    return float(cosine_constraint(torch.tensor(cos_a), torch.tensor(cos_v), scale, penalty))


@pytest.mark.parametrize(
    ("cos_a", "cos_v", "wanted"),
    [
        (0.3, 0.3, 0.0),  # equal angles, where y + g is 1/2
        (0.8, 0.8, 1.0),  # equal angles, where y + g is 1
        (1.0, 1.0, abs(math.cos(1.2 * math.pi))),
        (0.0, 0.0, abs(math.cos(0.2 * math.pi))),
        # text between: a right angle between sound and sight, the mean angle 45 degrees
        (0.0, 1.0, abs(math.cos(math.pi * (math.sqrt(0.5) * math.exp(math.pi / 2) + 0.2)))),
        (1.0, 0.0, abs(math.cos(math.pi * (math.sqrt(0.5) * math.exp(-math.pi / 2) + 0.2)))),
        # opposite: the mean angle is a right one, so that y is 0; s is added
        (1.0, -1.0, 1 + abs(math.cos(0.2 * math.pi))),
        (-0.5, -0.5, 1 + abs(math.cos(math.pi * (-0.5 + 0.2)))),
    ],
)
def test_the_constraint_at_known_angles(cos_a, cos_v, wanted):
    assert f(cos_a, cos_v) == pytest.approx(wanted, abs=0.01 if 1.0 in (cos_a, cos_v) else 1e-6)


def test_the_constraint_is_scaled_and_its_zero_is_moved():
    assert f(0.8, 0.8, scale=2.5) == pytest.approx(2.5)
    assert f(-0.5, -0.5, scale=2.5) == pytest.approx(2.5 * f(-0.5, -0.5))
    for penalty in (-0.4, 0.0, 0.4):
        assert f(0.5 - penalty, 0.5 - penalty, penalty=penalty) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("cos_a", [-1.0, 0.0, 1e-30, 0.5, 1.0, 1.0 + 1e-7])
@pytest.mark.parametrize("cos_v", [-1.0, 0.0, 1.0])
def test_the_constraints_slope_is_finite_everywhere(cos_a, cos_v):
    both = torch.tensor([cos_a, cos_v], requires_grad=True)
    value = cosine_constraint(both[0], both[1], 1.0, 0.2)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(both.grad).all()


def test_going_down_the_constraint_brings_two_different_cosines_together():
    both = torch.tensor([0.2, 0.45], requires_grad=True)
    for _ in range(200):
        cosine_constraint(both[0], both[1], 1.0, 0.2).backward()
        both.data -= 0.003 * both.grad
        both.grad.zero_()
    audio, vision = both.tolist()
    assert f(audio, vision) < 0.05 < f(0.2, 0.45)
    assert abs(vision - audio) < 0.2


def normal(x, layer):
    scale, shift = (p.detach().numpy()[0] for p in (layer.scale, layer.shift))
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5) * scale + shift


def linear(x, layer):
    return x @ layer.weight.detach().numpy()[0] + layer.bias.detach().numpy()[0]


def by_numpy(layer, x, others, text_based):
    """Eq. 3-8 of one utterance: x (T, D), others rows (U, D) of real ones alone."""
    q = normal(x, layer.before) @ layer.query.weight.detach().numpy()[0]
    joined = normal(x, layer.before) if text_based else np.zeros_like(x)
    for inject, rows in zip(layer.inject, others, strict=True):
        own = normal(rows, inject.normal)
        key, value = (own @ m.weight.detach().numpy()[0] for m in (inject.key, inject.value))
        scores = q @ key.T / math.sqrt(x.shape[1])
        weights = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        joined = joined + weights @ value
    inner = np.maximum(linear(normal(joined, layer.between), layer.first), 0)
    return linear(inner, layer.second) + joined


@pytest.mark.parametrize("text_based", [True, False])
def test_one_layer_is_the_papers_equations(text_based):
    layer = Tcmf(6, Kebr(text_based=text_based, dropout=0.0), Streams([1]))
    with torch.no_grad():
        for p in layer.parameters():
            p += 0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel()))
    rng = RNG(0)
    x, audio, vision = (rng.normal(size=(n, 6)).astype(np.float32) for n in (4, 7, 3))
    mask = torch.tensor([True, True, False, True, True, False, False])
    with torch.no_grad():
        found = layer(
            torch.from_numpy(x)[None, None],
            (torch.from_numpy(audio)[None, None], mask[None, None]),
            (torch.from_numpy(vision)[None, None], torch.ones(1, 1, 3, dtype=torch.bool)),
        )
    wanted = by_numpy(layer, x, (audio[mask.numpy()], vision), text_based)
    np.testing.assert_allclose(found[0, 0], wanted, rtol=1e-4, atol=1e-5)


def test_a_layer_by_hand():
    """Two columns, keys all alike, so that each modality gives the mean of its values."""
    layer = Tcmf(2, Kebr(widening=1, dropout=0.0), Streams([0]))
    with torch.no_grad():
        layer.query.weight.zero_()
        for inject, factor in zip(layer.inject, (2.0, 10.0), strict=True):
            inject.value.weight.copy_(factor * torch.eye(2)[None])
        for linear_ in (layer.first, layer.second):
            linear_.weight.copy_(torch.eye(2)[None])
            linear_.bias.zero_()
        x = torch.tensor([[[[3.0, 1.0]]]])  # normalised: (1, -1)
        audio = torch.tensor([[[[0.0, 5.0], [4.0, 2.0]]]])  # (-1, 1), (1, -1): mean 0
        vision = torch.tensor([[[[7.0, 6.0]]]])  # (1, -1) times 10
        seen = torch.ones(1, 1, 2, dtype=torch.bool)
        found = layer(x, (audio, seen), (vision, seen[..., :1]))
        # M = 0 + (1, -1) + (10, -10); LN(M) = (1, -1); ReLU: (1, 0)
        torch.testing.assert_close(found, torch.tensor([[[[12.0, -11.0]]]]), atol=1e-3, rtol=0)
        only_first = torch.tensor([[[True, False]]])
        found = layer(x, (audio, only_first), (vision, ~seen[..., :1]))
        # the second row of sound is padding, sight is missing: M = (-2, 2) + (1, -1)
        torch.testing.assert_close(found, torch.tensor([[[[-1.0, 2.0]]]]), atol=1e-3, rtol=0)


def batch_of(n=4, seeds=1, marks=None, missing=()):
    rng = RNG(5)
    values, masks = {}, {}
    for name, width in WIDTHS.items():
        lengths = rng.integers(1, LENGTHS[name] + 1, n)
        lengths[list(missing) if name == "vision" else []] = 0
        mask = np.arange(LENGTHS[name]) < lengths[:, None]
        rows = rng.normal(size=(n, LENGTHS[name], width)) * mask[..., None]
        values[name] = torch.from_numpy(rows.astype(np.float32)).expand(seeds, *rows.shape)
        masks[name] = torch.from_numpy(mask).expand(seeds, *mask.shape)
    if marks is not None:
        values["place"] = torch.zeros(seeds, n, LENGTHS["text"], 1)
        for i, place in enumerate(marks):
            if place is not None:
                values["place"][:, i, place] = 1.0
        masks["place"] = masks["text"]
    return Batch(values, masks, None)


def network(marks=False, seeds=(0,), **settings):
    specs = [InputSpec(name, name, width, "sequence", 50) for name, width in WIDTHS.items()]
    if marks:
        specs.append(InputSpec("place", "marks", 1, "sequence", 50))
    model = model_settings("kebr", **{"dropout": 0.0, "layers": 2, **settings})
    return network_class("kebr")(model, specs, ["M"], Streams(seeds))


def test_keys_and_values_of_every_layer_are_the_first_features_and_the_first_row_is_read():
    net, batch = network().eval(), batch_of()
    with torch.no_grad():
        out = net(batch)
        i = 2
        rows = {name: batch.values[name][0, i][batch.mask[name][0, i]].numpy() for name in WIDTHS}
        others = [rows[name] @ net.entry[name].weight.numpy()[0] for name in ("audio", "vision")]
        x = rows["text"]
        for layer in net.fusion:
            x = by_numpy(layer, x, others, text_based=True)
    np.testing.assert_allclose(out.hidden[0, i], x[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(out.predictions[0, i], linear(x[:1], net.score)[0], atol=1e-5)
    means = [x.mean(axis=0), *[rows.mean(axis=0) for rows in others]]
    for name, mean in zip(("audio", "vision"), means[1:], strict=True):
        cosine = means[0] @ mean / np.linalg.norm(means[0]) / np.linalg.norm(mean)
        assert float(out.watched[f"cosine/{name}"][0, i]) == pytest.approx(cosine, abs=1e-5)


def test_the_constraint_is_a_mean_over_those_that_have_both_modalities():
    net, batch = network(scale=2.0, penalty=0.1), batch_of(missing=(1,))
    cosines = net.eval()(batch).watched
    known = [0, 2, 3]
    audio, vision = (cosines[f"cosine/{name}"][0, known] for name in ("audio", "vision"))
    assert torch.isnan(cosines["cosine/vision"][0, 1])
    assert torch.isfinite(cosines["cosine/audio"][0, 1])
    out = net.train()(batch)
    assert not out.watched
    wanted = cosine_constraint(audio, vision, 2.0, 0.1).mean()
    torch.testing.assert_close(out.losses["mcc"], wanted[None])
    half = network(scale=2.0, penalty=0.1, mcc_weight=0.5).train()(batch)
    torch.testing.assert_close(half.losses["mcc"], wanted[None] / 2)
    assert network(mcc_weight=0).train()(batch).losses == {}
    nobody = network().train()(batch_of(n=2, missing=(0, 1)))
    assert float(nobody.losses["mcc"].detach()) == 0.0
    nobody.losses["mcc"].sum().backward()


def test_modalities_as_wide_as_the_text_are_taken_as_they_are():
    specs = [InputSpec(name, name, 6, "sequence", 50) for name in WIDTHS]
    net = network_class("kebr")(model_settings("kebr"), specs, ["M"], Streams([0]))
    assert not list(net.entry.parameters())


def test_pre_training_predicts_from_the_masked_token_by_two_layers():
    net, batch = network(marks=True).eval(), batch_of(marks=[0, None, 0, 1])
    mask = batch.mask["text"][0, 3]
    assert mask[1]
    with torch.no_grad():
        out = net(batch)
        inner = np.maximum(linear(out.hidden[0].numpy(), net.guess[0]), 0)
        wanted = linear(inner, net.guess[1])
    np.testing.assert_allclose(out.predictions[0, [0, 2, 3]], wanted[[0, 2, 3]], atol=1e-5)
    assert float(out.predictions[0, 1]) == 0.0  # it has no masked token
    plain = network().eval()
    plain.load_state_dict({**plain.state_dict(), **shared(net, plain)})
    rows = plain(batch).hidden
    torch.testing.assert_close(rows[0, [0, 2]], out.hidden[0, [0, 2]])
    assert (rows[0, 3] - out.hidden[0, 3]).abs().max() > 1e-2


def shared(net, other):
    there = other.state_dict()
    return {name: v for name, v in net.state_dict().items() if name in there}


def test_the_phases_differ_in_their_heads_alone():
    before, after = (set(network(marks=m).state_dict()) for m in (True, False))
    assert {name.split(".")[0] for name in before - after} == {"guess"}
    assert {name.split(".")[0] for name in after - before} == {"score"}


def marked(dataset):
    """The dataset with the text's first row marked, or none where the utterance's number is odd."""
    text = next(given.table for given in dataset.inputs if given.modality == "text")
    values = np.zeros((len(text.values), 1), np.float32)
    values[text.offsets[:-1:2], 0] = 1
    table = FeatureTable(text.ids, values, text.offsets, text.mask, text.times, ("masked",))
    return replace(dataset, inputs=(*dataset.inputs, Input("place", "marks", table)))


def fitted(dataset, name="kebr", **settings):
    given = {"seeds": 2, "epochs": 3, "batch_size": 10, "layers": 1}
    return fit(*fit_settings(name, **{**given, **settings}), dataset, ("M",), "sims")


def test_the_course_shows_the_cosines_with_and_without_the_constraint(dataset_of):
    dataset = dataset_of(tuple(WIDTHS), n=40)
    for weight in (0.0, 1.0):
        for seed in fitted(dataset, mcc_weight=weight).meta["seeds"]:
            assert list(seed["watched"]) == ["cosine/text", "cosine/audio", "cosine/vision"]
            values = np.array(list(seed["watched"].values()))
            assert values.shape == (3, 3)
            assert (np.abs(values) <= 1).all()


def test_a_text_without_its_masked_token_is_neither_learned_from_nor_scored(dataset_of):
    dataset = dataset_of(tuple(WIDTHS), n=40)
    done = fitted(marked(dataset), seeds=1, epochs=1)
    (note,) = [note for note in done.meta["notes"] if "no marked row" in note]
    assert note.startswith("20 utterances have a label and no marked row")
    kept = {name for i, name in enumerate(dataset.ids) if i % 2 == 0}
    scored = done.predictions[np.isfinite(done.predictions["truth"])]
    assert set(scored["id"]) == kept
    valid = scored[scored["split"] == "valid"]
    error = np.abs(valid["truth"] - valid["prediction"]).mean()
    assert done.meta["seeds"][0]["valid_metric"] == pytest.approx([error], rel=1e-5)
    whole = fitted(dataset, seeds=1, epochs=1)  # without marks all are
    assert np.isfinite(whole.predictions["truth"]).all()


def test_both_phases_can_be_fitted_with_an_encoder_and_without(dataset_of, encoded):
    plain = dataset_of(tuple(WIDTHS), n=40)
    for name in ("kebr", "kebr-encoder"):
        dataset = encoded(plain, name)
        first = fitted(marked(dataset), name, seeds=1, epochs=1).weights
        second = fitted(dataset, name, seeds=1, epochs=1).weights
        both = {n for n in first if n.startswith("net.")} & set(second)
        assert {n for n in both if first[n].shape == second[n].shape} == both
        assert any(n.startswith("net.encoder.") for n in both) is (name == "kebr-encoder")
        assert {n.split(".")[1] for n in both} >= {"entry", "fusion"}


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (["text", "audio"], "needs 3 inputs, each of another modality .*got .*audio"),
        (["text", "audio", "fused"], "needs 3 inputs"),
        (["text", "audio", "vision", "marks", "marks"], "one marked token, and 2 inputs mark some"),
        (["text", "audio", "marks"], "needs 3 inputs"),
    ],
)
def test_inputs_that_are_not_the_papers_are_refused(inputs, message):
    named = {f"n{i}": modality for i, modality in enumerate(inputs)}
    with pytest.raises(BadCall, match=message):
        model_settings("kebr").check(named, ["M"])


def test_marks_are_no_input_of_other_models():
    with pytest.raises(BadCall, match="needs 2 to 3 inputs, each of another modality out of text"):
        model_settings("mult").check({"a": "text", "b": "marks"}, ["M"])


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        (
            "kebr",
            {"scale": 0},
            "'scale' of 'kebr' must be greater than 0, not 0.0; .* mcc_weight: 0",
        ),
        ("kebr", {"mcc_weight": -1}, "must be at least 0"),
        ("kebr-encoder", {"encoder_lr": 0}, "'encoder_lr' of 'kebr-encoder' must be greater"),
    ],
)
def test_settings_out_of_range_are_refused(name, settings, message):
    with pytest.raises(BadCall, match=message):
        model_settings(name, **settings)
