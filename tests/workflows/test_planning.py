"""What a driver holds of a corpus, and when it makes the tasks; the short version of million.py."""

import gc
import tracemalloc
from collections import deque
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from affectflow.cache import digests
from affectflow.cache.corpus import Corpus
from affectflow.cache.store import FeatureStore
from affectflow.extract.base import Needs
from affectflow.workflows import given, key_column, plan
from affectflow.workflows.assign import Assignment
from affectflow.workflows.given import Given
from affectflow.workflows.graph import Workflow
from affectflow.workflows.key_column import KeyColumn
from affectflow.workflows.nodes import Extract
from affectflow.workflows.plan import Board
from affectflow.workflows.pool import Answer, Here, WorkerDied
from affectflow.workflows.run import run

TEXTS = [f"{chr(97 + i % 26)} word {i}" for i in range(48)]


def segments(folder, n, each=50):
    """A corpus of n segments, so many of each file."""
    folder.mkdir()
    media = [folder / f"{i}.mp4" for i in range(-(-n // each))]
    for i, path in enumerate(media):
        path.write_bytes(b"%d" % i)
    columns = {
        "id": [f"video_{i // each}/{i % each}" for i in range(n)],
        "media": [str(media[i // each]) for i in range(n)],
        "start": [float(i % each) for i in range(n)],
    }
    return Corpus.from_columns(columns, name="segments")


@pytest.fixture
def small_waves(monkeypatch):
    """Utterances gone through together are few beside those of the corpora here."""
    for module in (given, key_column, plan):
        monkeypatch.setattr(module, "WAVE", 128)
    monkeypatch.setattr(digests, "_WAVE", 128)


def heard(toys):
    @dataclass(frozen=True)
    class Heard(toys.Letters):
        name: ClassVar[str] = "heard"
        modality: ClassVar[str] = "audio"

        @property
        def needs(self):
            return Needs(audio=16000)

    return Workflow("heard", [Extract("heard", Heard())])


def test_a_driver_holds_less_than_150_bytes_an_utterance_beside_the_table(
    toys, tmp_path, small_waves
):
    workflow = heard(toys)

    def most(n):
        corpus = segments(tmp_path / f"{n}", n)
        store = FeatureStore(tmp_path / f"cache{n}")
        gc.collect()
        tracemalloc.start()
        board = Board(workflow, corpus, store, {})
        board.look_all()
        tasks = Assignment(board, "run", "cpu", False).batches(list(board.states.values()))
        assert sum(len(task.clips) for task in tasks) == n
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        store.close()
        return peak

    most(500)  # what is loaded once
    assert (most(4000) - most(1500)) / 2500 < 150


def test_batches_are_made_when_they_are_sent(toys, tmp_path, monkeypatch):
    made, ahead = [], []
    real, extract = Assignment.batches, toys.Letters.extract

    def counted(self, states):
        for task in real(self, states):
            made.append(len(task.clips))
            yield task

    def watched(self, clip):
        ahead.append(sum(made) - len(ahead))
        return extract(self, clip)

    monkeypatch.setattr(Assignment, "batches", counted)
    monkeypatch.setattr(toys.Letters, "extract", watched)
    done = run(toys.recipe(tmp_path, TEXTS), tmp_path / "cache", scheduler="sync")
    assert done.made["letters"] == sum(made) == 48
    assert len(made) > 4
    assert max(ahead) <= max(made)  # none but the one that runs


def test_an_index_is_asked_for_a_wave_of_keys_at_a_time(toys, tmp_path, small_waves, monkeypatch):
    asked = []
    real = FeatureStore.has

    def has(self, node, keys):
        asked.append(len(keys))
        return real(self, node, keys)

    monkeypatch.setattr(FeatureStore, "has", has)
    board = Board(heard(toys), segments(tmp_path / "media", 300), FeatureStore(tmp_path / "c"), {})
    board.look_all()
    assert asked == [128, 128, 44]


class Cluster(Here):
    """Four workers with three tasks each; one that meets the guilty clip dies with all it has.

    Attributes:
        guilty: id of the clip; the first of all.
        companies: how many tasks were in flight whenever one with this clip was begun.
    """

    workers = 4

    def __init__(self):
        super().__init__()
        self.queues = [deque() for _ in range(4)]
        self.guilty, self.companies = "", []

    @property
    def room(self):
        return sum(map(len, self.queues)) < 12

    @property
    def busy(self):
        return any(self.queues) or bool(self._answers)

    def submit(self, function, task):
        self.guilty = self.guilty or task.clips[0].id
        min(self.queues, key=len).append((function, task))

    def next(self):
        if not self._answers:
            queue = max(self.queues, key=len)
            if self.guilty in {clip.id for clip in queue[0][1].clips}:
                self.companies.append(sum(map(len, self.queues)))
                died = WorkerDied("signal 11")
                self._answers += [Answer(task, error=died) for _, task in queue]
                queue.clear()
            else:
                super().submit(*queue.popleft())
        return self._answers.pop(0)


def test_suspects_of_many_run_side_by_side_and_the_guilty_one_alone(toys, tmp_path, monkeypatch):
    monkeypatch.setattr("affectflow.workflows.assign.LARGEST", 4)
    pool = Cluster()
    monkeypatch.setattr("affectflow.workflows.run.open_pool", lambda *_: pool)
    done = run(toys.recipe(tmp_path, TEXTS), tmp_path / "cache")
    assert {(f.utterance, f.error) for f in done.failures} == {(pool.guilty, "WorkerDied")}
    assert done.made["letters"] == 47
    among_all, among_suspects, *alone = pool.companies
    assert among_all > 4
    assert among_suspects == 3  # with those that had waited where it died
    assert set(alone) == {1}


def test_a_column_of_keys_is_a_sequence_of_keys():
    keys = [b"a" * 16, None, b"b" * 15 + b"\0", b"a" * 16]
    column = KeyColumn.of(iter(keys), 4)
    assert list(column) == [column[i] for i in range(4)] == list(column[:]) == keys
    assert list(column[1:3]) == keys[1:3]
    assert column.some(np.array([2, 0])) == [keys[2], keys[0]]
    assert column.first(np.array([0, 2, 3])).tolist() == [0, 2]
    assert not KeyColumn.of(())


def test_what_utterances_give_is_kept_by_number(tmp_path):
    clip = tmp_path / "a.mp4"
    clip.write_bytes(b"a")
    corpus = Corpus.from_columns(
        {"id": ["1", "2", "3", "4"], "media": [str(clip), "", str(tmp_path / "no"), str(clip)]},
        name="x",
    )
    found = Given(corpus, {"media", "text"})
    assert found.there["media"].tolist() == [True, False, False, True]
    assert found.digest(0, "media") == found.digest(3, "media") != found.digest(0, "text")
    assert found.digest(1, "media") is found.digest(0, "name") is None
    assert found.fault(1) == "no media file is given for this utterance"
    assert found.fault(2) == f"cannot read '{tmp_path / 'no'}': No such file or directory"
    assert set(found.doubles) == {"1", "4"}
    looks = [clip.look and clip.look.size for clip in found.clips(np.array([3, 2, 1]))]
    assert looks == [1, None, None]


def test_a_corpus_digest_does_not_depend_on_how_many_texts_are_put_in_order_together(monkeypatch):
    folder = "/vidéos/"
    columns = {
        "id": ["b", "é", "a", "😀", ""],
        "media": [f"{folder}b/1", "", f"{folder}a/é", f"{folder}a/1", f"{folder}b/2"],
        "text": ["", "zwei 😀", "é", "x", ""],
    }
    corpus = Corpus.from_columns(columns, name="x")
    whole = corpus.digest()
    monkeypatch.setattr("affectflow.cache.corpus_columns._WAVE", 2)
    assert corpus.digest() == whole
    moved = [path.replace(folder, "/elsewhere/") for path in columns["media"]]
    assert Corpus.from_columns(columns | {"media": moved}, name="y").digest() == whole
