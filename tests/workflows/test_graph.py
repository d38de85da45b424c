from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from affectflow.cache.errors import BadCall, BadRecipe, UnknownName
from affectflow.cache.records import ArraySpec, Features, no_times
from affectflow.extract.base import ANY, Extractor, Needs
from affectflow.extract.clip import Clip
from affectflow.extract.registry import extractor
from affectflow.extract.text.transcript import TEXT_SPEC, as_rows
from affectflow.train.registry import fit_settings
from affectflow.workflows.graph import Workflow
from affectflow.workflows.nodes import Encode, Extract, Fit


def fit(name, on, tasks=("M",), model="sf"):
    return Fit(name, model, *fit_settings(model), tuple(on), tuple(tasks))


def test_refuses_two_nodes_of_one_name():
    nodes = [Extract("a", extractor("vader")), Extract("a", extractor("librosa-33"))]
    with pytest.raises(BadRecipe, match="workflow 'w': two nodes are called a"):
        Workflow("w", nodes)


def test_names_what_stands_before_a_node_that_reads_too_early():
    nodes = [fit("f", ["text"]), Extract("text", extractor("vader"))]
    message = "node 'f' needs 'text', which does not stand before it .nothing does.. Move 'text' up"
    with pytest.raises(BadRecipe, match=message):
        Workflow("w", nodes)


def test_says_did_you_mean_for_an_unknown_node():
    nodes = [Extract("text", extractor("vader")), fit("f", ["txt"])]
    with pytest.raises(BadRecipe, match="reads unknown node 'txt'. Did you mean 'text'"):
        Workflow("w", nodes)


def test_prints_a_circle_as_its_path():
    nodes = [
        Extract("text", extractor("vader")),
        fit("f", ["text", "h"]),
        Encode("h", "f", ("text", "h")),
    ]
    with pytest.raises(BadRecipe, match="nodes in a circle: f -> h -> f"):
        Workflow("w", nodes)


def test_refuses_a_node_that_reads_itself(toys):
    with pytest.raises(BadRecipe, match="circle: d -> d"):
        Workflow("w", [Extract("d", toys.Doubled(), {"letters": "d"})])


def test_refuses_a_role_that_the_upstream_node_does_not_provide(toys):
    nodes = [Extract("text", extractor("vader")), Extract("d", toys.Doubled(), {"letters": "text"})]
    with pytest.raises(BadRecipe, match=r"'text' \(vader\) does not provide 'letters'"):
        Workflow("w", nodes)


def test_refuses_an_extract_without_the_input_it_reads(toys):
    with pytest.raises(BadRecipe, match="'doubled' reads 'letters', its 'on' names no features"):
        Workflow("w", [Extract("d", toys.Doubled())])


def test_a_fit_is_read_by_way_of_an_encode():
    nodes = [Extract("text", extractor("vader")), fit("f", ["text"]), fit("g", ["f"])]
    with pytest.raises(BadRecipe, match=r"'f', which is a fit .* Add a node '\{encode: f\}'"):
        Workflow("w", nodes)


def test_only_a_fit_is_encoded():
    nodes = [Extract("text", extractor("vader")), Encode("h", "text", ())]
    with pytest.raises(BadRecipe, match="only a fit can be encoded, 'text' is none"):
        Workflow("w", nodes)


def test_says_what_a_model_needs_when_its_inputs_do_not_fit():
    nodes = [Extract("text", extractor("vader")), fit("t", ["text"], model="tfn")]
    with pytest.raises(BadRecipe, match="node 't': model 'tfn' needs 2 to 3 inputs"):
        Workflow("w", nodes)


def test_the_fingerprint_holds_settings_and_inputs_and_nothing_else(toys):
    def description(scale, name="letters"):
        nodes = [
            Extract(name, toys.Letters(scale)),
            Extract("doubled", toys.Doubled(), {"letters": name}),
        ]
        workflow = Workflow("w", nodes)
        return workflow.description(workflow["doubled"])

    assert description(1.0) == description(1) == description(1.0, name="other")
    assert description(1.0) != description(2.0)


def test_extracts_of_one_stream_share_a_level_and_fits_come_after(toys):
    nodes = [
        Extract("letters", toys.Letters()),
        Extract("doubled", toys.Doubled(), {"letters": "letters"}),
        fit("f", ["letters", "doubled"]),
        Encode("h", "f", ("letters", "doubled")),
        fit("g", ["h"], model="fmlmsn-meta"),
    ]
    workflow = Workflow("w", nodes)
    assert [workflow.level(node) for node in workflow] == [0, 0, 1, 2, 3]
    assert workflow.streams(workflow["doubled"]) == ("text",)
    assert workflow.contents(workflow["doubled"]) == ("text",)


def test_upto_keeps_what_the_targets_need(toys):
    nodes = [
        Extract("letters", toys.Letters()),
        Extract("other", extractor("vader")),
        fit("f", ["letters"]),
    ]
    assert list(Workflow("w", nodes).upto(["f"]).nodes) == ["letters", "f"]
    with pytest.raises(UnknownName, match="unknown node 'g' of workflow 'w'"):
        Workflow("w", nodes).upto(["g"])


@dataclass(frozen=True)
class Hears(Extractor):
    """Hears the same words in every sound."""

    name: ClassVar[str] = "hears"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = "text"
    provides: ClassVar[str] = "transcript"

    words: str = "what a day"

    @property
    def needs(self):
        return Needs(audio=16000)

    @property
    def spec(self):
        return {"values": ArraySpec((1,)), "text": TEXT_SPEC}

    def extract(self, clip):
        n = len(self.words.split())
        return Features(np.ones((n, 1)), no_times(n), more={"text": as_rows(self.words)})


@dataclass(frozen=True)
class Firsts(Extractor):
    """First row of whatever it reads."""

    name: ClassVar[str] = "firsts"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = "audio"

    @property
    def needs(self):
        return Needs(features=(ANY,))

    @property
    def spec(self):
        raise AssertionError("it follows from what is read")

    def spec_on(self, inputs):
        return {"values": inputs[ANY]["values"]}

    def extract(self, clip):
        above = self.upstream(clip, ANY)
        return Features(above.values[:1], above.times[:1], above.columns)


def test_a_text_extractor_on_a_transcript_reads_sound_and_not_the_corpus_text(toys):
    nodes = [Extract("asr", Hears()), Extract("n", toys.Letters(), {"transcript": "asr"})]
    workflow = Workflow("w", nodes)
    assert workflow.streams(workflow["n"]) == ("audio",)
    assert workflow.contents(workflow["n"]) == ("media",)
    plain = Workflow("w", [Extract("n", toys.Letters())])
    assert workflow.description(workflow["n"]) != plain.description(plain["n"])


def test_only_a_node_that_hears_can_be_a_transcript(toys):
    nodes = [Extract("a", toys.Letters()), Extract("n", toys.Letters(), {"transcript": "a"})]
    with pytest.raises(BadRecipe, match=r"'a' \(letters\) does not provide 'transcript'"):
        Workflow("w", nodes)
    nodes = [Extract("asr", Hears()), Extract("n", extractor("librosa-33"), {"transcript": "asr"})]
    with pytest.raises(BadRecipe, match="'librosa-33' reads no features, its 'on' names"):
        Workflow("w", nodes)


def test_any_node_fills_the_role_any_and_says_what_is_promised(toys):
    workflow = Workflow("w", [Extract("a", toys.Letters()), Extract("f", Firsts(), {ANY: "a"})])
    assert workflow.spec(workflow["f"]) == {"values": ArraySpec((1,), columns=("letters",))}


def test_called_by_itself_an_extractor_reads_what_another_heard(toys):
    heard = Hears().extract(Clip("c"))
    found = toys.Letters()(Clip("c"), features={"transcript": heard})
    np.testing.assert_array_equal(found.values, [[4], [1], [3]])
    first = Firsts()(Clip("c"), features={ANY: found})
    assert first.columns == ("letters",)
    np.testing.assert_array_equal(first.values, [[4]])


def test_a_missing_file_of_weights_is_said_with_its_node(tmp_path):
    there = tmp_path / "there.txt"
    there.write_text("a 1 2\n")
    words = [Extract(f"w{i}", extractor("word-vectors", path=str(p)))
             for i, p in enumerate((there, tmp_path / "gone.txt"))]  # fmt: skip
    made = Workflow("w", words)
    assert made.spec(words[0])["values"].shape == (2,)
    for looks in (made.description, made.spec):
        looks(words[0])
        with pytest.raises(BadCall, match=r"^node 'w1': .*gone\.txt"):
            looks(words[1])
    heard = Extract("heard", extractor("hf-speech", model=str(tmp_path / "gone")))
    with pytest.raises(BadCall, match=r"^node 'heard': .*gone' is not a folder"):
        Workflow("w", [heard])


def test_libraries_that_decode_and_resample_are_recorded_where_media_are_read(toys):
    assert set(Extract("a", extractor("librosa-33")).libraries()) == {"av", "librosa", "soxr"}
    faces = Extract("f", extractor("mtcnn-face")).libraries()
    assert {"av", "opencv-python-headless"} < set(faces)
    assert "soxr" not in faces
    assert Extract("t", extractor("vader")).libraries().keys() == {"vaderSentiment"}


def test_a_description_says_how_the_pictures_that_it_reads_are_decoded():
    nodes = [Extract("f", extractor("mtcnn-face")), Extract("a", extractor("librosa-33"))]
    workflow = Workflow("w", nodes)
    assert workflow.description(nodes[0])["decoding"] == {"frames": 2}
    assert "decoding" not in workflow.description(nodes[1])
