import pickle
import shutil
import zipfile

import numpy as np
import pytest

from affectflow.cache.errors import BadCall
from affectflow.extract.audio.speech_model import load_speech
from affectflow.extract.registry import extractor


@pytest.fixture
def copied(speech_folder, tmp_path):
    return lambda kind="hubert": shutil.copytree(speech_folder(kind), tmp_path / "model")


def values_of(folder, tone_wav):
    return extractor("hf-speech", model=str(folder), dtype="float32")(tone_wav).values


def test_a_folder_without_weights_is_said(copied):
    folder = copied()
    (folder / "model.safetensors").unlink()
    with pytest.raises(BadCall, match="is not a whole Hugging Face model: no model.safetensors$"):
        extractor("hf-speech", model=str(folder)).weights()


def test_a_folder_without_the_feature_extractor_is_said(copied):
    folder = copied()
    (folder / "preprocessor_config.json").unlink()
    made = extractor("hf-speech", model=str(folder))
    with pytest.raises(BadCall, match="does not say how its sound is normalised: it needs a prepr"):
        _ = made.needs
    with pytest.raises(BadCall, match="not a whole Hugging Face model: no preprocessor_config"):
        made.weights()


@pytest.mark.parametrize("kind", ["bert", "wav2vec2-conformer", None])
def test_a_configuration_of_another_family_is_said(copied, edit_json, kind):
    folder = copied()
    edit_json(folder / "config.json", model_type=kind)
    with pytest.raises(BadCall, match=f"is of the family '{kind}', which is no speech encoder tha"):
        _ = extractor("hf-speech", model=str(folder)).spec


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"conv_kernel": None}, "lacks conv_kernel: it is not whole"),
        ({"num_hidden_layers": None, "conv_stride": None}, "lacks conv_stride, num_hidden_layers"),
        ({"conv_stride": [5, 2]}, "has not a stride for each kernel"),
    ],
)
def test_a_configuration_that_is_not_whole_is_said(copied, edit_json, entries, message):
    folder = copied()
    edit_json(folder / "config.json", **entries)
    with pytest.raises(BadCall, match=message):
        _ = extractor("hf-speech", model=str(folder)).spec


@pytest.mark.parametrize("rate", ["sixteen", 0, -8000, 16000.5, None])
def test_a_rate_that_is_none_is_said(copied, edit_json, rate):
    folder = copied()
    edit_json(folder / "preprocessor_config.json", sampling_rate=rate)
    with pytest.raises(BadCall, match=f"sampling_rate must be a whole number of Hz, not {rate!r}"):
        _ = extractor("hf-speech", model=str(folder)).needs


def test_a_feature_extractor_of_another_family_is_said(copied, speech_folder):
    folder = copied()
    shutil.copy(speech_folder("whisper") / "preprocessor_config.json", folder)
    with pytest.raises(BadCall, match="prepared by 'Wav2Vec2FeatureExtractor', not 'WhisperF"):
        _ = extractor("hf-speech", model=str(folder)).needs


def test_weights_of_another_family_are_said(copied, speech_folder, tone_wav):
    folder = copied()
    shutil.copy(speech_folder("whisper") / "model.safetensors", folder)
    with pytest.raises(BadCall, match="lack .* of the model's tensors, '.*they would be random"):
        values_of(folder, tone_wav)


def test_weights_of_another_size_are_said(copied, edit_json, tone_wav):
    folder = copied()
    edit_json(folder / "config.json", intermediate_size=24)
    with pytest.raises(BadCall, match="(the model|weights) in .* (cannot be loaded: |are not of)"):
        values_of(folder, tone_wav)


def test_an_adapter_that_shortens_the_output_is_said(copied, edit_json):
    folder = copied("wav2vec2")
    edit_json(folder / "config.json", add_adapter=True)
    with pytest.raises(BadCall, match="shortens its output by an adapter .* set add_adapter to"):
        _ = extractor("hf-speech", model=str(folder)).spec


def as_pickle(folder):
    import torch
    from safetensors.torch import load_file

    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "pytorch_model.bin")


def test_a_pickle_of_tensors_is_read(copied, speech_folder, tone_wav):
    folder = copied()
    as_pickle(folder)
    np.testing.assert_array_equal(values_of(folder, tone_wav), values_of(speech_folder(), tone_wav))


class Trap:
    """Unpickled, it would make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_pickle_with_anything_else_is_refused_and_not_run(copied, tmp_path, tone_wav):
    folder = copied()
    as_pickle(folder)
    weights = folder / "pytorch_model.bin"
    with zipfile.ZipFile(weights) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(weights, "w") as archive:
        for name, data in entries.items():
            trap = pickle.dumps({"a": Trap(tmp_path / "trap")}, protocol=2)
            archive.writestr(name, trap if name.endswith("data.pkl") else data)
    with pytest.raises(BadCall, match="the model in .* cannot be loaded: "):
        values_of(folder, tone_wav)
    assert not (tmp_path / "trap").exists()


def test_code_that_comes_with_a_model_is_not_run(copied, edit_json, speech_folder, tone_wav):
    folder = copied()
    edit_json(folder / "config.json", auto_map={"AutoModel": "evil.Model"})
    (folder / "evil.py").write_text("raise SystemExit('run')")
    np.testing.assert_array_equal(values_of(folder, tone_wav), values_of(speech_folder(), tone_wav))


@pytest.mark.parametrize("head", ["HubertForCTC", "HubertForSequenceClassification"])
def test_of_a_model_with_a_head_the_encoder_is_taken(
    tmp_path, save_speech_model, speech_folder, tone_wav, head
):
    import transformers as tf

    config = tf.AutoConfig.from_pretrained(speech_folder())
    model = getattr(tf, head)(config)
    save_speech_model(tmp_path / "head", "hubert", model)
    load = load_speech(tmp_path / "head", "cpu", "float32", 3)
    assert not hasattr(load.network, "lm_head")
    whole = dict(model.hubert.state_dict())
    norm = "encoder.layers.1.final_layer_norm.bias"
    np.testing.assert_array_equal(load.network.state_dict()[norm], whole[norm])
    assert values_of(tmp_path / "head", tone_wav).shape == (99, 32)


def test_a_checkpoint_of_dimensions_of_emotion_is_an_encoder(copied, speech_folder, tone_wav):
    """Names of tensors as in checkpoints of wav2vec 2.0 with a regression head of its own."""
    from safetensors.numpy import load_file, save_file

    folder = copied("wav2vec2-large")
    tensors = load_file(folder / "model.safetensors")
    tensors = {f"wav2vec2.{name}": values for name, values in tensors.items()}
    tensors["classifier.dense.weight"] = np.zeros((32, 32), np.float32)
    tensors["classifier.out_proj.weight"] = np.zeros((3, 32), np.float32)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    np.testing.assert_array_equal(
        values_of(folder, tone_wav), values_of(speech_folder("wav2vec2-large"), tone_wav)
    )


def test_old_names_of_the_positional_weights_are_known(copied, speech_folder, tone_wav):
    from safetensors.numpy import load_file, save_file

    folder = copied()
    tensors = load_file(folder / "model.safetensors")
    stem = "encoder.pos_conv_embed.conv"
    for new, old in (("original0", "weight_g"), ("original1", "weight_v")):
        tensors[f"{stem}.{old}"] = tensors.pop(f"{stem}.parametrizations.weight.{new}")
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    np.testing.assert_array_equal(values_of(folder, tone_wav), values_of(speech_folder(), tone_wav))


def test_a_model_is_loaded_once_for_each_precision_and_depth(speech_folder):
    folder = speech_folder()
    one = load_speech(folder, "cpu", "float32", 3)
    assert load_speech(folder, "cpu", "float32", 3) is one
    assert load_speech(folder, "cpu", "float32", 1) is not one
    assert load_speech(folder, "cpu", "bfloat16", 3) is not one


def test_a_path_without_a_folder_is_not_looked_up_on_the_hub():
    with pytest.raises(BadCall, match=r"'\./nothing' is not a folder with a Hugging Face model"):
        extractor("hf-speech", model="./nothing").weights()


def test_a_hub_that_cannot_be_reached_gives_the_mend():
    message = r"^model 'our/nothing' \(revision 'main'\) is no loc.*Off line, set model to a "
    with pytest.raises(BadCall, match=message + "folder with config.json"):
        _ = extractor("hf-speech", model="our/nothing").needs


def test_a_model_in_the_hubs_cache_is_its_commit_without_asking_the_hub(
    speech_folder, fetched, tone_wav
):
    commit = "0123456789abcdef0123456789abcdef01234567"
    fetched(speech_folder(), "our/hubert", commit)
    encode = extractor("hf-speech", model="our/hubert")
    assert dict(encode.weights()) == {"commit": commit}
    assert encode(tone_wav).values.shape == (99, 32)
