import shutil

import numpy as np
import pytest

from affectflow.cache.errors import BadCall, BadInput, InputWarning
from affectflow.cache.keys import settings_of
from affectflow.cache.records import Features
from affectflow.extract.audio import hf_speech as module
from affectflow.extract.audio.speech_recording import Recording
from affectflow.extract.audio.speech_rows import Window
from affectflow.extract.clip import Clip, Waveform
from affectflow.extract.registry import extractor

KINDS = (
    *("hubert", "hubert-large", "hubert-batch-norm", "wav2vec2", "wav2vec2-large", "wavlm"),
    *("wavlm-large", "data2vec-audio", "unispeech", "unispeech-sat", "whisper"),
)
#: Seconds of the utterances that share a batch.
SECONDS = (1.3, 0.35, 0.9, 1.1, 0.025, 1.3)


def clip_of(samples, name="u", rate=16000):
    """A clip whose sound is decoded already."""
    clip = Clip(id=name, media=f"{name}.wav")
    clip._audio[rate] = Waveform(np.asarray(samples, np.float32), rate)
    return clip


@pytest.fixture
def sounds(speech):
    return [speech(seconds, seed=i) for i, seconds in enumerate(SECONDS)]


def clips_of(sounds):
    return [clip_of(samples, f"u{i}") for i, samples in enumerate(sounds)]


@pytest.fixture
def hf_speech(speech_folder):
    """An ``hf-speech`` that stores float32, on a tiny model of a kind."""
    return lambda kind="hubert", **settings: extractor(
        "hf-speech", **{"model": str(speech_folder(kind)), "dtype": "float32", **settings}
    )


def states_of(folder, samples, precision="float32", rate=16000):
    """Hidden states of one sound by transformers alone, first to last; the last is its output."""
    import torch
    from transformers import AutoFeatureExtractor, AutoModel

    model = AutoModel.from_pretrained(folder, dtype=getattr(torch, precision)).eval()
    prepare = AutoFeatureExtractor.from_pretrained(folder)
    ready = prepare(samples, sampling_rate=rate, return_tensors="pt")
    sound = ready.pop(model.main_input_name).to(model.dtype)
    whisper = model.config.model_type == "whisper"
    network = model.get_encoder() if whisper else model
    with torch.no_grad():
        out = network(sound, **ready, output_hidden_states=True)
    n = -(-len(samples) // 320) if whisper else None
    states = [*out.hidden_states[:-1], out.last_hidden_state]
    return [state[0, :n].float().numpy() for state in states]


def assert_same(found, wanted):
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max()
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Support for mismatched:UserWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_gives_what_transformers_gives_one_by_one(hf_speech, speech_folder, sounds, kind):
    for samples, found in zip(sounds, hf_speech(kind).many(clips_of(sounds)), strict=True):
        assert_same(found.values, states_of(speech_folder(kind), samples)[-1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layer", [0, (1, 3)])
def test_many_at_once_are_the_same_numbers_as_one_by_one(hf_speech, sounds, kind, layer):
    encode = hf_speech(kind, layer=layer)
    together = encode.many(clips_of(sounds))
    for clip, found in zip(clips_of(sounds), together, strict=True):
        assert_same(found.values, encode.extract(clip).values)


@pytest.mark.parametrize("kind", ["hubert", "wavlm", "data2vec-audio", "whisper"])
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precisions_keep_to_their_tolerance(hf_speech, speech_folder, sounds, kind, precision):
    encode = hf_speech(kind, precision=precision)
    together = list(encode.many(clips_of(sounds)))
    for clip, found, samples in zip(clips_of(sounds), together, sounds, strict=True):
        alone = encode.extract(clip).values
        largest = np.abs(alone).max()
        assert np.abs(found.values - alone).max() <= 3e-2 * largest
        exact = states_of(speech_folder(kind), samples)[-1]
        assert np.abs(found.values - exact).mean() <= 3e-2 * np.abs(exact).mean()


@pytest.mark.filterwarnings("ignore:Support for mismatched:UserWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_layers_are_those_of_transformers(hf_speech, speech_folder, speech, kind):
    samples = speech(0.5)
    wanted = states_of(speech_folder(kind), samples)
    for layer in (0, 2, -1, -4):
        found = hf_speech(kind, layer=layer).extract(clip_of(samples)).values
        np.testing.assert_allclose(found, wanted[layer], rtol=1e-4, atol=1e-5)
    mean = hf_speech(kind, layer=[1, 1, -1]).extract(clip_of(samples)).values
    np.testing.assert_allclose(mean, (2 * wanted[1] + wanted[-1]) / 3, rtol=1e-4, atol=1e-5)


def test_layers_above_the_highest_one_are_not_computed(speech_folder):
    from affectflow.extract.audio.speech_model import load_speech

    assert len(load_speech(speech_folder(), "cpu", "float32", 2).encoder.layers) == 2


@pytest.mark.parametrize(
    ("kind", "samples", "n"), [("hubert", 400, 1), ("hubert", 719, 1), ("hubert", 720, 2)]
)
def test_number_of_rows_is_the_models_own(hf_speech, speech, kind, samples, n):
    assert len(hf_speech(kind).extract(clip_of(speech(samples / 16000)))) == n


def test_times_are_what_the_convolutions_see(hf_speech, speech):
    times = hf_speech().extract(clip_of(speech(1.0))).times
    np.testing.assert_allclose(times[:2], [[0, 0.025], [0.020, 0.045]])
    assert times[-1, 1] <= 1.0
    assert hf_speech().spec["values"].hop == pytest.approx(0.020)


def test_times_of_whisper_lie_around_a_grid_of_20_ms(hf_speech, speech):
    found = hf_speech("whisper").extract(clip_of(speech(1.01)))
    assert len(found) == 51
    np.testing.assert_allclose(found.times.mean(axis=1), np.arange(51) * 0.020, atol=1e-12)
    np.testing.assert_allclose(np.diff(found.times, axis=1), 0.065)


def test_a_row_sees_the_samples_that_its_times_say(speech_folder, speech):
    """The convolutions alone: a change of one sample changes exactly the rows that span it."""
    import torch
    from transformers import AutoModel

    model = AutoModel.from_pretrained(speech_folder("hubert-large")).eval()
    rows = extractor("hf-speech", model=str(speech_folder("hubert-large")))._rows()
    sound = speech(0.5)
    changed = sound.copy()
    changed[3333] += 0.5
    with torch.no_grad():
        before, after = (model.feature_extractor(torch.tensor(s[None])) for s in (sound, changed))
    moved = np.flatnonzero((before != after).any(dim=1)[0].numpy())
    start, end = (rows.times(before.shape[2]) * 16000).round().T
    np.testing.assert_array_equal(moved, np.flatnonzero((start <= 3333) & (end > 3333)))


@pytest.mark.parametrize("kind", ["hubert", "whisper"])
def test_mean_is_that_of_the_utterances_own_rows(hf_speech, sounds, kind):
    frames = hf_speech(kind).many(clips_of(sounds))
    means = hf_speech(kind, level="mean").many(clips_of(sounds))
    for frame, mean, samples in zip(frames, means, sounds, strict=True):
        np.testing.assert_allclose(mean.values[0], frame.values.mean(axis=0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(mean.times, [[0, len(samples) / 16000]])
    assert hf_speech(kind, level="mean").spec["values"].hop is None


@pytest.mark.filterwarnings("ignore:Support for mismatched:UserWarning")
def test_windows_of_a_long_sound_are_the_models_own_numbers(hf_speech, speech_folder, speech):
    sound = speech(7.0)  # 349 rows; 149 fit into 3 s, so there are four windows of 125
    found = hf_speech("wavlm", window=3.0, overlap=1.0).extract(clip_of(sound)).values
    cuts = [0, 100, 174, 249, 349]
    for i, start in enumerate((0, 74, 149, 224)):
        piece = sound[start * 320 : (start + 124) * 320 + 400] if i < 3 else sound[start * 320 :]
        states = states_of(speech_folder("wavlm"), piece)[-1]
        kept = slice(cuts[i] - start, cuts[i + 1] - start)
        assert_same(found[cuts[i] : cuts[i + 1]], states[kept])


@pytest.mark.parametrize("kind", ["hubert-large", "data2vec-audio"])
def test_seams_are_no_steps(hf_speech, speech, kind):
    """Rows change at a seam as much as elsewhere, and are near those of the sound read whole."""
    sound = speech(8.0)
    whole = hf_speech(kind).extract(clip_of(sound)).values
    cut = hf_speech(kind, window=3.0, overlap=1.5).extract(clip_of(sound)).values
    steps = np.linalg.norm(np.diff(cut, axis=0), axis=1)
    usual = np.linalg.norm(np.diff(whole, axis=0), axis=1)
    assert steps.max() <= 1.1 * usual.max()
    away = np.linalg.norm(cut - whole, axis=1) / np.linalg.norm(whole, axis=1)
    assert np.median(away) < 0.2


def test_whisper_reads_a_long_sound_in_windows_of_its_own_length(hf_speech, speech_folder, speech):
    sound = speech(3.0)  # the tiny one reads 2 s
    found = hf_speech("whisper", overlap=0.5).extract(clip_of(sound)).values
    assert found.shape == (150, 32)
    head = states_of(speech_folder("whisper"), sound[: 88 * 320])[-1]
    np.testing.assert_allclose(found[:70], head[:70], rtol=1e-4, atol=1e-5)


def test_the_mean_of_a_long_sound_takes_each_row_once(hf_speech, speech):
    sound = speech(5.0)
    settings = {"window": 2.0, "overlap": 0.5}
    frames = hf_speech(**settings).extract(clip_of(sound)).values
    mean = hf_speech(level="mean", **settings).extract(clip_of(sound)).values
    np.testing.assert_allclose(mean[0], frames.mean(axis=0), rtol=1e-4, atol=1e-5)


def test_normalises_where_the_feature_extractor_says_so(
    hf_speech, speech_folder, speech, tmp_path, edit_json
):
    sound = speech(0.5)
    lower = (0.5 * sound + 0.005).astype(np.float32)
    values = hf_speech("hubert-large").extract(clip_of(sound)).values
    np.testing.assert_allclose(
        hf_speech("hubert-large").extract(clip_of(lower)).values, values, atol=1e-3
    )
    folder = shutil.copytree(speech_folder("hubert-large"), tmp_path / "model")
    edit_json(folder / "preprocessor_config.json", do_normalize=False)
    as_it_is = extractor("hf-speech", model=str(folder), dtype="float32")
    raw = as_it_is.extract(clip_of(sound)).values
    assert np.abs(raw - values).max() > 0.1
    assert_same(raw, states_of(folder, sound)[-1])


def test_a_long_sound_is_normalised_as_a_whole(speech_folder, speech):
    from affectflow.extract.audio.speech_model import load_speech

    sound = speech(2.0) + np.linspace(0, 0.1, 32000, dtype=np.float32)
    offset, factor = load_speech(speech_folder(), "cpu", "float32", 3).level(sound)
    assert offset == pytest.approx(sound.mean(), rel=1e-5)
    assert factor == pytest.approx(1 / np.sqrt(sound.var() + 1e-7), rel=1e-5)


def test_groups_of_decoded_sound_do_not_change_the_numbers(hf_speech, sounds, monkeypatch):
    whole = list(hf_speech().many(clips_of(sounds)))
    monkeypatch.setattr(module, "DECODED", 1.0)
    monkeypatch.setitem(module.ROWS_A_BATCH, "cpu", 50)
    for one, other in zip(whole, hf_speech().many(clips_of(sounds)), strict=True):
        assert_same(one.values, other.values)


def test_decoded_sound_is_not_kept(hf_speech, sounds):
    clips = clips_of(sounds)
    list(hf_speech().many(clips))
    assert not any(clip._audio for clip in clips)


def test_reads_media_at_the_rate_of_the_feature_extractor(
    speech_folder, tmp_path, edit_json, tone_wav
):
    folder = shutil.copytree(speech_folder(), tmp_path / "model")
    edit_json(folder / "preprocessor_config.json", sampling_rate=8000)
    slow = extractor("hf-speech", model=str(folder))
    assert slow.needs.audio == 8000
    assert slow(tone_wav).times[-1, 1] == pytest.approx(2.0, abs=0.05)
    assert len(slow(tone_wav)) == 49
    assert len(extractor("hf-speech", model=str(speech_folder()))(tone_wav)) == 99


def test_a_processor_config_says_the_same(speech_folder, tmp_path):
    folder = shutil.copytree(speech_folder(), tmp_path / "model")
    text = (folder / "preprocessor_config.json").read_text()
    (folder / "preprocessor_config.json").unlink()
    (folder / "processor_config.json").write_text(f'{{"feature_extractor": {text}}}')
    made = extractor("hf-speech", model=str(folder))
    assert made.needs.audio == 16000
    assert "processor_config.json" in made.weights()


@pytest.mark.parametrize("kind", ["hubert", "wavlm", "hubert-large", "whisper"])
def test_silence_gives_numbers_and_a_warning(hf_speech, kind):
    encode = hf_speech(kind)
    clip = clip_of(np.zeros(8000))
    found = encode.extract(clip)
    assert np.isfinite(found.values).all()
    assert clip.warnings == ["the sound is zero throughout (0.50 s)"]
    with pytest.warns(InputWarning, match="'u': the sound is zero throughout"):
        encode(clip_of(np.zeros(8000)))


def test_an_offset_and_clipping_are_said(hf_speech, speech):
    clip = clip_of(np.clip(20 * speech(0.5) + 0.3, -1, 1))
    hf_speech().extract(clip)
    assert [message.split()[3] for message in clip.warnings] == ["a", "clipped:"]


@pytest.mark.parametrize("n", [0, 1, 399])
@pytest.mark.parametrize("kind", ["hubert", "whisper"])
def test_sound_shorter_than_a_row_is_said_and_the_others_go_on(hf_speech, speech, kind, n):
    good = clip_of(speech(0.3), "good")
    found, error = hf_speech(kind).many([good, clip_of(np.zeros(n), "bad")])
    assert isinstance(found, Features)
    assert isinstance(error, BadInput)
    assert str(error) == (
        "'hf-speech' needs at least 400 samples (25 ms) of sound at 16000 Hz, which one row is "
        f"made from; 'bad' has {n}"
    )


def test_a_file_without_sound_is_said_and_the_others_go_on(hf_speech, speech):
    clips = [Clip(id="none"), clip_of(speech(0.3)), Clip(id="gone", media="/nowhere.wav")]
    none, found, gone = hf_speech().many(clips)
    assert "utterance 'none' has no media file" in str(none)
    assert isinstance(found, Features)
    assert isinstance(gone, BadInput)


def test_is_stored_as_float16_unless_asked(speech_folder, clip_path):
    made = extractor("hf-speech", model=str(speech_folder()))
    assert made.spec["values"].dtype == "float16"
    found = made(clip_path)
    assert found.values.dtype == np.float16
    assert found.values.shape == (99, 32)


def test_values_over_the_range_of_float16_name_the_mend(hf_speech, speech):
    whole = Window(0, 4, 0, 4)
    wave = Waveform(speech(0.1), 16000)
    recording = Recording(wave, hf_speech()._rows(), [whole], mean=False, dtype="float16")
    recording.put(whole, np.full((4, 2), 70000, np.float32))
    message = r"8 values pass the range of float16 \(largest: 70000\); set dtype to 'float32'"
    with pytest.raises(BadInput, match=message):
        raise recording.features()


def test_where_the_model_lies_is_not_one_of_its_settings(hf_speech):
    assert set(settings_of(hf_speech())) & {"model", "revision"} == set()
    assert settings_of(hf_speech())["precision"] == "float32"


@pytest.mark.parametrize("kind", ["hubert", "whisper"])
def test_what_means_the_same_has_the_same_fingerprint(hf_speech, kind):
    def differing(*ways):
        return len({str(settings_of(hf_speech(kind, **way))) for way in ways})

    assert differing({}, *({"layer": way} for way in ("last", -1, 3, [3], (-1,), (3, -1)))) == 1
    assert differing(*({"layer": way} for way in (1, -3, (1,), (1, 1)))) == 1
    assert differing(*({"layer": way} for way in ((1, 3), (-1, -3)))) == 1
    assert differing({"dtype": "auto"}, {"dtype": "float16"}) == 1
    assert differing({}, *({"layer": way} for way in (0, 1, 2, (1, 3)))) == 5
    assert settings_of(hf_speech(kind))["layer"] == "last"


def test_the_weights_are_the_files_that_matter(hf_speech):
    names = set(hf_speech().weights())
    assert names == {"config.json", "model.safetensors", "preprocessor_config.json"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layer": "first"}, "layer must be 'last' or whole numbers, not 'first'"),
        ({"layer": []}, r"layer must be 'last' or whole numbers, not \(\)"),
        ({"level": "word"}, "level must be 'frame' or 'mean', not 'word'"),
        ({"precision": "int8"}, "precision must be 'float32' or 'bfloat16' or 'float16', not"),
        ({"dtype": "bfloat16"}, "dtype must be 'auto' or 'float16' or 'float32', not 'bfloat16'"),
        ({"window": 0.5}, "window must be at least 1 s, not 0.5"),
        ({"overlap": 16.0}, r"overlap must be from 0 to half of window \(15 s\), not 16"),
        ({"model": ""}, "model must be a folder or a name on the hub"),
    ],
)
def test_refuses_settings_out_of_range(settings, message):
    with pytest.raises(BadCall, match=message):
        extractor("hf-speech", **{"model": "m", **settings})


@pytest.mark.parametrize("layer", [4, -5, (1, 4)])
def test_refuses_a_layer_that_the_model_does_not_have_before_anything_runs(hf_speech, layer):
    with pytest.raises(BadCall, match=r"has layers 0 \(what goes into the first\) to 3, not "):
        _ = hf_speech(layer=layer).spec


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("hubert", [-0.468108, -0.216280, -0.610901, -1.126395]),
        ("whisper", [0.434338, -2.173983, -0.477145, -1.535139]),
    ],
)
def test_golden_values_of_version_1(hf_speech, speech, kind, wanted):
    assert hf_speech().version == 1
    found = hf_speech(kind).extract(clip_of(speech(0.5))).values
    np.testing.assert_allclose(found[10, :4], wanted, atol=1e-4)
