import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from affectflow.cache.errors import BadCall
from affectflow.extract.clip import Clip
from affectflow.extract.registry import extractor
from affectflow.extract.text.upper import upper_layers

TEXTS = ["The film was not good, but we all love this song!", "very happy", "so much love"]
CAN = (
    "bert",
    "roberta",
    "electra",
    "deberta",
    "deberta-v2",
    "deberta-v2-conv",
    "xlnet",
    "t5",
    "convbert",
)


@pytest.mark.parametrize("kind", [*CAN, "gpt2", "llama", "qwen2"])
@pytest.mark.parametrize("k", [0, 1])
def test_cached_states_and_the_layers_above_give_the_models_output(model_folder, kind, k):
    import torch

    folder = str(model_folder(kind))
    clips = [Clip(id=str(i), text=text) for i, text in enumerate(TEXTS)]
    settings = {"model": folder, "dtype": "float32"}
    cached = [f.values for f in extractor("hf-text", layer=k, **settings).many(clips)]
    wanted = [f.values for f in extractor("hf-text", **settings).many(clips)]
    length = max(map(len, cached))
    states = torch.zeros(len(cached), length, cached[0].shape[1])
    mask = torch.zeros(len(cached), length, dtype=torch.bool)
    for row, values in enumerate(cached):
        states[row, : len(values)] = torch.from_numpy(values)
        mask[row, : len(values)] = True
    with torch.no_grad():
        found = upper_layers(model_folder(kind), k)(states, mask).numpy()
    for row, values in enumerate(wanted):
        limit = 1e-5 * np.abs(values).max()
        np.testing.assert_allclose(found[row, : len(values)], values, atol=limit, rtol=0)


def test_the_layers_above_learn_and_those_below_are_gone(model_folder):
    import torch

    upper = upper_layers(model_folder("bert"), 1)
    names = [name for name, _ in upper.named_parameters()]
    assert {name.split(".")[:4][-1] for name in names} == {"0"}
    assert not any("embeddings" in name or "pooler" in name for name in names)
    upper(torch.randn(2, 3, 32), torch.ones(2, 3, dtype=torch.bool)).sum().backward()
    assert all(p.grad is not None for p in upper.parameters())


@pytest.mark.parametrize(
    "kind", ["bert", "roberta", "electra", "deberta", "deberta-v2", "xlnet", "convbert"]
)
def test_the_layers_above_can_be_trained_in_mixed_precision(model_folder, kind):
    import torch

    upper = upper_layers(model_folder(kind), 1)
    states = torch.randn(2, 3, 32, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[True, True, True], [True, True, False]])
    with torch.autocast("cpu", torch.bfloat16):
        mixed = upper(states, mask).float()
    whole = upper(states, mask)
    assert (mixed - whole)[mask].abs().max() < 0.05 * whole[mask].abs().max()
    mixed.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in upper.parameters() if p.grad is not None)


def test_convberts_padding_is_kept_out_of_gradients_that_are_made_again(model_folder):
    import torch

    from affectflow.train.models.copies import forget

    upper = upper_layers(model_folder("convbert"), 0)
    states = torch.randn(2, 6, 32, generator=torch.Generator().manual_seed(0))
    mask = torch.arange(6) < torch.tensor([[6], [4]])
    found = []
    for padding in (0.0, 1.0):
        for again in (False, True):
            module = copy.deepcopy(upper)
            for block in module.blocks() if again else ():
                forget(block)
            module(states + padding * ~mask[..., None], mask)[mask].square().sum().backward()
            found.append([p.grad for p in module.parameters()])
    for other in found[1:]:
        for one, same in zip(found[0], other, strict=True):
            torch.testing.assert_close(one, same, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("k", [2, -1])
def test_says_which_layers_there_are(model_folder, k):
    with pytest.raises(BadCall, match=f"has layers 0 to 2, none above layer {k}"):
        upper_layers(model_folder("bert"), k)


def test_refuses_a_family_whose_layers_need_more_than_the_states(model_folder):
    with pytest.raises(BadCall, match="models of the family 'bart' cannot be cut at layer 1"):
        upper_layers(model_folder("bart"), 1)


def test_xlnets_layers_see_the_types_that_its_tokenizer_gives(model_folder, tmp_path):
    import torch

    folder = Path(shutil.copytree(model_folder("xlnet"), tmp_path / "typed"))
    told = json.loads((folder / "tokenizer_config.json").read_text())
    names = ["input_ids", "token_type_ids", "attention_mask"]
    (folder / "tokenizer_config.json").write_text(json.dumps({**told, "model_input_names": names}))
    cached, wanted, plain = (
        torch.from_numpy(extractor("hf-text", model=str(m), layer=k, dtype="float32")("so").values)
        for m, k in ((folder, 0), (folder, "last"), (model_folder("xlnet"), "last"))
    )
    upper = upper_layers(folder, 0)
    assert upper.ending == (0, 2)  # [SEP], [CLS]
    padded = torch.cat([cached, torch.ones(2, 32)])[None]
    mask = torch.arange(len(padded[0]))[None] < len(cached)
    with torch.no_grad():
        found = upper(padded, mask)[0, : len(cached)]
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
    assert (wanted - plain).abs().max() > 1e-3  # types make a difference


@pytest.mark.parametrize("kind", ["convbert", "deberta", "deberta-v2-conv"])
def test_the_first_of_the_layers_above_give_that_layers_states(model_folder, kind):
    import torch

    folder = model_folder(kind)
    cached, wanted = (
        torch.from_numpy(
            extractor("hf-text", model=str(folder), layer=k, dtype="float32")(t).values
        )
        for k, t in ((0, TEXTS[0]), (1, TEXTS[0]))
    )
    whole = upper_layers(folder, 0)
    fewer = whole.first(1)
    n_weights = [sum(p.numel() for p in one.parameters()) for one in (whole, fewer)]
    with torch.no_grad():
        found = fewer(cached[None], torch.ones(1, len(cached), dtype=torch.bool))[0]
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
    assert n_weights[1] < n_weights[0] == sum(p.numel() for p in whole.parameters())
    with pytest.raises(BadCall, match="3 layers of a text model .* only 2 stand above .* deeper"):
        whole.first(3)
