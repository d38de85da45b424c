import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from affectflow.cache.errors import BadCall, BadInput, InputWarning, UnknownName
from affectflow.cache.records import ArraySpec, Features, frame_times
from affectflow.extract import registry
from affectflow.extract.base import ANY, Extractor, Needs, settings_table
from affectflow.extract.clip import Clip
from affectflow.extract.registry import EXTRACTORS, extractor, extractor_class, provider


@dataclass(frozen=True)
class Loudest(Extractor):
    """Largest sample of each hop."""

    name: ClassVar[str] = "loudest"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = "audio"

    hop: float = 0.5
    wanted: int | None = None

    @property
    def needs(self):
        return Needs(audio=8000)

    @property
    def spec(self):
        return {"values": ArraySpec((1,), "float16", ("peak",), self.hop)}

    def extract(self, clip):
        samples = clip.audio(8000).samples
        rows = samples.reshape(-1, round(self.hop * 8000)).max(axis=1, keepdims=True)
        return Features(rows, frame_times(len(rows), self.hop))


@dataclass(frozen=True)
class Words(Extractor):
    """Number of words; reads text only."""

    name: ClassVar[str] = "words"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = "text"

    @property
    def needs(self):
        return Needs(text=True)

    @property
    def spec(self):
        return {"values": ArraySpec((1,), "float32")}

    def extract(self, clip):
        if not clip.text:
            raise BadInput("no words")
        return Features(np.array([[len(clip.text.split())]]), np.array([[0.0, 1.0]]))


@dataclass(frozen=True)
class Doubled(Words):
    """Twice what stands upstream."""

    name: ClassVar[str] = "doubled"

    @property
    def needs(self):
        return Needs(features=("faces",))

    def extract(self, clip):
        upstream = self.upstream(clip, "faces")
        return Features(2 * upstream.values, upstream.times)


def test_a_path_is_decoded_and_the_result_is_what_was_promised(tone_wav):
    features = Loudest()(tone_wav)
    assert features.values.dtype == np.float16
    assert features.columns == ("peak",)
    np.testing.assert_allclose(features.values, np.full((4, 1), 0.5), atol=0.02)


def test_a_segment_can_be_given_with_a_path(tone_wav):
    assert len(Loudest()(tone_wav, start=0.5, end=1.5)) == 2


def test_an_extractor_of_text_takes_the_text_itself():
    assert Words()("one two three").values.item() == 3


def test_a_clip_is_taken_as_it_is():
    assert Words()(Clip("a", text="one two")).values.item() == 2


def test_an_integer_and_its_float_are_one_setting():
    assert Loudest(hop=1) == Loudest(hop=1.0)
    assert type(Loudest(hop=1).hop) is float
    assert Loudest(wanted=3).wanted == 3


def test_many_yields_each_result_or_its_error_in_order():
    clips = [Clip("a", text="one"), Clip("b"), Clip("c", text="one two")]
    first, second, third = Words().many(clips)
    assert (first.values.item(), third.values.item()) == (1, 2)
    assert isinstance(second, BadInput)


def test_given_upstream_features_are_used(monkeypatch):
    given = Features(np.array([[2.0]]), np.array([[0.0, 1.0]]))
    assert Doubled()("clip.mp4", features={"faces": given}).values.item() == 4


def test_upstream_features_that_are_not_given_are_made(monkeypatch):
    monkeypatch.setattr(registry, "provider", lambda role: Words())
    assert Doubled()(Clip("a", text="one two three")).values.item() == 6


def test_missing_upstream_features_are_named():
    with pytest.raises(BadInput, match="'doubled' needs 'faces' of 'a/1', which were not given"):
        Doubled().extract(Clip("a/1"))


def test_needs_name_the_streams_that_are_read():
    assert Needs(audio=16000, text=True).streams == ("audio", "text")
    assert Needs(features=("faces",)).streams == ()


def test_settings_are_listed_with_their_defaults():
    assert settings_table(Loudest) == {"hop": 0.5, "wanted": None}


@pytest.mark.parametrize("name", sorted(EXTRACTORS))
def test_every_registered_extractor_keeps_the_contract(name):
    kind = extractor_class(name)
    assert kind.name == name
    assert issubclass(kind, Extractor)
    assert dataclasses.is_dataclass(kind)
    assert kind.__dataclass_params__.frozen
    assert kind.modality in ("text", "audio", "vision", "marks", ANY)
    assert kind.version >= 1
    assert kind.__doc__
    assert "Source" in kind.__doc__


def test_an_unknown_extractor_gets_a_suggestion():
    with pytest.raises(UnknownName, match="unknown extractor 'egemap'. Did you mean 'egemaps'"):
        extractor("egemap")


def test_an_unknown_setting_gets_a_suggestion():
    with pytest.raises(UnknownName, match="unknown setting 'hop' of 'librosa-33'. Did you mean"):
        extractor("librosa-33", hop=256)


def test_a_setting_out_of_range_is_a_wrong_call():
    with pytest.raises(BadCall, match="n_hop must be a multiple of 64 samples, not 100"):
        extractor("librosa-33", n_hop=100)


def test_an_unknown_role_is_named():
    with pytest.raises(UnknownName, match="unknown role 'hands'.* Known: faces"):
        provider("hands")


@dataclass(frozen=True)
class Doubtful(Words):
    """Warns of every text."""

    def extract(self, clip):
        clip.warn("spoken too fast")
        return super().extract(clip)


def test_what_an_extractor_warns_of_is_a_warning_with_the_name_of_the_clip():
    with pytest.warns(InputWarning, match="'text': spoken too fast"):
        assert Doubtful()("a b").values == [[2.0]]


@pytest.mark.parametrize("source", [None, float("nan"), 3, b"love", Path("love.txt"), ["love"]])
def test_what_is_no_text_is_refused_not_read_as_its_name(source):
    with pytest.raises(BadInput, match="'words' wants a text .*, not .* of type "):
        Words()(source)


@pytest.mark.parametrize(
    ("source", "text", "message"),
    [
        (None, "", "wants the path of a media file, not None of type NoneType"),
        (3, "", "wants the path of a media file, not 3 of type int"),
        ("a.wav", float("nan"), r"wants text to be a string \(.*\), not nan of type float"),
        ("a.wav", None, r"wants text to be a string \(.*\), not None of type NoneType"),
    ],
)
def test_what_is_no_path_and_no_transcript_is_refused(source, text, message):
    with pytest.raises(BadInput, match=f"'loudest' {message}"):
        Loudest()(source, text=text)
