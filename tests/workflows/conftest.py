"""Small extractors and corpora for the tests of the workflow."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from affectflow.cache.corpus import Corpus
from affectflow.cache.errors import BadInput, EmptyTranscript
from affectflow.cache.records import ArraySpec, Features, Utterance, no_times
from affectflow.extract.base import Extractor, Needs
from affectflow.workflows.corpora import CorpusSpec
from affectflow.workflows.graph import Workflow
from affectflow.workflows.nodes import Extract
from affectflow.workflows.recipe import Recipe, build


@dataclass(frozen=True)
class Letters(Extractor):
    """Length of each word; refuses a text with the word ``bad``."""

    name: ClassVar[str] = "letters"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = "text"
    provides: ClassVar[str] = "letters"

    scale: float = 1.0

    @property
    def needs(self) -> Needs:
        return Needs(text=True)

    @property
    def spec(self):
        return {"values": ArraySpec((1,), columns=("letters",))}

    def extract(self, clip):
        words = clip.text.split()
        if not words:
            raise EmptyTranscript(f"'{clip.id}' has an empty transcript")
        if "bad" in words:
            raise BadInput("a bad word")
        if "boom" in words:
            raise RuntimeError("a bug")
        values = np.array([[len(word) * self.scale] for word in words], np.float32)
        return Features(values, no_times(len(words)), ("letters",))


@dataclass(frozen=True)
class Doubled(Extractor):
    """Twice the letters."""

    name: ClassVar[str] = "doubled"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = "audio"

    @property
    def needs(self) -> Needs:
        return Needs(features=("letters",))

    @property
    def spec(self):
        return {"values": ArraySpec((1,))}

    def extract(self, clip):
        letters = self.upstream(clip, "letters")
        return Features(letters.values * 2, letters.times)


def corpus(texts, splits=None, labels=None, **fields) -> Corpus:
    """One utterance a text, its label the number of its words unless given."""
    splits = splits or ["train", "valid", "test"] * len(texts)
    labels = labels or [max(-1.0, min(1.0, len(t.split()) / 5 - 1)) for t in texts]
    return Corpus.from_utterances(
        [
            Utterance(f"v/{i:03d}", text=text, split=splits[i], labels={"M": labels[i]}, **fields)
            for i, text in enumerate(texts)
        ],
        name="toy",
        family="sims",
        label_range=(-1, 1),
    )


def recipe(folder, texts, nodes=None, fits=None, **given) -> Recipe:
    """A recipe of toy extracts (and fits, as in YAML) on a corpus of these texts."""
    made = corpus(texts, **given)
    made.write(folder / "corpus.parquet")
    extracts = nodes or [
        Extract("letters", Letters()),
        Extract("doubled", Doubled(), {"letters": "letters"}),
    ]
    source = {"name": "toy", "nodes": {"x": {"extract": "vader"}, **(fits or {})}}
    if fits:
        parts = {name: {**node} for name, node in fits.items()}
        placeholders = {n.name: {"extract": "vader"} for n in extracts}
        built = build({"name": "toy", "nodes": {**placeholders, **parts}}, "toy").workflow
        nodes = [*extracts, *[node for node in built if node.name in parts]]
    else:
        nodes = extracts
    source["nodes"] = {n.name: repr(n) for n in nodes}
    return Recipe("toy", Workflow("toy", nodes), CorpusSpec(str(folder)), source)


@pytest.fixture
def toys():
    """The toy extractors and makers of this file."""
    return SimpleNamespace(Letters=Letters, Doubled=Doubled, corpus=corpus, recipe=recipe)


@pytest.fixture(autouse=True)
def own_cache_folder(tmp_path, monkeypatch):
    """The index and the digests of a test stay with the test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    """Tries after an operating system's error follow each other at once."""
    monkeypatch.setattr("affectflow.workflows.driver.PAUSE", 0.0)
