"""Several nodes that look at the same clips, through the real run."""

import numpy as np
import pytest
from skimage import data

from affectflow.cache.corpus import Corpus
from affectflow.cache.records import Utterance
from affectflow.extract import media
from affectflow.extract.registry import extractor
from affectflow.workflows.corpora import CorpusSpec
from affectflow.workflows.graph import Workflow
from affectflow.workflows.nodes import Extract
from affectflow.workflows.recipe import Recipe, build, load_recipe
from affectflow.workflows.run import run

NODES = {
    "faces": {"extract": "faces", "rate": 10},
    "speaker": {"extract": "mouth-motion", "on": "faces"},
    "crops": {"extract": "face-crops", "rate": 5, "size": 32, "on": "speaker"},
    "head": {"extract": "face-geometry", "on": "speaker"},
    "main": {"extract": "mtcnn-face", "rate": 2},
}


def workflow():
    return Workflow("w", [
        Extract("faces", extractor("faces")),
        Extract("sound", extractor("librosa-33")),
        Extract("speaker", extractor("mouth-motion"), {"tracks": "faces"}),
        Extract("crops", extractor("face-crops"), {"faces": "speaker"}),
    ])  # fmt: skip


def test_nodes_that_look_are_one_group_whether_they_hear_or_not():
    made = workflow()
    assert made.streams(made["speaker"]) == ("audio", "frames")
    groups = [made.group(node) for node in made]
    assert groups == [("frames",), ("audio",), ("frames",), ("frames",)]
    assert [made.level(node) for node in made] == [0, 0, 0, 0]


@pytest.fixture
def talk(tmp_path, make_clip):
    """A folder with a corpus of one face that talks: two segments of a file of 1 s."""
    face = data.astronaut()[:240, 100:340]
    sound = 0.3 * np.sin(2 * np.pi * 220 * np.arange(44100) / 44100)
    pictures = [np.roll(face, k, axis=1) for k in range(25)]
    clip = make_clip(tmp_path / "talk.mp4", pictures=pictures, sound=sound)
    corpus = Corpus.from_utterances(
        [Utterance(f"talk/{k}", str(clip), end=end) for k, end in enumerate((0.6, None))],
        name="c", family="sims", label_range=(-1, 1),
    )  # fmt: skip
    corpus.write(tmp_path / "corpus.parquet")
    return tmp_path


@pytest.fixture
def decoded(monkeypatch):
    """Calls that decode pictures, as they come."""
    calls = []
    read = media.read_pictures
    monkeypatch.setattr(media, "read_pictures", lambda *a: calls.append(a) or read(*a))
    return calls


def test_a_clip_is_decoded_once_for_all_nodes_that_look_at_it(talk, decoded):
    source = {"name": "r", "nodes": NODES}
    recipe = Recipe("r", build(source, "r").workflow, CorpusSpec(str(talk)), source)
    result = run(recipe, talk / "cache", scheduler="sync")
    assert result.ok
    assert len(decoded) == 2  # once a segment, for five nodes at four rates


#: The recipe as it is shipped, but for pictures instead of a network's rows of them.
SMALL = ("vision.extract=face-crops", "vision.size=32", "faces.rate=10")


def test_the_recipe_of_the_speakers_face_decodes_once_and_makes_nothing_twice(talk, decoded):
    first = run(load_recipe("speaker", SMALL, talk), talk / "cache", scheduler="sync")
    assert first.ok
    assert first.made == {"faces": 2, "speaker": 2, "vision": 2, "head": 2}
    assert len(decoded) == 2  # once a segment
    again = run(load_recipe("speaker", SMALL, talk), talk / "cache", scheduler="sync")
    assert again.n_features_made == 0
    assert len(decoded) == 2


def test_the_recipe_of_the_speakers_face_takes_a_network_that_tells_who_speaks(tmp_path):
    (tmp_path / "lr_asd.model").touch()
    weights = f"speaker.checkpoint={tmp_path / 'lr_asd.model'}"
    made = load_recipe("speaker", ["speaker.extract=active-speaker", weights]).workflow
    assert made["speaker"].what == "active-speaker"
    assert {name: made.group(made[name]) for name in made.nodes} == dict.fromkeys(
        ("faces", "speaker", "vision", "head"), ("frames",)
    )
    assert made["vision"].on == made["head"].on == {"faces": "speaker"}
    assert made["speaker"].on == {"tracks": "faces"}
