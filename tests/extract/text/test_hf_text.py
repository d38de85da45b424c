import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from affectflow.cache.errors import BadCall, BadInput, EmptyTranscript
from affectflow.cache.keys import settings_of
from affectflow.extract.clip import Clip
from affectflow.extract.registry import extractor

SHARED = Path(__file__).parents[4] / "shared"
KINDS = (
    *("bert", "roberta", "xlm-r", "electra", "deberta", "deberta-v2", "deberta-v2-conv", "xlnet"),
    *("convbert", "t5", "bart"),
)
DECODERS = ("gpt2", "llama", "qwen2", "qwen3")
TEXTS = [
    "The film was not good, but we all love this song!",
    "very happy",
    "so much love",
    "no end",
    "it was the end and the film was so very very good and we all love it so much",
    "happy",
]


def clips(texts=TEXTS):
    return [Clip(id=f"u{i}", text=text) for i, text in enumerate(texts)]


@pytest.fixture
def hf_text(model_folder):
    """An ``hf-text`` on a tiny model of a kind."""
    return lambda kind="bert", **settings: extractor(
        "hf-text", model=str(model_folder(kind)), **settings
    )


@pytest.mark.parametrize("kind", [*KINDS, *DECODERS])
@pytest.mark.parametrize("layer", ["last", (-2, -1)])
def test_many_at_once_are_the_same_numbers_as_one_by_one(hf_text, kind, layer):
    encode = hf_text(kind, layer=layer)
    for clip, found in zip(clips(), encode.many(clips()), strict=True):
        alone = encode.extract(clip)
        limit = 1e-5 * np.abs(alone.values).max()
        assert np.abs(found.values - alone.values).max() <= limit
        np.testing.assert_allclose(found.values, alone.values, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [*KINDS, *DECODERS])
def test_gives_what_the_model_itself_gives_one_by_one(hf_text, model_folder, kind):
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = model_folder(kind)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()
    if kind in ("t5", "bart"):
        model = model.get_encoder()
    takes_types = "token_type_ids" in tokenizer.model_input_names
    for layer in ("last", 0, 1):
        many = hf_text(kind, layer=layer).many(clips())
        for text, found in zip(TEXTS, many, strict=True):
            given = tokenizer(text, return_tensors="pt", return_token_type_ids=takes_types)
            with torch.no_grad():
                out = model(**given, output_hidden_states=True)
            wanted = out.last_hidden_state if layer == "last" else out.hidden_states[layer]
            limit = 1e-5 * float(wanted.abs().max())
            np.testing.assert_allclose(found.values, wanted[0].numpy(), atol=limit, rtol=0)


def test_a_model_that_sees_its_padding_gets_batches_of_equal_length(hf_text, model_folder):
    from affectflow.extract.text.hf_encoder import load_encoder

    pads = {kind: load_encoder(model_folder(kind), "cpu").pads for kind in KINDS}
    assert pads.pop("convbert") is False
    assert set(pads.values()) == {True}


def test_texts_share_rows_where_a_mask_keeps_them_apart(model_folder):
    from affectflow.extract.text.hf_encoder import load_encoder

    first = {kind: load_encoder(model_folder(kind), "cpu").first_position for kind in KINDS}
    sharing = {"bert": 0, "electra": 0, "roberta": 2, "xlm-r": 2}
    assert first == {kind: sharing.get(kind) for kind in KINDS}


def test_decoders_are_told_from_encoders(model_folder):
    from affectflow.extract.text.hf_encoder import load_encoder

    for kind in KINDS + DECODERS:
        assert load_encoder(model_folder(kind), "cpu").causal is (kind in DECODERS)


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_spans_point_at_the_characters(hf_text, kind):
    text = "So good 😀, love!"
    found = hf_text(kind, special=False).extract(Clip(id="u", text=text))
    pieces = [text[a:b].strip() for a, b in found["spans"].values]
    assert pieces[0] == "So" or pieces[0] == "S"
    assert "😀" in pieces
    assert pieces[-1] == "!"


def test_tokens_that_the_tokenizer_adds_are_flagged_or_left_out(hf_text):
    kept = hf_text().extract(clips()[1])
    np.testing.assert_array_equal(kept["tokens"].values[:, 1], [1, 0, 0, 1])
    np.testing.assert_array_equal(kept["tokens"].values[[0, -1], 0], [2, 3])
    np.testing.assert_array_equal(kept["spans"].values, [[0, 0], [0, 4], [5, 10], [0, 0]])
    bare = hf_text(special=False).extract(clips()[1])
    np.testing.assert_array_equal(bare.values, kept.values[1:-1])


@pytest.mark.parametrize(("kind", "row"), [("bert", 0), ("roberta", 0), ("xlnet", -1)])
def test_the_classification_token_alone(hf_text, kind, row):
    whole = hf_text(kind).extract(clips()[0])
    alone = hf_text(kind, level="cls").extract(clips()[0])
    np.testing.assert_array_equal(alone.values, whole.values[[row]])


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_layer_is_the_output_and_several_are_averaged(hf_text, kind):
    clip = clips()[0]
    last = hf_text(kind, layer=-1).extract(clip).values
    np.testing.assert_allclose(hf_text(kind).extract(clip).values, last, atol=1e-6)
    first = hf_text(kind, layer=1).extract(clip).values
    both = hf_text(kind, layer=[1, -1]).extract(clip).values
    np.testing.assert_allclose(both, (first + last) / 2, atol=1e-6)
    assert np.abs(first - last).max() > 0.01


def test_a_model_without_a_classification_token_has_no_such_level(hf_text):
    with pytest.raises(BadCall, match="adds no classification token"):
        hf_text("gpt2", level="cls")("love")


LONG = " ".join(["the film was so very good we all love it"] * 10)  # 100 words


def test_a_transcript_over_the_limit_is_an_error_that_names_the_ways_out(hf_text):
    message = "transcript of 'u' has 102 tokens, the limit is 64; set long to 'window' or 'tru"
    with pytest.raises(BadInput, match=message):
        hf_text().extract(Clip(id="u", text=LONG))


def test_truncate_keeps_the_first_tokens_between_the_added_ones(hf_text):
    found = hf_text(long="truncate").extract(Clip(id="u", text=LONG))
    assert len(found) == 64
    np.testing.assert_array_equal(np.flatnonzero(found["tokens"].values[:, 1]), [0, 63])
    head = " ".join(LONG.split()[:62])
    np.testing.assert_allclose(
        found.values, hf_text().extract(Clip(id="u", text=head)).values, atol=1e-5
    )


def test_windows_give_every_token_once(hf_text):
    found = hf_text(long="window").extract(Clip(id="u", text=LONG))
    words = [LONG[a:b] for a, b in found["spans"].values[1:-1]]
    assert words == LONG.split()
    head = hf_text(long="truncate").extract(Clip(id="u", text=LONG))
    np.testing.assert_allclose(found.values[:30], head.values[:30], atol=1e-5)
    tail = hf_text().extract(Clip(id="u", text=" ".join(LONG.split()[-62:])))
    np.testing.assert_allclose(found.values[-30:], tail.values[-30:], atol=1e-5)


def test_max_length_lowers_the_limit(hf_text):
    with pytest.raises(BadInput, match="has 15 tokens, the limit is 8"):
        hf_text(max_length=8).extract(clips()[0])


def test_robertas_positions_start_behind_the_padding(model_folder):
    from affectflow.extract.text.hf_encoder import load_encoder

    assert load_encoder(model_folder("roberta"), "cpu").limit == 64  # a table of 66
    assert load_encoder(model_folder("gpt2"), "cpu").limit == 64
    assert load_encoder(model_folder("deberta-v2"), "cpu").limit is None


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_transcript_is_said_and_the_others_go_on(hf_text, text):
    good, bad = hf_text().many(clips(["love", text]))
    assert len(good) == 3
    assert isinstance(bad, EmptyTranscript)
    assert "'u1' has no token in its transcript" in str(bad)


def test_half_a_surrogate_pair_is_no_text_and_the_others_go_on(hf_text):
    good, bad = hf_text().many(clips(["love", "so \ud83d"]))
    assert len(good) == 3
    assert isinstance(bad, BadInput)
    assert "is no text: surrogates not allowed" in str(bad)


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_special_tokens_that_a_transcript_spells_out_change_no_other(hf_text, kind):
    texts = ["love [PAD] <pad> [SEP] </s> it", *TEXTS[1:4]]
    encode = hf_text(kind, dtype="float32")
    for clip, found in zip(clips(texts), encode.many(clips(texts)), strict=True):
        np.testing.assert_allclose(found.values, encode.extract(clip).values, atol=1e-5)


def test_a_tokenizers_own_truncation_and_padding_do_not_count(model_folder, tmp_path):
    folder = shutil.copytree(model_folder("bert"), tmp_path / "model")
    path = folder / "tokenizer.json"
    made = json.loads(path.read_text())
    made["truncation"] = {
        **{"direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0}
    }
    made["padding"] = {
        **{"strategy": {"Fixed": 16}, "direction": "Right", "pad_to_multiple_of": None},
        **{"pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"},
    }
    path.write_text(json.dumps(made))
    encode = extractor("hf-text", model=str(folder))
    assert len(encode("the film was good")) == 6
    assert len(encode("the film was so very good and happy")) == 10


def test_is_stored_as_float16_but_t5_as_float32(hf_text):
    assert hf_text().spec["values"].dtype == "float16"
    assert hf_text("t5").spec["values"].dtype == "float32"
    assert hf_text(dtype="float32").spec["values"].dtype == "float32"
    found = hf_text()("love")
    assert found.values.dtype == np.float16
    assert found.values.shape == (3, 32)


def test_the_weights_are_the_files_that_matter(hf_text, model_folder):
    (model_folder("bert") / "README.md").write_text("not a weight")
    names = set(hf_text().weights())
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert "README.md" not in names


def test_where_the_model_lies_is_not_one_of_its_settings(hf_text):
    assert set(settings_of(hf_text())) & {"model", "revision"} == set()


def test_refuses_weights_that_are_not_whole(model_folder, tmp_path):
    from safetensors.numpy import load_file, save_file

    folder = shutil.copytree(model_folder("bert"), tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    del tensors["encoder.layer.1.output.dense.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(BadCall, match="lack 1 of the model's tensors, 'encoder.layer.1.output"):
        extractor("hf-text", model=str(folder))("love")


def test_refuses_a_tokenizer_of_another_model(model_folder, tmp_path):
    folder = shutil.copytree(model_folder("bert"), tmp_path / "model")
    shutil.copy(model_folder("roberta") / "tokenizer.json", folder)
    with pytest.raises(BadCall, match="has 3.. tokens, the model only .*do not belong together"):
        extractor("hf-text", model=str(folder))("love")


@pytest.mark.parametrize(
    ("left", "lacks"),
    [
        ((), "no config.json and no tokenizer and no model.safetensors"),
        (("config.json", "tokenizer.json"), "no model.safetensors"),
        (("config.json", "model.safetensors"), "no tokenizer"),
    ],
)
def test_says_what_a_folder_lacks(model_folder, tmp_path, left, lacks):
    for name in left:
        shutil.copy(model_folder("bert") / name, tmp_path)
    with pytest.raises(BadCall, match=f"is not a whole Hugging Face model: {lacks}$"):
        extractor("hf-text", model=str(tmp_path)).weights()


def test_a_missing_shard_is_named(model_folder, tmp_path):
    folder = shutil.copytree(model_folder("bert"), tmp_path / "model")
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(BadCall, match="no model-00001-of-00002.safetensors"):
        extractor("hf-text", model=str(folder)).weights()


def test_a_path_without_a_folder_is_not_looked_up_on_the_hub():
    with pytest.raises(BadCall, match=r"'\./nothing' is not a folder with a Hugging Face model"):
        extractor("hf-text", model="./nothing").weights()


def test_off_line_a_model_of_the_hub_gives_the_mend():
    message = (
        r"^model 'our/nothing' \(revision 'main'\) is no local folder.*Off line, set model to a "
    )
    with pytest.raises(BadCall, match=message + "folder with config.json"):
        extractor("hf-text", model="our/nothing").weights()


def test_a_model_in_the_hubs_cache_is_its_commit_without_asking_the_hub(model_folder, fetched):
    commit = "0123456789abcdef0123456789abcdef01234567"
    fetched(model_folder("bert"), "our/bert", commit)
    encode = extractor("hf-text", model="our/bert")
    assert dict(encode.weights()) == {"commit": commit}
    assert encode("love").values.shape == (3, 32)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layer": "first"}, "layer must be 'last' or whole numbers, not 'first'"),
        ({"layer": []}, r"layer must be 'last' or whole numbers, not \(\)"),
        ({"level": "clause"}, "level must be 'token' or 'word' or 'cls' or 'mean', not 'clause'"),
        ({"combine": "sum"}, "combine must be 'mean' or 'concat', not 'sum'"),
        ({"precision": "int8"}, "precision must be 'float32' or 'bfloat16' or 'float16', not 'int"),
        ({"long": "cut"}, "long must be 'error' or 'truncate' or 'window', not 'cut'"),
        ({"dtype": "int8"}, "dtype must be 'auto' or 'float16' or 'float32', not 'int8'"),
        ({"max_length": 2}, "max_length must be at least 4 tokens, not 2"),
        ({"model": ""}, "model must be a folder or a name on the hub"),
    ],
)
def test_refuses_settings_out_of_range(settings, message):
    with pytest.raises(BadCall, match=message):
        extractor("hf-text", **{"model": "m", **settings})


def test_refuses_a_layer_that_the_model_does_not_have(hf_text):
    with pytest.raises(BadCall, match=r"has layers 0 \(embeddings\) to 2, not 3"):
        hf_text(layer=3)("love")
    with pytest.raises(BadCall, match=r"to 2, not -4"):  # known before anything runs
        hf_text(layer=(-4, -1)).spec["values"]


def test_golden_values_of_version_2(hf_text):
    found = hf_text().extract(clips()[1])
    assert hf_text().version == 2
    expected = [1.18682, -0.47849, 1.62844, 2.14668, 0.97187, -0.40938]
    np.testing.assert_allclose(found.values[1, :6], expected, atol=1e-3)


@pytest.mark.parametrize("name", ["bert-base-chinese", "bert-base-uncased"])
@pytest.mark.skipif(not (SHARED / "tokenizers").exists(), reason="needs the shared tokenizers")
def test_real_vocabularies_give_spans_of_the_text(tmp_path, name):
    import torch
    from transformers import BertConfig, BertModel

    folder = shutil.copytree(SHARED / "tokenizers" / name, tmp_path / name)
    size = json.loads((folder / "config.json").read_text())["vocab_size"]
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=size,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )
    BertModel(config).save_pretrained(folder)
    text = "我很高兴，not unhappy!"
    found = extractor("hf-text", model=str(folder), special=False)(text)
    pieces = [text[a:b] for a, b in found["spans"].values]
    assert "".join(pieces) == text.replace(" ", "")
    assert pieces[:2] == ["我", "很"]
