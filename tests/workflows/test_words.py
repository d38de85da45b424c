"""Transcripts that a node heard, and features of words, through whole runs."""

import wave
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from affectflow.cache.corpus import Corpus
from affectflow.cache.errors import BadRecipe
from affectflow.cache.records import ArraySpec, Features, Utterance, frame_times
from affectflow.extract.base import Extractor, Needs
from affectflow.extract.registry import extractor
from affectflow.extract.text.transcript import as_text
from affectflow.extract.text.words import word_spans
from affectflow.workflows.corpora import CorpusSpec
from affectflow.workflows.graph import Workflow
from affectflow.workflows.nodes import Extract
from affectflow.workflows.recipe import Recipe, build, load_recipe
from affectflow.workflows.run import run

RATE = 16_000
TEXTS = ["so good", "not 42 at all 😀", "we love this film", "no", "very happy day", "the end"]


@dataclass(frozen=True)
class Levels(Extractor):
    """Loudness of 10 ms frames, as (n, 2, 3), which is what a map of features may look like."""

    name: ClassVar[str] = "levels"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = "audio"

    @property
    def needs(self) -> Needs:
        return Needs(audio=RATE)

    @property
    def spec(self):
        return {"values": ArraySpec((2, 3), hop=0.01)}

    def extract(self, clip):
        samples = clip.audio(RATE).samples
        levels = np.abs(samples[: len(samples) // 160 * 160]).reshape(-1, 160).mean(axis=1)
        values = levels[:, None, None] * np.ones((1, 2, 3), np.float32)
        return Features(values, frame_times(len(values), 0.01))


def write_wav(path, seconds, seed):
    """Bursts of noise; seed None: silence."""
    n = round(seconds * RATE)
    samples = np.zeros(n)
    if seed is not None:
        random = np.random.default_rng(seed)
        gate = np.repeat(random.random(n // 2000 + 1) < 0.7, 2000)[:n]
        samples = 0.3 * random.standard_normal(n) * gate
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes((samples * 32767).clip(-32767, 32767).astype("<i2").tobytes())
    return str(path)


@pytest.fixture
def go(tmp_path):
    """Run nodes on utterances, in this process."""

    def go(nodes, utterances):
        corpus = Corpus.from_utterances(utterances, name="w", family="sims", label_range=(-1, 1))
        corpus.write(tmp_path / "corpus.parquet")
        made = Recipe("w", Workflow("w", nodes), CorpusSpec(str(tmp_path)), {"name": "w"})
        return run(made, tmp_path / "cache", scheduler="sync")

    return go


def utterances(folder, texts, silent=()):
    splits = ("train", "valid", "test")
    return [
        Utterance(
            f"v/{i}",
            media=write_wav(folder / f"{i}.wav", 1.5 + 0.3 * i, None if i in silent else i),
            text=text,
            split=splits[i % 3],
            labels={"M": i / len(texts)},
        )
        for i, text in enumerate(texts)
    ]


def test_a_corpus_without_text_gets_it_from_a_recogniser(go, tmp_path, whisper_folder):
    asr = extractor("asr", model=str(whisper_folder), language="en")
    nodes = [
        Extract("asr", asr),
        Extract("text", extractor("vader"), {"transcript": "asr"}),
        Extract("levels", Levels()),
        Extract("aligned", extractor("pool-words"), {"words": "asr", "any": "levels"}),
    ]
    given = utterances(tmp_path, [""] * 3, silent=(2,))
    done = go(nodes, given)
    assert done.made == {"asr": 3, "text": 2, "levels": 3, "aligned": 2}
    for i in range(2):
        heard = as_text(asr(given[i].media))
        assert len(done.table("text")[i]) > 0
        np.testing.assert_array_equal(
            done.table("text")[i].values, extractor("vader")(heard).values
        )
        assert len(done.table("aligned")[i]) == len(word_spans(heard))
    failed = {failure.node: failure.message for failure in done.failures}
    assert set(failed) == {"text", "aligned"}
    assert "'v/2' has no word in its transcript ''" in failed["text"]
    again = go(nodes, given)
    assert again.made == {}


def test_all_that_is_pooled_over_words_has_their_rows(go, tmp_path, ctc_folder):
    nodes = [
        Extract("words", extractor("word-times", model=str(ctc_folder()))),
        Extract("levels", Levels()),
        Extract("aligned", extractor("pool-words"), {"words": "words", "any": "levels"}),
    ]
    done = go(nodes, utterances(tmp_path, TEXTS))
    assert done.ok
    words, aligned = done.table("words"), done.table("aligned")
    assert aligned.values.shape[1:] == (2, 3)
    np.testing.assert_array_equal(words.offsets, aligned.offsets)
    np.testing.assert_array_equal(words.lengths, [len(word_spans(text)) for text in TEXTS])
    np.testing.assert_array_equal(words.times, aligned.times)
    assert words.mask.sum() == len(words.mask) - 2  # 42 and an emoji
    assert done.workflow.modality("aligned") == "audio"
    assert done.workflow.modality("words") == "text"


def test_times_from_files_go_through_a_run(go, tmp_path):
    folder = tmp_path / "times"
    for i, text in enumerate(TEXTS):
        rows = [f"{w},{0.2 * k},{0.2 * k + 0.1}" for k, w in enumerate(text.split())]
        path = folder / "v" / f"{i}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(["word,start,end", *rows]))
    words = extractor("word-times-file", path=str(folder))
    levels = Extract("levels", Levels())
    pooled = Extract("aligned", extractor("pool-words"), {"words": "words", "any": "levels"})
    given = utterances(tmp_path, TEXTS)
    done = go([Extract("words", words), levels, pooled], given)
    assert done.made == {"words": 6, "levels": 6, "aligned": 6}
    (folder / "v" / "0.csv").write_text("word,start,end\nso,0.5,0.6\ngood,0.6,0.9\n")
    again = go([Extract("words", words), levels, pooled], given)
    assert again.made == {"words": 6, "aligned": 6}
    np.testing.assert_allclose(again.table("words")[0].times, [[0.5, 0.6], [0.6, 0.9]])


YAML = """
name: words
nodes:
  asr:     {{extract: asr, model: {whisper}}}
  text:    {{extract: vader, on: {{transcript: asr}}}}
  words:   {{extract: word-times, model: {ctc}, on: {{transcript: asr}}}}
  audio:   {{extract: librosa-33}}
  aligned: {{extract: pool-words, on: {{words: words, any: audio}}}}
  both:    {{fit: lf-dnn, on: [text, aligned], tasks: [M]}}
"""


def test_utterances_alike_but_for_their_names_have_their_own_words(go, tmp_path):
    folder = tmp_path / "aligned"
    folder.mkdir()
    for name, start in (("a", 0.1), ("b", 0.8)):
        (folder / f"{name}.csv").write_text(f"start,end,word\n{start},{start + 0.1},hello\n")
    media = write_wav(tmp_path / "one.wav", 1.0, 0)
    same = {"media": media, "text": "hello", "split": "train"}
    node = Extract("words", extractor("word-times-file", path=str(folder)))

    done = go([node], [Utterance("a", **same), Utterance("wrong", **same)])
    assert done.made == {"words": 1}
    assert [failure.utterance for failure in done.failures] == ["wrong"]

    done = go([node], [Utterance("a", **same), Utterance("b", **same)])
    assert done.made == {"words": 1}
    np.testing.assert_allclose(done.table("words").times, [[0.1, 0.2], [0.8, 0.9]])


def test_a_recipe_says_it_in_a_line_each(tmp_path, whisper_folder, ctc_folder):
    path = tmp_path / "words.yaml"
    path.write_text(YAML.format(whisper=whisper_folder, ctc=ctc_folder()))
    workflow = load_recipe(str(path)).workflow
    assert workflow.modality("aligned") == "audio"
    assert workflow.spec(workflow["aligned"])["values"].shape == (33,)
    assert len(workflow.spec(workflow["aligned"])["values"].columns) == 33
    assert workflow.streams(workflow["words"]) == ("audio",)


@pytest.mark.parametrize(
    ("on", "message"),
    [
        ({"words": "audio", "any": "audio"}, "'audio' .librosa-33. does not provide 'words'"),
        ({"words": "words"}, "reads 'words', 'any', its 'on' names 'words'"),
    ],
)
def test_words_must_come_from_a_node_that_gives_them(ctc_folder, on, message):
    nodes = {
        "audio": {"extract": "librosa-33"},
        "words": {"extract": "word-times", "model": str(ctc_folder())},
        "aligned": {"extract": "pool-words", "on": on},
    }
    with pytest.raises(BadRecipe, match=message):
        build({"name": "w", "nodes": nodes}, "w")
