"""Tiny random speech encoders of each family, made with their real configuration classes."""

import json
import zlib

import numpy as np
import pytest

#: Kinds of `speech_folder`: families, and checkpoints of them that differ in how they are built.
SPEECH_KINDS = (
    *("hubert", "hubert-large", "hubert-batch-norm", "wav2vec2", "wav2vec2-large", "wavlm"),
    *("wavlm-large", "data2vec-audio", "unispeech", "unispeech-sat", "whisper"),
)
SIZE = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "conv_dim": (16,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
LARGE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}


def speech_configuration(kind):
    import transformers as tf

    if kind == "whisper":
        return tf.WhisperConfig(
            d_model=32,
            encoder_layers=3,
            encoder_attention_heads=2,
            encoder_ffn_dim=48,
            decoder_layers=1,
            decoder_attention_heads=2,
            decoder_ffn_dim=48,
            num_mel_bins=20,
            max_source_positions=100,
            vocab_size=50,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            decoder_start_token_id=3,
        )
    if kind == "data2vec-audio":
        return tf.Data2VecAudioConfig(
            **{**SIZE, "num_conv_pos_embeddings": 3}, conv_pos_kernel_size=7, mask_time_prob=0
        )
    family, *variant = kind.split("-", 1)
    kinds = {
        "hubert": tf.HubertConfig,
        "wav2vec2": tf.Wav2Vec2Config,
        "wavlm": tf.WavLMConfig,
        "unispeech": tf.UniSpeechSatConfig if variant == ["sat"] else tf.UniSpeechConfig,
    }
    more = LARGE if variant == ["large"] else {"feat_extract_norm": "group"}
    if variant == ["batch-norm"]:
        more = {"conv_pos_batch_norm": True}
    return kinds[family](**SIZE, **more)


def fill(model):
    """Random weights by name, so that they are the same in every version of the libraries."""
    import torch

    for name, parameter in sorted(model.state_dict().items()):
        if not parameter.dtype.is_floating_point:
            continue
        random = np.random.default_rng(zlib.crc32(name.encode()))
        values = random.standard_normal(tuple(parameter.shape)).astype(np.float32)
        fan_in = max(1, values[0].size) if values.ndim > 1 else 100
        values /= np.sqrt(fan_in)
        if "norm" in name and name.endswith("weight") or name.endswith(("original0", "var")):
            values = 1 + 0.1 * np.abs(values)
        parameter.copy_(torch.from_numpy(values))


def save_speech(folder, kind, model=None):
    import transformers as tf

    made = tf.AutoModel.from_config(speech_configuration(kind)) if model is None else model
    fill(made)
    made.eval().save_pretrained(folder)
    if kind == "whisper":
        tf.WhisperFeatureExtractor(feature_size=20, chunk_length=2).save_pretrained(folder)
    else:
        large = kind.endswith("-large")  # as the real ones: they were trained with a mask
        prepare = tf.Wav2Vec2FeatureExtractor(
            do_normalize=kind != "wavlm", return_attention_mask=large
        )
        prepare.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def speech_folder(tmp_path_factory):
    """Folder of a tiny random speech model of a kind, one of `SPEECH_KINDS`, made once."""
    made = {}

    def make(kind="hubert"):
        if kind not in made:
            made[kind] = save_speech(tmp_path_factory.mktemp(kind), kind)
        return made[kind]

    return make


def speech_like(seconds, seed=0, rate=16000):
    """Gliding harmonics with pauses and noise, (n_samples,) float32 within full scale."""
    random = np.random.default_rng(seed)
    times = np.arange(round(seconds * rate)) / rate
    pitch = 120 + 40 * np.sin(2 * np.pi * 1.3 * times + seed)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    voice = sum(np.sin(k * phase) / k for k in range(1, 12))
    envelope = np.clip(np.sin(2 * np.pi * 2.1 * times + seed), 0, None)
    noise = 0.01 * random.standard_normal(len(times))
    return (0.2 * envelope * voice + noise).astype(np.float32)


@pytest.fixture(scope="session")
def speech():
    """The function `speech_like`."""
    return speech_like


@pytest.fixture(scope="session")
def save_speech_model():
    """The function `save_speech`: random weights of a kind to a folder."""
    return save_speech


@pytest.fixture(scope="session")
def edit_json():
    """Change entries of a JSON file."""

    def edit(path, **entries):
        path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))

    return edit
