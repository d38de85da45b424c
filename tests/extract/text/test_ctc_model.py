import json
import shutil

import numpy as np
import pytest

from affectflow.cache.errors import BadCall, BadInput
from affectflow.extract.text import ctc_model
from affectflow.extract.text.ctc_model import load_ctc

RATE = 16_000


def noise(seconds, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE), np.float32)


def directly(folder, samples):
    """Log-posteriors as transformers alone gives them."""
    import torch
    from transformers import AutoFeatureExtractor, AutoModelForCTC

    prepare = AutoFeatureExtractor.from_pretrained(folder)
    model = AutoModelForCTC.from_pretrained(folder).eval()
    with torch.no_grad():
        given = prepare(samples, sampling_rate=RATE, return_tensors="pt")
        logits = model(given[prepare.model_input_names[0]]).logits[0]
    return torch.log_softmax(logits, dim=-1).numpy()


@pytest.mark.parametrize("kind", ["wav2vec2", "wav2vec2-bert"])
def test_gives_what_the_model_itself_gives(ctc_folder, kind):
    samples = noise(1.3)
    found = load_ctc(ctc_folder(kind), "cpu").emissions(samples)
    np.testing.assert_allclose(found.log_probs, directly(ctc_folder(kind), samples), atol=1e-5)
    assert len(found.centres) == len(found.log_probs)


def test_only_the_columns_asked_for(ctc_folder):
    model = load_ctc(ctc_folder(), "cpu")
    everything = model.emissions(noise(1))
    found = model.emissions(noise(1), [0, 7, 5])
    np.testing.assert_array_equal(found.log_probs, everything.log_probs[:, [0, 7, 5]])


def test_frames_lie_in_the_middle_of_what_they_hear(ctc_folder):
    found = load_ctc(ctc_folder(), "cpu").emissions(noise(1))
    assert found.hop == pytest.approx(0.02)
    # 400 samples are heard at once, 320 are advanced
    np.testing.assert_allclose(found.centres, 0.0125 + 0.02 * np.arange(49))
    np.testing.assert_allclose(found.times([0, 3], [1, 5]), [[0.0025, 0.0225], [0.0625, 0.1025]])


def test_frames_of_a_model_of_spectra_divide_the_sound_evenly(ctc_folder):
    found = load_ctc(ctc_folder("wav2vec2-bert"), "cpu").emissions(noise(2))
    assert found.hop == pytest.approx(2 / len(found.centres))
    assert found.centres[0] == pytest.approx(found.hop / 2)
    assert found.centres[-1] == pytest.approx(2 - found.hop / 2)


def test_long_sound_is_heard_in_windows_without_a_seam(ctc_folder, monkeypatch):
    monkeypatch.setattr(ctc_model, "STEP", 2.0)
    monkeypatch.setattr(ctc_model, "CONTEXT", 1.0)
    model = load_ctc(ctc_folder(), "cpu")
    found = model.emissions(noise(9.013))
    # one grid, as if heard at once, up to what the last window has room for
    n = (round(9.013 * RATE) - 400) // 320 + 1
    np.testing.assert_allclose(found.centres, 0.0125 + 0.02 * np.arange(n), atol=1e-12)
    window = model.emissions(noise(9.013)[: round(4 * RATE)])
    assert len(window.centres) == 199  # 4 s are still one window


def test_too_little_sound_for_a_frame_is_refused(ctc_folder):
    with pytest.raises(BadInput, match="hears 25 ms at once, the sound has 10 ms"):
        load_ctc(ctc_folder(), "cpu").emissions(noise(0.01))


def test_a_model_without_a_ctc_head_is_refused(ctc_folder, tmp_path):
    import transformers as tf

    folder = tmp_path / "headless"
    shutil.copytree(ctc_folder(), folder)
    tf.Wav2Vec2ForCTC.from_pretrained(folder).wav2vec2.save_pretrained(folder)
    with pytest.raises(BadCall, match="lack 2 of the model's tensors, 'lm_head"):
        load_ctc(folder, "cpu")


def test_a_model_of_another_family_is_refused(ctc_folder, tmp_path):
    folder = tmp_path / "bert"
    shutil.copytree(ctc_folder(), folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(BadCall, match="cannot be loaded: .*BertConfig"):
        load_ctc(folder, "cpu")


def test_a_model_of_another_rate_is_refused(ctc_folder, tmp_path):
    folder = tmp_path / "rate"
    shutil.copytree(ctc_folder(), folder)
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "sampling_rate": 8000}))
    with pytest.raises(BadCall, match="hears 8000 Hz, not 16000 Hz"):
        load_ctc(folder, "cpu")


def test_a_model_that_does_not_say_how_sound_is_prepared_is_refused(ctc_folder, tmp_path):
    folder = tmp_path / "bare"
    shutil.copytree(ctc_folder(), folder)
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(BadCall, match="no preprocessor_config.json"):
        load_ctc(folder, "cpu")
