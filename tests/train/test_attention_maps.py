from functools import partial

import numpy as np
import pytest
import torch

from affectflow.cache.table import FeatureTable
from affectflow.train.attention_maps import _keep_text, _text_layers, attention_maps
from affectflow.train.dataset import Input
from affectflow.train.fit import fit
from affectflow.train.models.attention import Attention
from affectflow.train.models.copies import Copies
from affectflow.train.registry import model_settings
from affectflow.train.seeds import Streams
from affectflow.train.training import Training


def first(given):
    """The input of the first utterance alone."""
    table, n = given.table, int(given.table.lengths[0])
    part = FeatureTable(
        table.ids[:1], table.values[:n], np.array([0, n]), table.mask[:n], table.times[:n]
    )
    return Input(given.name, given.modality, part)


def test_weights_are_those_that_the_layer_applies():
    torch.manual_seed(0)
    layer = Attention(4, 2, 0.0, Streams([0]))
    asks, answers = torch.randn(1, 1, 3, 4), torch.randn(1, 1, 5, 4)
    seen = torch.tensor([True, True, True, False, False]).view(1, 1, 1, 5)
    weights = layer.looks_at(asks, answers, seen)
    assert weights.shape == (1, 1, 3, 5)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(1, 1, 3))
    assert (weights[..., 3:] == 0).all()
    query, key = layer.query(asks)[0, 0], layer.key(answers)[0, 0]
    by_hand = [
        torch.softmax(query[:, k : k + 2] @ key[:3, k : k + 2].T / 2**0.5, dim=-1) for k in (0, 2)
    ]
    torch.testing.assert_close(weights[0, 0, :, :3], (by_hand[0] + by_hand[1]) / 2)


@pytest.mark.parametrize(("name", "n_maps"), [("mult", 4), ("sf", 0)])
def test_each_stack_of_attention_layers_has_a_map_without_padding(dataset_of, name, n_maps):
    data = dataset_of(("text", "audio"), tasks=("M",))
    settings = model_settings(name, **({"units": 4, "heads": 2} if name == "mult" else {}))
    training = Training(seeds=(0,), epochs=1, batch_size=16)
    fitted = fit(settings, training, data, ("M",), "sims")
    one = [first(given) for given in data.inputs]
    maps = attention_maps(fitted.weights, fitted.meta, one)
    assert len(maps) == n_maps
    if n_maps:
        lengths = {given.name: given.table.lengths[0] for given in one}
        found = {m.name: m.weights for m in maps}
        names = [given.name for given in data.inputs]
        pair = found[f"{names[0]} looks at {names[1]}"]
        assert pair.shape == (lengths[names[0]], lengths[names[1]])
        np.testing.assert_allclose(pair.sum(axis=1), 1, atol=1e-5)


def test_a_trained_text_model_shows_what_its_first_and_last_layers_apply():
    transformers = pytest.importorskip("transformers")
    size = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8, "vocab_size": 9}
    torch.manual_seed(0)
    config = transformers.BertConfig(**size, num_hidden_layers=3, attn_implementation="eager")
    model = transformers.BertModel(config).eval()

    class Whole(torch.nn.Module):
        """As ``extract`` hands a text model over."""

        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, states, mask):
            return self.model(inputs_embeds=states, attention_mask=mask.long()).last_hidden_state

    net = Copies(Whole(), Streams([0])).eval()
    layers = _text_layers(net)
    assert list(layers) == ["trained layer 1 of 3", "trained layer 3 of 3"]
    found = {}
    for name, layer in layers.items():
        layer.query.register_forward_pre_hook(partial(_keep_text, found, name, layer))
    states, mask = torch.randn(1, 5, 8), torch.ones(1, 5, dtype=torch.bool)
    with torch.no_grad():
        net(states[None], mask[None])
        wanted = model(inputs_embeds=states, output_attentions=True).attentions
    for name, k in (("trained layer 1 of 3", 0), ("trained layer 3 of 3", 2)):
        weights = found["text looks at text", name]
        np.testing.assert_allclose(weights, wanted[k][0].mean(dim=0).numpy(), atol=1e-6)
