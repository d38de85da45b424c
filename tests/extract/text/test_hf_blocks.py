import numpy as np
import pytest

from affectflow.cache.errors import BadCall
from affectflow.extract.clip import Clip
from affectflow.extract.registry import extractor
from affectflow.extract.text.hf_encoder import load_encoder
from affectflow.extract.text.upper import upper_layers

#: Of 4 to 27 tokens: attention in blocks begins above 14 ((5 + 2 random) * block of 2).
TEXTS = [
    "very happy",
    "it was the end and the film was so very very good and we all love it so much",
    "so much love",
    "it was the end and the film was so very very good and we all love it",
    "the film was not good but we all love this song",
    "the film was not good but we all love this song and it",
    "the film was not good but we all love this song and all",
]


def afresh(folder, text, layer):
    """What a model gives that has not read a text before, (n, D)."""
    import torch
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    model = AutoModel.from_pretrained(folder).eval()
    model = model.get_encoder() if model.config.is_encoder_decoder else model
    given = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    given.pop("token_type_ids", None)
    with torch.no_grad():
        out = model(**given, output_hidden_states=True)
    states = out.last_hidden_state if layer == "last" else out.hidden_states[layer]
    return states[0, : given["input_ids"].shape[1]].numpy()


@pytest.mark.parametrize("kind", ["big-bird", "bigbird-pegasus"])
@pytest.mark.parametrize("layer", ["last", 1])
def test_long_texts_are_read_in_blocks_whatever_was_read_before(model_folder, kind, layer):
    folder = model_folder(kind)
    encode = extractor("hf-text", model=str(folder), layer=layer, dtype="float32")
    together = list(encode.many([Clip(id=text, text=text) for text in TEXTS]))
    for text, found in zip(TEXTS, together, strict=True):
        wanted = afresh(folder, text, layer)
        np.testing.assert_allclose(found.values, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


def test_layers_of_texts_in_blocks_can_be_averaged(model_folder):
    folder = model_folder("big-bird")
    encode = extractor("hf-text", model=str(folder), layer=(1, 2), dtype="float32")
    text = [text for text in TEXTS if len(encode(text)) % 2][-1]  # filled up to whole blocks
    wanted = (afresh(folder, text, 1) + afresh(folder, text, "last")) / 2
    found = encode(text).values
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


def test_blocks_make_a_difference(model_folder):
    encoder = load_encoder(model_folder("big-bird"), "cpu")
    assert encoder.dense == 14
    tokens = encoder.tokens(TEXTS[1])
    (blocks,) = encoder.states([tokens], None)
    encoder.dense = 64
    (full,) = encoder.states([tokens], None)
    encoder.dense = 14
    assert np.abs(blocks - full).max() > 1e-3 * np.abs(full).max()
    assert load_encoder(model_folder("bert"), "cpu").dense is None


def test_a_model_with_blocks_is_not_cut_for_training(model_folder):
    with pytest.raises(BadCall, match="'big_bird' cannot be cut at a layer: long texts attend in"):
        upper_layers(model_folder("big-bird"), 1)
