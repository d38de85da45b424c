import shutil

import numpy as np
import pytest

from affectflow.cache.errors import BadCall
from affectflow.extract.clip import Clip, Waveform
from affectflow.extract.registry import extractor

WHOLE = ("tokenizer.json", "vocab.json", "merges.txt", "normalizer.json")


@pytest.fixture
def sound():
    clip = Clip(id="u", media="u.wav", text="SO GOOD")
    noise = 0.1 * np.random.default_rng(0).standard_normal(16000, np.float32)
    clip._audio[16000] = Waveform(noise, 16000)
    return clip


@pytest.fixture
def folder_of(whisper_folder, ctc_folder, tmp_path):
    """A copy of a tiny recogniser that a test may spoil."""

    def copy(kind):
        return shutil.copytree(
            whisper_folder if kind == "whisper" else ctc_folder(), tmp_path / "m"
        )

    return copy


@pytest.mark.parametrize(
    ("name", "kind"), [("asr", "whisper"), ("asr", "ctc"), ("word-times", "ctc")]
)
def test_a_recogniser_without_its_vocabulary_is_refused(folder_of, sound, name, kind):
    folder = folder_of(kind)
    for file in WHOLE:
        (folder / file).unlink(missing_ok=True)
    with pytest.raises(BadCall, match="no tokenizer that is whole: beside .* it needs token"):
        extractor(name, model=str(folder)).extract(sound)


@pytest.mark.parametrize("name", ["asr", "word-times"])
def test_an_empty_vocabulary_is_refused(folder_of, sound, name):
    folder = folder_of("ctc")
    (folder / "vocab.json").write_text("{}")
    with pytest.raises(BadCall, match="has no vocabulary: its . tokens are all special ones"):
        extractor(name, model=str(folder)).extract(sound)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe"])
@pytest.mark.parametrize(
    ("kind", "file"),
    [
        *(("whisper", name) for name in ("tokenizer.json", "tokenizer_config.json")),
        *(("whisper", name) for name in ("preprocessor_config.json", "generation_config.json")),
        *(("ctc", name) for name in ("vocab.json", "preprocessor_config.json")),
        ("ctc", "tokenizer_config.json"),
    ],
)
def test_damaged_files_are_refused_in_words(folder_of, sound, kind, file, content):
    folder = folder_of(kind)
    assert (folder / file).is_file()
    (folder / file).write_bytes(content)
    with pytest.raises(
        BadCall, match="/m( cannot be loaded: |.* is not valid|.* does not|.* names no)"
    ):
        extractor("asr", model=str(folder)).extract(sound)


@pytest.mark.parametrize("kind", ["whisper", "ctc"])
def test_a_feature_extractor_that_says_nothing_is_not_filled_in(folder_of, sound, kind):
    folder = folder_of(kind)
    (folder / "preprocessor_config.json").write_text("{}")
    with pytest.raises(BadCall, match="does not say how its sound is normalised"):
        extractor("asr", model=str(folder)).extract(sound)
