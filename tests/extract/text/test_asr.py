import json
import shutil

import numpy as np
import pytest

from affectflow.cache.errors import BadCall, BadInput, InputWarning
from affectflow.extract.clip import Clip, Waveform
from affectflow.extract.registry import extractor
from affectflow.extract.text.transcript import as_text
from affectflow.extract.text.words import word_spans

RATE = 16_000


class Sound(Clip):
    """A clip whose sound is given."""

    def __init__(self, samples, name="u"):
        super().__init__(id=name, media=f"{name}.wav")
        self.samples = samples.astype(np.float32)

    def audio(self, rate):
        return Waveform(self.samples, rate)


def noise(seconds, seed=0):
    """Bursts of coloured noise."""
    random = np.random.default_rng(seed)
    n = round(seconds * RATE)
    gate = np.repeat(random.random(n // 4000 + 1) < 0.6, 4000)[:n]
    sound = 0.3 * np.cumsum(random.standard_normal(n)) / 50 % 1 * gate
    return 0.5 * (sound - gate * sound.sum() / max(gate.sum(), 1))


@pytest.fixture(params=["whisper", "ctc"])
def asr(request, whisper_folder, ctc_folder):
    folder = whisper_folder if request.param == "whisper" else ctc_folder()
    return extractor("asr", model=str(folder))


@pytest.fixture
def whisper(whisper_folder):
    return lambda **settings: extractor("asr", model=str(whisper_folder), **settings)


@pytest.fixture
def changed(whisper_folder, tmp_path):
    """A copy of the Whisper with other values in one of its files."""

    def change(file="generation_config.json", **values):
        folder = tmp_path / "changed"
        shutil.copytree(whisper_folder, folder)
        kept = json.loads((folder / file).read_text()) | values
        known = {name: value for name, value in kept.items() if value is not None}
        (folder / file).write_text(json.dumps(known))
        return extractor("asr", model=str(folder))

    return change


def test_rows_are_the_words_of_the_transcript(asr):
    found = asr(Sound(noise(3)))
    text = as_text(found)
    assert text == text.strip() != ""
    np.testing.assert_array_equal(found["spans"].values, word_spans(text))
    assert found.columns == ("confidence",)
    assert ((found.values > 0) & (found.values <= 1)).all()
    assert (found.times[:, 1] >= found.times[:, 0]).all()
    assert (np.diff(found.times[:, 0]) >= 0).all()
    assert 0 <= found.times.min() <= found.times.max() <= 3


def test_the_same_alone_and_among_others(asr):
    sounds = [Sound(noise(s, k), f"u{k}") for k, s in enumerate((1, 3, 0.3, 2, 5))]
    for sound, found in zip(sounds, asr.many(sounds), strict=True):
        alone = asr.extract(sound)
        assert as_text(found) == as_text(alone)
        np.testing.assert_allclose(found.values, alone.values, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.times, alone.times)


def test_silence_is_an_empty_transcript(asr):
    with pytest.warns(InputWarning, match="the sound is zero throughout"):
        found = asr(Sound(np.zeros(RATE)))
    assert as_text(found) == ""
    assert len(found) == len(found["spans"]) == 0


def test_too_little_sound_is_refused_and_the_others_are_heard(asr):
    found = list(asr.many([Sound(noise(1)), Sound(np.ones(10), "short"), Sound(noise(1))]))
    assert isinstance(found[1], BadInput)
    assert "'asr' needs at least 25 ms of sound, 'short' has 1 ms" in str(found[1])
    assert as_text(found[0]) == as_text(found[2])


def directly(folder, samples, language="en"):
    """Text, token probabilities and start times as transformers alone gives them."""
    import torch
    import transformers as tf
    from transformers.models.whisper import generation_whisper as library

    model = tf.WhisperForConditionalGeneration.from_pretrained(
        folder, attn_implementation="eager"
    ).eval()
    tokenizer = tf.AutoTokenizer.from_pretrained(folder)
    prepare = tf.AutoFeatureExtractor.from_pretrained(folder)
    features = prepare(samples, sampling_rate=RATE, return_tensors="pt").input_features
    with torch.no_grad():
        tokens = model.generate(
            features, return_timestamps=True, language=language, task="transcribe",
            force_unique_generate_call=True,
        )[0].tolist()  # fmt: skip
        end = tokenizer.eos_token_id
        text = [token for token in tokens[3:] if token < end]
        ids = torch.tensor([[*tokens[:3], model.generation_config.no_timestamps_token_id, *text]])
        out = model(features, decoder_input_ids=ids, output_attentions=True)
    chances = out.logits[0, 3:-1, :end].softmax(-1)
    chances = chances[torch.arange(len(text)), torch.tensor(text)]
    heads = model.generation_config.alignment_heads
    looks = torch.stack([out.cross_attentions[layer][0, head] for layer, head in heads])
    looks = looks[..., : len(samples) // 320]
    looks = looks / looks.sum(-1, keepdim=True)
    looks = (looks - looks.mean(1, keepdim=True)) / looks.std(1, keepdim=True, unbiased=False)
    looks = library._median_filter(looks, model.config.median_filter_width).mean(0)[3:]
    rows, frames = library._dynamic_time_warping(-looks.double().numpy())
    starts = frames[np.diff(rows, prepend=-1) > 0] * 0.02
    return tokenizer.decode(text), chances.numpy(), starts


def test_gives_what_the_model_itself_gives(whisper, whisper_folder):
    samples = noise(4, 1).astype(np.float32)
    text, chances, starts = directly(whisper_folder, samples)
    found = whisper(language="en")(Sound(samples))
    assert as_text(found) == text.strip()
    assert len(found) > 2
    assert found.times[0, 0] == pytest.approx(starts[0])
    assert found.times[-1, 1] == pytest.approx(starts[-1])
    assert set(found.times[:, 0].round(6)) <= set(starts.round(6))
    lengths = [b - a for a, b in found["spans"].values]
    assert sum(lengths) <= len(text)
    assert chances.min() - 1e-5 <= found.values.min() <= found.values.max() <= chances.max() + 1e-5


def test_a_language_that_is_not_named_is_heard(whisper):
    sound = Sound(noise(2))
    named = {as_text(whisper(language=code)(sound)) for code in ("en", "zh")}
    assert as_text(whisper()(sound)) in named


def test_heads_may_be_taken_from_the_upper_half(whisper, changed):
    silent = changed(alignment_heads=None)
    with pytest.raises(BadCall, match="names no alignment_heads.* set heads to 'upper'"):
        silent(Sound(noise(1)))
    found = extractor("asr", model=silent.model, heads="upper")(Sound(noise(1)))
    assert as_text(found) == as_text(whisper()(Sound(noise(1))))


def test_a_window_without_speech_is_passed_over(whisper):
    sound = Sound(noise(2))
    kept, dropped = whisper(no_speech=1.0)(sound), whisper(no_speech=0.0)(sound)
    assert len(kept) > 0
    assert np.log(kept.values).mean() < -1  # the tokens of random weights are unlikely
    assert len(dropped) == 0


def test_long_sound_is_heard_to_its_end(whisper):
    found = whisper(language="en")(Sound(noise(65)))
    assert (np.diff(found.times[:, 0]) >= 0).all()
    assert found.times.max() <= 65
    assert found.times.max() > 60


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": ""}, "model must be a folder"),
        ({"task": "sing"}, "task must be 'transcribe' or 'translate', not 'sing'"),
        ({"heads": "best"}, "heads must be 'own' or 'upper'"),
        ({"precision": "int8"}, "precision must be 'float32'"),
        ({"no_speech": 2}, "no_speech must lie in .0, 1., not 2"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(BadCall, match=message):
        extractor("asr", **{"model": "m", **settings})


def test_a_language_that_the_model_does_not_know_is_refused(whisper):
    with pytest.raises(BadCall, match="knows no language 'xx' .en, zh."):
        whisper(language="xx")(Sound(noise(1)))


def test_a_model_of_one_language_takes_no_other(changed):
    english = changed(lang_to_id=None, task_to_id=None, is_multilingual=False)
    assert english(Sound(noise(1))).columns == ("confidence",)
    with pytest.raises(BadCall, match="knows English alone"):
        extractor("asr", model=english.model, task="translate")(Sound(noise(1)))


def test_a_ctc_model_takes_no_language(ctc_folder):
    with pytest.raises(BadCall, match="is a CTC model, which has no settings language"):
        extractor("asr", model=str(ctc_folder()), language="en")(Sound(noise(1)))


def test_a_whisper_without_its_generation_settings_is_refused(whisper_folder, tmp_path, changed):
    with pytest.raises(BadCall, match="names no no_timestamps_token_id"):
        changed(no_timestamps_token_id=None)(Sound(noise(1)))
    folder = tmp_path / "bare"
    shutil.copytree(whisper_folder, folder)
    (folder / "generation_config.json").unlink()
    with pytest.raises(BadCall, match="no generation_config.json"):
        extractor("asr", model=str(folder)).weights()


def test_a_feature_extractor_of_another_window_is_refused(changed):
    model = changed("preprocessor_config.json", chunk_length=10, n_samples=160000)
    with pytest.raises(BadCall, match="reads windows of 480000 samples at 16000 Hz, its feature"):
        model(Sound(noise(1)))


def test_what_generates_counts_towards_the_fingerprint(whisper):
    assert {"generation_config.json", "preprocessor_config.json"} < set(whisper().weights())


def test_an_offset_is_warned_of(asr):
    with pytest.warns(InputWarning, match="'u': the sound has a DC offset of"):
        asr(Sound(0.2 + noise(1)))
