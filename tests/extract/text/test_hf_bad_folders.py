import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from affectflow.cache.errors import BadCall
from affectflow.extract.registry import extractor


@pytest.fixture
def folder(model_folder, tmp_path):
    """A copy of the tiny BERT that a test may spoil."""
    return shutil.copytree(model_folder("bert"), tmp_path / "model")


def encode(folder, **settings):
    return extractor("hf-text", model=str(folder), **settings)("love")


def configure(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_pickle_of_tensors_is_read_where_there_are_no_safetensors(folder):
    import torch
    from safetensors.torch import load_file

    wanted = encode(folder).values
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert "pytorch_model.bin" in extractor("hf-text", model=str(folder)).weights()
    np.testing.assert_array_equal(encode(folder).values, wanted)


class Evil:
    def __reduce__(self):
        return (print, ("code was run",))


def test_a_pickle_that_holds_more_than_tensors_is_refused(folder, capsys):
    import torch

    torch.save({"a": Evil()}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(BadCall, match="cannot be loaded: .*[Ww]eights.only"):
        encode(folder)
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Evil(), protocol=2))
    with pytest.raises(BadCall, match="cannot be loaded"):
        encode(folder)
    assert "code was run" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["model.pkl", "tf_model.h5", "weights.pt"])
def test_weights_of_another_format_are_named(folder, name):
    (folder / "model.safetensors").rename(folder / name)
    message = f"no model.safetensors. '{name}' is not read: save the model with save_pretrained"
    with pytest.raises(BadCall, match=message):
        encode(folder)


def test_weights_of_another_size_are_named_with_both_shapes(folder):
    configure(folder, intermediate_size=48)
    message = r"are not of the model in its config.json: 'encoder.layer.0.*' is \(64,.*not \(48,"
    with pytest.raises(BadCall, match=message):
        encode(folder)


def test_a_width_that_the_model_does_not_give(folder):
    import transformers as tf

    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "ffn_dim": 64}
    n_ids = json.loads((folder / "config.json").read_text())["vocab_size"]
    config = tf.OPTConfig(**size, vocab_size=n_ids, word_embed_proj_dim=16)
    tf.OPTModel(config).save_pretrained(folder)
    with pytest.raises(BadCall, match="promises states of 32 columns, the model gives 16"):
        encode(folder)


@pytest.mark.parametrize("layer", [1, (-1, -2)])
def test_layers_of_a_model_that_has_more_than_its_configuration_says(folder, layer):
    configure(folder, encoder_layers=1)  # a name that other families read
    with pytest.raises(BadCall, match="promises 1 layers, the model gives 2"):
        encode(folder, layer=layer)


def test_a_model_that_only_reads_texts_of_one_length(folder):
    import transformers as tf

    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4}
    n_ids = json.loads((folder / "config.json").read_text())["vocab_size"]
    config = tf.NystromformerConfig(**size, vocab_size=n_ids, num_landmarks=8)
    tf.NystromformerModel(config).save_pretrained(folder)
    with pytest.raises(BadCall, match=r"\(nystromformer\) does not encode text alone: shape"):
        encode(folder)


def test_a_sentencepiece_tokenizer_names_the_packages_that_it_needs(folder, monkeypatch):
    from transformers.utils import import_utils

    (folder / "tokenizer.json").unlink()
    (folder / "spm.model").write_bytes(b"")
    monkeypatch.setattr(import_utils, "is_sentencepiece_available", lambda: False)
    with pytest.raises(BadCall, match=r"is spm\.model, .*: pip install sentencepiece protobuf; or"):
        encode(folder)


def test_a_broken_file_of_weights_is_said(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(BadCall, match="the model in .* cannot be loaded"):
        encode(folder)


@pytest.mark.parametrize("family", ["deberta", "xlnet", "llama"])
def test_a_configuration_of_another_family_does_not_fit_the_weights(folder, family):
    configure(folder, model_type=family)
    with pytest.raises(BadCall, match="the weights in .* lack .* tensors|cannot be loaded"):
        encode(folder)


def test_a_family_that_nobody_knows(folder):
    configure(folder, model_type="nonsense")
    with pytest.raises(BadCall, match="cannot be loaded: .*nonsense"):
        encode(folder)


def test_a_model_that_reads_no_text(model_folder, folder):
    import transformers as tf

    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4}
    tf.ViTModel(tf.ViTConfig(**size, image_size=8, patch_size=4)).save_pretrained(folder)
    with pytest.raises(BadCall, match="is of the family 'vit', which does not encode text al"):
        encode(folder)


def test_a_model_that_needs_more_than_text(folder):
    import transformers as tf

    text = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "vocab_size": 100}
    sight = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4}
    config = tf.CLIPConfig(text_config=text, vision_config=sight, projection_dim=32)
    tf.CLIPModel(config).save_pretrained(folder)
    with pytest.raises(BadCall, match="is of the family 'clip', which does not encode text a"):
        encode(folder)


def test_a_configuration_that_is_no_json(folder):
    (folder / "config.json").write_text("{")
    with pytest.raises(BadCall, match=r"config\.json is not valid JSON"):
        encode(folder)


def test_a_tokenizer_that_cannot_be_read(folder):
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(BadCall, match="the tokenizer in .* cannot be loaded"):
        encode(folder)


def test_code_that_comes_with_a_model_is_not_run(folder, capsys):
    configure(folder, auto_map={"AutoModel": "evil.Model", "AutoConfig": "evil.Config"})
    (folder / "evil.py").write_text("print('code was run')\nModel = Config = None\n")
    encode(folder)
    assert "code was run" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["hf-text", "hf-tokens"])
@pytest.mark.parametrize("left", [{}, {"vocab.json": '{"love": 0}'}, {"merges.txt": "l o"}])
def test_a_tokenizer_without_its_vocabulary(folder, name, left):
    (folder / "tokenizer.json").unlink()
    for file, content in left.items():
        (folder / file).write_text(content)
    message = r"no tokenizer that is whole: beside \S+ it needs tokenizer.json, or vocab.txt, or"
    with pytest.raises(BadCall, match=message):
        extractor(name, model=str(folder)).weights()
    with pytest.raises(BadCall, match=message):
        extractor(name, model=str(folder))("love")


@pytest.mark.parametrize("name", ["hf-text", "hf-tokens"])
@pytest.mark.parametrize(
    ("kind", "file"), [("Bert", "vocab.txt"), ("Bert", "spm.model"), ("XLMRoberta", "vocab.txt")]
)
def test_a_vocabulary_that_is_empty_or_another_familys(folder, name, kind, file):
    (folder / "tokenizer.json").unlink()
    (folder / file).write_text("" if kind == "Bert" else "love\nfilm\n")
    settings = {"tokenizer_class": f"{kind}Tokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(BadCall, match="has no vocabulary: its . tokens are all special|cannot be"):
        extractor(name, model=str(folder))("love")


DAMAGED = (b"", b"{", b"{}", b"[]", b"\xff", b'{"weight_map": {"a": 3}}', b'{"weight_map": []}')


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_index_of_shards(folder, content):
    (folder / "model.safetensors.index.json").write_bytes(content)
    with pytest.raises(BadCall, match=r"model.safetensors.index.json (is damaged|is not|does not)"):
        extractor("hf-text", model=str(folder)).weights()


def test_a_download_that_broke_off_is_finished_the_vocabulary_last(folder, tmp_path, monkeypatch):
    from affectflow.extract import hf_folder

    cache = shutil.copytree(folder, tmp_path / "cache")
    (cache / "tokenizer.json").unlink()
    fetched = []

    def hub_files(model, commit, patterns):
        files = [file for pattern in patterns for file in folder.glob(pattern)]
        fetched.extend(shutil.copy(file, cache) for file in files)
        return cache

    monkeypatch.setattr(hf_folder, "hub_commit", lambda model, revision: "c" * 40)
    monkeypatch.setattr(hf_folder, "cached_file", lambda model, name, commit: cache / name)
    monkeypatch.setattr(hf_folder, "hub_file", lambda model, name, commit: cache / name)
    monkeypatch.setattr(hf_folder, "hub_files", hub_files)
    found = extractor("hf-text", model="nobody/bert")("love")
    np.testing.assert_array_equal(found.values, encode(folder).values)
    names = [Path(file).name for file in fetched]
    assert names.index("tokenizer_config.json") < names.index("tokenizer.json")
    fetched.clear()
    extractor("hf-tokens", model="nobody/bert")("love")
    assert not fetched


def test_shards_count_whatever_they_are_called(folder):
    (folder / "model.safetensors").rename(folder / "part.safetensors")
    index = {"weight_map": {"a": "part.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "part.safetensors" in extractor("hf-text", model=str(folder)).weights()
