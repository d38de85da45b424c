"""Small extractors and corpora for the tests of the workflow."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from affectflow.cache import checkpoints
from affectflow.cache.corpus import Corpus
from affectflow.cache.errors import BadInput, EmptyTranscript
from affectflow.cache.records import ArraySpec, Features, Utterance, no_times
from affectflow.cache.runs import write_record
from affectflow.extract.base import Extractor, Needs
from affectflow.train.metrics import rows_seen, scores
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


SPLITS = ("train", "valid", "test")
CODE = {"affectflow": "0.1.0", "source": "5" * 16, "commit": "c" * 40}


def predictions(noise, seeds, tasks, ids, splits, truth, seed):
    """A table as ``train.outcome.table`` makes it: truth and noise, also one for each split."""
    rng = np.random.default_rng(seed)
    noise = [noise[split] for split in splits] if isinstance(noise, dict) else noise
    parts = [
        pd.DataFrame(
            {
                "id": ids,
                "split": splits,
                "seed": one,
                "task": task,
                "truth": truth,
                "prediction": truth + rng.normal(0, noise, len(ids)),
            }
        )  # fmt: skip
        for one in range(seeds)
        for task in tasks
    ]
    return pd.concat(parts, ignore_index=True)


def fit_meta(table, model, tasks, family, inputs):
    """Meta of a checkpoint, scores and all, as a fit would leave it."""
    scored = {}
    for (seed, split, task), rows in table.groupby(["seed", "split", "task"]):
        known = rows[np.isfinite(rows["truth"])]
        values = scores(family, known["prediction"].to_numpy(), known["truth"].to_numpy())
        scored.setdefault(int(seed), {s: {} for s in SPLITS})[split][task] = values
    seen = {
        split: {
            task: {"of": int(n), "labelled": int(n), **rows_seen(family, np.ones(int(n)))}
            for task in tasks
        }
        for split, n in table[table["seed"] == 0].groupby("split")["id"].nunique().items()
    }
    return {
        "model": model,
        "tasks": list(tasks),
        "family": family,
        "seeds": [{"seed": seed, "scores": found} for seed, found in scored.items()],
        "rows": seen,
        "sizes": {split: seen[split][tasks[0]]["of"] for split in seen},
        "description": {"kind": "fit", "name": model, "inputs": inputs},
        "code": CODE,
        "torch": "2.15.0",
        "device": "cpu",
        "threads": 1,
    }


def write_run(
    root, run, fits, *, n=120, tasks=("M",), family="mosi", corpus="toy", digest="d" * 64,
    seeds=3, ids=None, splits=None, shift=0.0, nodes=True,
):  # fmt: skip
    """Leave a run in a store as a real one does; ``fits`` maps names to (model, noise).

    Noise is a number, or one for each split.
    """
    ids = ids or [f"video{i // 4}/{i % 4}" for i in range(n)]
    splits = splits or [SPLITS[(i // 4) % 3] for i in range(len(ids))]
    truth = np.round(np.random.default_rng(0).uniform(-3, 3, len(ids)), 1) + shift
    extract = {"kind": "extract", "what": "librosa-33", "modality": "audio", "on": [], "place": 0}
    made = {"audio": {**extract, "fingerprint": "a" * 64}}
    for i, (name, (model, noise)) in enumerate(fits.items()):
        mark = hashlib.sha256(repr((name, model, noise, family, shift, n)).encode()).hexdigest()
        table = predictions(noise, seeds, tasks, ids, splits, truth, i)
        meta = fit_meta(table, model, tasks, family, {"audio": "a" * 64})
        weights = {"net.w": np.full((1, 1), table["prediction"].sum(), np.float32)}
        stored = checkpoints.publish(root, mark, weights, meta, table)
        made[name] = {
            "kind": "fit", "what": model, "modality": "model", "on": ["audio"], "place": i + 1,
            "fingerprint": mark, "digest": stored.digest,
        }  # fmt: skip
    record = {"recipe": {"name": run.rpartition("-")[0] or run}, "corpus": digest, "code": CODE}
    record |= {"corpus_name": corpus, "family": family} if nodes else {}
    record |= {"nodes": made} if nodes else {}
    write_record(root, run, f"run-{time.time_ns():020d}", record)
    return root / "runs" / run


@pytest.fixture(name="write_run")
def write_run_fixture():
    return write_run


@pytest.fixture
def toys():
    """The toy extractors and makers of this file."""
    return SimpleNamespace(Letters=Letters, Doubled=Doubled, corpus=corpus, recipe=recipe)


@pytest.fixture
def words_recipe(tmp_path, monkeypatch, toys):
    """A recipe in the current folder, ``words.yaml``, beside a small corpus of texts for it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus").mkdir()
    texts = ["what a lovely day", "I hate this awful rain", "it is a table"] * 4
    toys.corpus(texts, labels=[0.5, -0.5, 0.0] * 4, splits=["train", "valid", "test"] * 4).write(
        tmp_path / "corpus" / "corpus.parquet"
    )
    recipe = tmp_path / "words.yaml"
    recipe.write_text(
        """
name: words
corpus: {root: corpus}
nodes:
  text: {extract: vader}
  m: {fit: unimodal, on: [text], tasks: [M], seeds: 1, epochs: 2}
"""
    )
    return SimpleNamespace(path=recipe, texts=texts)


@pytest.fixture(scope="session")
def save_text_model(text_models):
    """Save a tiny text model of a kind that knows the letters of some texts."""

    def save(folder, kind, texts, layers=2):
        return text_models.save_model(folder, kind, text_models.letters_of(texts), layers)

    return save


@pytest.fixture(scope="session")
def three_clips(tmp_path_factory):
    """Folder of the demo corpus of three utterances, drawn once for all recipes; read it only."""
    from affectflow.workflows.demo import make_demo

    folder = tmp_path_factory.mktemp("clips") / "demo"
    make_demo(folder, n=3)
    return folder


@pytest.fixture(autouse=True)
def own_cache_folder(tmp_path, monkeypatch):
    """The index and the digests of a test stay with the test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    """Tries after an operating system's error follow each other at once."""
    monkeypatch.setattr("affectflow.workflows.answers.PAUSE", 0.0)
