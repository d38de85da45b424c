"""Several nodes that look at the same clips, through the real run."""

import numpy as np

from affectflow.cache.corpus import Corpus
from affectflow.cache.records import Utterance
from affectflow.extract import media
from affectflow.extract.registry import extractor
from affectflow.workflows.corpora import CorpusSpec
from affectflow.workflows.graph import Workflow
from affectflow.workflows.nodes import Extract
from affectflow.workflows.recipe import Recipe, build
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


def test_a_clip_is_decoded_once_for_all_nodes_that_look_at_it(tmp_path, make_clip, monkeypatch):
    from skimage import data

    face = data.astronaut()[:240, 100:340]
    sound = 0.3 * np.sin(2 * np.pi * 220 * np.arange(44100) / 44100)
    pictures = [np.roll(face, k, axis=1) for k in range(25)]
    clip = make_clip(tmp_path / "talk.mp4", pictures=pictures, sound=sound)
    corpus = Corpus.from_utterances(
        [Utterance(f"talk/{k}", str(clip), end=end) for k, end in enumerate((0.6, None))],
        name="c", family="sims", label_range=(-1, 1),
    )  # fmt: skip
    corpus.write(tmp_path / "corpus.parquet")
    calls = []
    read = media.read_pictures
    monkeypatch.setattr(media, "read_pictures", lambda *a: calls.append(a) or read(*a))
    source = {"name": "r", "nodes": NODES}
    recipe = Recipe("r", build(source, "r").workflow, CorpusSpec(str(tmp_path)), source)
    result = run(recipe, tmp_path / "cache", scheduler="sync")
    assert result.ok
    assert len(calls) == 2  # once a segment, for five nodes at four rates
