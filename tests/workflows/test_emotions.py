"""Emotions and dimensions of affect, from the corpus to the report; fits that are killed."""

from dataclasses import replace

import numpy as np
import pytest

from affectflow.cache import courses
from affectflow.cache.corpus import Corpus
from affectflow.cache.errors import BadCall
from affectflow.cache.store import FeatureStore
from affectflow.train.loop import Loop
from affectflow.workflows.bundle import Bundle, pack_model
from affectflow.workflows.corpora import CorpusSpec
from affectflow.workflows.graph import Workflow
from affectflow.workflows.nodes import Extract
from affectflow.workflows.recipe import Recipe, build
from affectflow.workflows.run import run

N = 24
WORDS = {"happy": "aaaaaaaa", "sad": "aa", "angry": "aaaaa"}
FIT = {"fit": "sf", "on": ["letters"], "seeds": 2, "epochs": 3, "batch_size": 8}


def emotional(folder, toys, fits, **changes):
    """A recipe on utterances whose emotion and valence can be read off the length of a word."""
    names = [list(WORDS)[i % 3] for i in range(N)]
    columns = {
        "id": [f"v/{i}" for i in range(N)],
        "text": [" ".join([WORDS[name]] * (1 + i % 4)) for i, name in enumerate(names)],
        "split": ["train"] * 12 + ["valid"] * 6 + ["test"] * 6,
        "emotion": names,
        "valence": [float(len(WORDS[name])) for name in names],
        **changes,
    }
    Corpus.from_columns(columns, name="toy").write(folder / "corpus.parquet")
    source = {"name": "toy", "nodes": {"letters": {"extract": "vader"}, **fits}}
    built = build(source, "toy").workflow
    nodes = [Extract("letters", toys.Letters()), *[node for node in built if node.name in fits]]
    return Recipe("toy", Workflow("toy", nodes), CorpusSpec(str(folder)), source)


def started(recipe, folder, **options):
    return run(recipe, FeatureStore(folder / "cache"), scheduler="sync", **options)


def test_emotions_and_dimensions_go_from_corpus_to_report(tmp_path, toys):
    recipe = emotional(tmp_path, toys, {"both": {**FIT, "tasks": ["valence", "emotion"]}})
    done = started(recipe, tmp_path)
    assert done.ok, done.errors
    meta = done.states["both"].checkpoint.meta
    assert [t["kind"] for t in meta["targets"]] == ["value", "class"]
    assert {"Acc", "UAR"} <= set(meta["summary"]["test"]["emotion"])
    page = done.report().read_text()
    assert "emotion" in page
    again = started(recipe, tmp_path)
    assert again.made == {}
    other = ["happy" if name == "" else name for name in ["sad"] * N]
    changed = emotional(tmp_path, toys, {"both": {**FIT, "tasks": ["valence"]}}, emotion=other)
    assert started(changed, tmp_path).made == {"both": 1}


def test_a_packed_model_gives_the_probability_of_each_emotion(tmp_path, toys):
    texts = ["a lovely day", "an awful day", "a table", "great", "terrible", "a chair"] * 4
    names = ["happy", "sad", "angry"] * 8
    recipe = emotional(tmp_path, toys, {}, text=texts, emotion=names)
    source = {
        "name": "toy",
        "nodes": {"letters": {"extract": "vader"}, "e": {**FIT, "tasks": ["emotion", "valence"]}},
    }
    recipe = replace(recipe, workflow=build(source, "toy").workflow, source=source)
    started(recipe, tmp_path)
    bundle = Bundle.read(pack_model(recipe, tmp_path / "cache", "e", tmp_path / "e.zip"))
    found = bundle.score(None, "a lovely day").values
    emotions = ["emotion=angry", "emotion=happy", "emotion=sad"]
    assert list(found) == list(bundle.tasks) == [*emotions, "valence"]
    assert sum(found[name] for name in emotions) == pytest.approx(1, abs=1e-5)


def test_a_corrected_emotion_is_a_new_fit(tmp_path, toys):
    fits = {"e": {**FIT, "tasks": ["emotion"], "epochs": 1}}
    started(emotional(tmp_path, toys, fits), tmp_path)
    names = [list(WORDS)[i % 3] for i in range(N)]
    corrected = emotional(tmp_path, toys, fits, emotion=["sad", *names[1:]])
    assert started(corrected, tmp_path).made == {"e": 1}


def test_names_the_label_column_that_is_not_there(tmp_path, toys):
    recipe = emotional(tmp_path, toys, {"e": {**FIT, "tasks": ["arousal"]}})
    with pytest.raises(BadCall, match=r"column\(s\) arousal, .* it has valence, emotion\."):
        started(recipe, tmp_path)


def test_a_single_class_in_the_training_split_fails_the_fit_and_says_why(tmp_path, toys):
    names = ["sad"] * 12 + ["happy", "sad"] * 6
    recipe = emotional(tmp_path, toys, {"e": {**FIT, "tasks": ["emotion"]}}, emotion=names)
    done = started(recipe, tmp_path)
    assert "needs at least two classes in split 'train', which has 'sad'" in done.errors["e"]


def test_a_killed_fit_goes_on_in_the_next_run(tmp_path, toys, monkeypatch):
    fits = {"e": {**FIT, "tasks": ["emotion"], "epochs": 6}}
    recipe = emotional(tmp_path, toys, fits)
    whole = started(recipe, tmp_path / "a").states["e"].checkpoint
    monkeypatch.setattr(courses.Course.__init__, "__defaults__", (0.0,))
    epoch, count = Loop.epoch, []

    def killed(loop):
        count.append(loop.done)
        if len(count) == 4:
            raise KeyboardInterrupt
        return epoch(loop)

    monkeypatch.setattr(Loop, "epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        started(recipe, tmp_path / "b")
    assert list((tmp_path / "b" / "cache" / "courses").rglob("*.course"))
    again = started(recipe, tmp_path / "b").states["e"].checkpoint
    assert count == [0, 1, 2, 3, 3, 4, 5]
    for key, value in whole.weights().items():
        np.testing.assert_array_equal(again.weights()[key], value)
    assert not list((tmp_path / "b" / "cache" / "courses").rglob("*.course"))
