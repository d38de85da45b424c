import shutil

import numpy as np
import pytest
import torch

from affectflow.cache.errors import BadCall
from affectflow.extract.audio.cut import cached_layer
from affectflow.extract.audio.upper import upper_speech
from affectflow.extract.clip import Clip, Waveform
from affectflow.extract.cut import is_cut, upper_of
from affectflow.extract.registry import extractor

KINDS = ("hubert", "hubert-large", "wav2vec2", "wavlm", "wavlm-large", "data2vec-audio")


def made(folder, **settings):
    return extractor("hf-speech", **{"model": str(folder), "dtype": "float32", **settings})


def clips(speech):
    for i, seconds in enumerate((1.3, 0.35, 0.9)):
        clip = Clip(id=f"u{i}", media=f"u{i}.wav")
        clip._audio[16000] = Waveform(np.asarray(speech(seconds, seed=i), np.float32), 16000)
        yield clip


@pytest.mark.parametrize(
    ("kind", "k"),
    [(kind, 0) for kind in KINDS] + [(kind, 1) for kind in KINDS if "wavlm" not in kind],
)
def test_cached_states_and_the_layers_above_give_the_models_output(speech_folder, speech, kind, k):
    folder = speech_folder(kind)
    lower = made(folder, layer=k)
    cached = [torch.from_numpy(f.values) for f in lower.many(list(clips(speech)))]
    wanted = [f.values for f in made(folder).many(list(clips(speech)))]
    states = torch.nn.utils.rnn.pad_sequence(cached, batch_first=True)
    mask = torch.arange(states.shape[1]) < torch.tensor([[len(c)] for c in cached])
    before = states.clone()
    with torch.no_grad():
        found = upper_of(lower)(states, mask).numpy()
    assert torch.equal(states, before)
    for row, values in enumerate(wanted):
        limit = 1e-5 * np.abs(values).max()
        np.testing.assert_allclose(found[row, : len(values)], values, atol=limit, rtol=0)


def test_wavlms_bias_of_positions_comes_from_its_first_layer(speech_folder):
    with pytest.raises(BadCall, match="'wavlm' cannot be cut at layer 1"):
        upper_speech(speech_folder("wavlm"), 1)


def test_the_layers_above_learn_and_those_below_are_gone(speech_folder):
    upper = upper_speech(speech_folder("hubert"), 1)
    assert (upper.width, upper.stride, upper.summary, len(upper.blocks())) == (32, 1, "mean", 2)
    names = [name for name, _ in upper.named_parameters()]
    assert {name.split(".")[2] for name in names} == {"0", "1"}  # encoder.layers.N
    upper(torch.randn(2, 3, 32), torch.ones(2, 3, dtype=torch.bool)).sum().backward()
    assert all(p.grad is not None for p in upper.parameters())


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("hubert", {}, "must have layer: 0 .* to 2, one that other layers stand above, not 'last'"),
        ("hubert", {"layer": [0, 1]}, r"must have layer: 0 .* not \(-4, -3\)"),
        ("hubert", {"layer": 9}, "has layers 0 to 3, not 9"),
        ("hubert", {"layer": 0, "level": "mean"}, "must have level: frame .* not mean"),
        ("whisper", {"layer": 0}, "is of the family 'whisper', which always reads 30 s"),
    ],
)
def test_says_what_the_layers_above_cannot_go_on_from(speech_folder, kind, settings, message):
    with pytest.raises(BadCall, match=f"hf-speech of '.*{kind}.*' {message}"):
        cached_layer(made(speech_folder(kind), **settings))


def test_only_a_layer_below_others_is_gone_on_from(speech_folder):
    folder = speech_folder("hubert")
    assert is_cut(made(folder, layer=0))
    assert not is_cut(made(folder))
    assert not is_cut(made(folder, layer=[0, 1]))  # several, averaged: features as they are
    assert not is_cut(extractor("librosa-33"))


def test_other_weights_give_other_layers(speech_folder, tmp_path):
    folder = shutil.copytree(speech_folder("hubert"), tmp_path / "other")
    from transformers import AutoModel

    torch.manual_seed(1)
    model = AutoModel.from_pretrained(folder)
    torch.nn.init.normal_(model.encoder.layers[2].final_layer_norm.weight)
    model.save_pretrained(folder)
    states, mask = torch.randn(1, 4, 32), torch.ones(1, 4, dtype=torch.bool)
    with torch.no_grad():
        one, two = (upper_speech(f, 2)(states, mask) for f in (speech_folder("hubert"), folder))
    assert not torch.allclose(one, two, atol=1e-3)
