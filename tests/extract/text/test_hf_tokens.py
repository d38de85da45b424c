import shutil

import numpy as np
import pytest

from affectflow.cache.errors import BadCall, BadInput, EmptyTranscript
from affectflow.cache.table import concat
from affectflow.extract.clip import Clip
from affectflow.extract.registry import extractor

TEXTS = ["The film was not good!", "very happy", "no 😀"]
LONG = " ".join(["love"] * 100)


@pytest.fixture
def hf_tokens(model_folder):
    return lambda kind="bert", **settings: extractor(
        "hf-tokens", model=str(model_folder(kind)), **settings
    )


@pytest.mark.parametrize("kind", ["bert", "roberta", "xlnet", "t5"])
def test_are_the_tokenizers_own(hf_tokens, model_folder, kind):
    from transformers import AutoTokenizer

    wanted = AutoTokenizer.from_pretrained(model_folder(kind))(TEXTS, return_token_type_ids=True)
    for text, ids, types in zip(TEXTS, wanted["input_ids"], wanted["token_type_ids"], strict=True):
        found = hf_tokens(kind)(text)
        assert found.columns == ("input_id", "token_type")
        np.testing.assert_array_equal(found.values, np.stack([ids, types], axis=1))


def test_ids_and_mask_of_a_corpus_as_a_model_takes_them(hf_tokens, model_folder):
    from transformers import AutoTokenizer

    encode = hf_tokens()
    table = concat(TEXTS, [encode(text) for text in TEXTS], encode.spec["values"])
    values, mask = table.padded()
    wanted = AutoTokenizer.from_pretrained(model_folder("bert"))(TEXTS, padding=True)
    np.testing.assert_array_equal(values[..., 0], wanted["input_ids"])
    np.testing.assert_array_equal(mask, wanted["attention_mask"])


def test_no_network_is_loaded_and_its_weights_do_not_count(hf_tokens, model_folder, tmp_path):
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(model_folder("bert") / name, tmp_path)
    bare = extractor("hf-tokens", model=str(tmp_path))
    assert "model.safetensors" not in hf_tokens().weights()
    assert set(bare.weights()) == {"config.json", "tokenizer.json", "tokenizer_config.json"}
    np.testing.assert_array_equal(bare(TEXTS[0]).values, hf_tokens()(TEXTS[0]).values)
    (tmp_path / "config.json").unlink()
    with pytest.raises(BadCall, match=r"has no config\.json$"):
        bare.weights()


def test_spans_point_at_the_characters(hf_tokens):
    found = hf_tokens()(TEXTS[1])
    np.testing.assert_array_equal(found["spans"].values, [[0, 0], [0, 4], [5, 10], [0, 0]])


def test_a_transcript_over_the_models_limit_is_an_error_or_cut(hf_tokens):
    message = "transcript of 'u' has 102 tokens, the limit is 64; set long to 'truncate'"
    with pytest.raises(BadInput, match=message):
        hf_tokens().extract(Clip(id="u", text=LONG))
    cut = hf_tokens(long="truncate")(LONG)
    assert len(cut) == 64
    assert cut.values[[0, -1], 0].tolist() == [2, 3]
    assert len(hf_tokens(long="truncate", max_length=8)(LONG)) == 8


def test_an_empty_transcript_is_said(hf_tokens):
    with pytest.raises(EmptyTranscript, match="'u' has no token in its transcript ' '"):
        hf_tokens().extract(Clip(id="u", text=" "))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": ""}, "model must be a folder or a name on the hub"),
        ({"long": "window"}, "long must be 'error' or 'truncate', not 'window'"),
        ({"max_length": 1}, "max_length must be at least 4 tokens, not 1"),
    ],
)
def test_refuses_settings_out_of_range(settings, message):
    with pytest.raises(BadCall, match=message):
        extractor("hf-tokens", **{"model": "m", **settings})
