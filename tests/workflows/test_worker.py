"""What a worker makes of a batch: shards of bounded size, warnings, files that change meanwhile."""

import os
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from affectflow.cache import runs
from affectflow.cache.errors import BadInput, BadMedia
from affectflow.cache.layout import shard_paths
from affectflow.cache.records import ArraySpec, Features, no_times
from affectflow.cache.shard_file import ShardFile
from affectflow.cache.store import FeatureStore
from affectflow.extract.base import Extractor, Needs
from affectflow.workflows import assign, output, worker
from affectflow.workflows.batch import Batch
from affectflow.workflows.nodes import Extract
from affectflow.workflows.pool import Answer, Here, WorkerDied
from affectflow.workflows.run import run

TEXTS = [f"{'word ' * (i % 9 + 1)}n{i}" for i in range(40)]


@dataclass(frozen=True)
class Company(Extractor):
    """How many letters all clips of the call have: depends on the batch, as none should."""

    name: ClassVar[str] = "company"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = "text"
    batched: ClassVar[bool] = True

    @property
    def needs(self):
        return Needs(text=True)

    @property
    def spec(self):
        return {"values": ArraySpec((1,))}

    def extract(self, clip):
        raise AssertionError("many is called")

    def many(self, clips, device="cpu"):
        total = float(sum(len(clip.text) for clip in clips))
        for _ in clips:
            yield Features(np.array([[total]], np.float32), no_times(1))


@dataclass(frozen=True)
class Loud(Extractor):
    """Warns of every text with the word ``loud``, fails at ``bad``."""

    name: ClassVar[str] = "loud"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = "audio"

    @property
    def needs(self):
        return Needs(text=True)

    @property
    def spec(self):
        return {"values": ArraySpec((1,))}

    def extract(self, clip):
        if "loud" in clip.text:
            clip.warn("it clips in 3 places")
            clip.warn("it has an offset")
        if "bad" in clip.text:
            raise BadInput("a bad word")
        if "bug" in clip.text:
            raise AssertionError
        return Features(np.ones((1, 1), np.float32), no_times(1))


@dataclass(frozen=True)
class Sound(Loud):
    """A number for each file of sound; the file itself is not opened."""

    name: ClassVar[str] = "sound"
    provides: ClassVar[str] = "letters"

    @property
    def needs(self):
        return Needs(audio=16000)

    def extract(self, clip):
        return Features(np.ones((1, 1), np.float32), no_times(1))


def shards(store):
    """Keys of each shard by node's folder."""
    names = [path.name for path in (store.root / "shards").glob("*")]
    return {n: [ShardFile(path).keys for path in shard_paths(store.root, n)] for n in names}


def go(toys, folder, texts, nodes, cache="cache", **given):
    return run(toys.recipe(folder, texts, nodes, **given), folder / cache, scheduler="sync")


def test_a_shard_is_published_as_soon_as_it_is_full(toys, tmp_path, monkeypatch):
    whole = go(toys, tmp_path, TEXTS, None, "whole")
    monkeypatch.setattr(output, "SHARD_BYTES", 3 * 100)
    parts = go(toys, tmp_path, TEXTS, None, "parts")
    assert parts.made == whole.made
    few, many = shards(whole.store), shards(parts.store)
    for node, found in many.items():
        assert len(found) > len(few[node])
        assert max(map(len, found)) < 8
        assert sorted(k for s in found for k in s) == sorted(k for s in few[node] for k in s)
    for node in ("letters", "doubled"):
        np.testing.assert_array_equal(parts.table(node).values, whole.table(node).values)
    assert go(toys, tmp_path, TEXTS, None, "parts").made == {}


def test_a_shard_is_published_when_ten_minutes_of_work_are_in_it(toys, tmp_path, monkeypatch):
    assert output.SHARD_SECONDS == 600
    monkeypatch.setattr(output, "SHARD_SECONDS", 0.0)
    done = go(toys, tmp_path, TEXTS[:12], None)
    assert [[len(s) for s in found] for found in shards(done.store).values()] == [[1] * 12] * 2


def test_a_killed_run_loses_only_what_was_not_published(toys, tmp_path, monkeypatch):
    monkeypatch.setattr(output, "SHARD_BYTES", 3 * 100)
    write, left = FeatureStore.write, [5]

    def killed(self, *args, **kwargs):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return write(self, *args, **kwargs)

    monkeypatch.setattr(FeatureStore, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        go(toys, tmp_path, TEXTS, None)
    monkeypatch.setattr(FeatureStore, "write", write)
    done = go(toys, tmp_path, TEXTS, None)
    assert done.ok
    assert 0 < sum(done.made.values()) < 80
    keys = [key for found in shards(done.store).values() for keys in found for key in keys]
    assert len(keys) == len(set(keys)) == 80


def test_what_a_killed_run_left_is_made_in_the_same_groups(toys, tmp_path, monkeypatch):
    monkeypatch.setattr(assign, "LARGEST_GROUP", 4)
    monkeypatch.setattr(assign, "SMALLEST", 32)
    monkeypatch.setattr(output, "SHARD_BYTES", 1)
    nodes = [Extract("company", Company())]
    calm = go(toys, tmp_path, TEXTS, nodes, "calm")
    assert len(set(calm.table("company").values.ravel().tolist())) > 4  # groups, not partitions
    write, left = FeatureStore.write, [3]

    def killed(self, *args, **kwargs):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return write(self, *args, **kwargs)

    monkeypatch.setattr(FeatureStore, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        go(toys, tmp_path, TEXTS, nodes)
    monkeypatch.setattr(FeatureStore, "write", write)
    done = go(toys, tmp_path, TEXTS, nodes)
    assert 0 < done.made["company"] < 40
    np.testing.assert_array_equal(done.table("company").values, calm.table("company").values)


def test_groups_are_small_where_rows_are_large():
    row = {"hop": 0.02, "dtype": "float16"}
    assert assign.group_size({"values": ArraySpec((768,), **row)}) == 64
    assert assign.group_size({"values": ArraySpec((25, 1024), **row)}) == 4
    assert assign.group_size({"values": ArraySpec((13, 768), **row)}) == 6
    assert assign.group_size({"values": ArraySpec((768,), "float16")}) == 64


class Dying(Here):
    """A pool whose worker dies once, after it has published a part of its batch."""

    def __init__(self):
        super().__init__()
        self.died = False

    def submit(self, function, task):
        super().submit(function, task)
        if isinstance(task, Batch) and not self.died:
            self.died = True
            self._answers = [Answer(task, error=WorkerDied("signal 9"))]


def test_what_a_dead_worker_had_published_is_not_made_again(toys, tmp_path, monkeypatch):
    monkeypatch.setattr(output, "SHARD_BYTES", 3 * 100)
    monkeypatch.setattr("affectflow.workflows.run.open_pool", lambda *_: Dying())
    calls = []
    extract = toys.Letters.extract
    monkeypatch.setattr(
        toys.Letters, "extract", lambda self, clip: calls.append(clip.id) or extract(self, clip)
    )
    done = go(toys, tmp_path, TEXTS, None)
    assert done.ok
    assert done.made == {"letters": 40, "doubled": 40}
    assert len(calls) == len(set(calls)) == 40


def test_warnings_of_an_utterance_are_recorded_and_told_again_from_the_cache(toys, tmp_path):
    nodes = [Extract("first", Loud()), Extract("second", Sums())]
    texts = ["so loud", "quiet", "loud and bad", *TEXTS]
    done = go(toys, tmp_path, texts, nodes)
    told = [(w.node, w.utterance, w.message) for w in done.warnings]
    assert told == [
        ("first", "v/000", "it clips in 3 places"),
        ("first", "v/000", "it has an offset"),
    ]
    assert [f.utterance for f in done.failures] == ["v/002"]  # warned too, but has no features
    again = go(toys, tmp_path, texts, nodes)
    assert again.made == {}
    assert again.warnings == done.warnings
    other = go(toys, tmp_path, ["quiet", "so loud"], [Extract("other", Loud())])
    assert {(w.node, w.utterance) for w in other.warnings} == {("other", "v/001")}


def test_a_failure_that_says_nothing_is_recorded_by_its_kind(toys, tmp_path):
    done = go(toys, tmp_path, ["a bug", "fine"], [Extract("loud", Loud())])
    assert [f.message for f in done.failures] == ["AssertionError()"]


def test_warnings_never_change_how_a_run_ends(toys, tmp_path):
    done = go(toys, tmp_path, ["so loud"], [Extract("first", Loud())])
    assert done.ok
    assert len(done.warnings) == 2


def test_warnings_of_a_killed_run_are_kept_with_what_it_published(toys, tmp_path, monkeypatch):
    add = FeatureStore.add

    def killed(self, shards):
        raise KeyboardInterrupt

    monkeypatch.setattr(FeatureStore, "add", killed)
    nodes = [Extract("first", Loud())]
    with pytest.raises(KeyboardInterrupt):
        go(toys, tmp_path, ["so loud"], nodes)
    monkeypatch.setattr(FeatureStore, "add", add)
    done = go(toys, tmp_path, ["so loud"], nodes)
    assert done.made == {}
    assert len(done.warnings) == 2


def test_a_damaged_record_of_warnings_is_named(toys, tmp_path):
    done = go(toys, tmp_path, ["so loud"], [Extract("first", Loud())])
    [path] = done.folder.glob("warnings-*.json")
    path.write_text("{}")
    with pytest.raises(runs.Damaged, match="record .*warnings-.* is damaged .*: delete it"):
        runs.read_warnings(done.store.root, done.states["first"].fingerprint)


@dataclass(frozen=True)
class Sums(Extractor):
    """A number beside the loud one, on the same clip."""

    name: ClassVar[str] = "sums"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = "audio"

    @property
    def needs(self):
        return Needs(text=True)

    @property
    def spec(self):
        return {"values": ArraySpec((1,))}

    def extract(self, clip):
        assert clip.warnings == []
        return Features(np.ones((1, 1), np.float32), no_times(1))


def rewrite(path, content=b"other content"):
    path.write_bytes(content)
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1_000_000))


def test_a_file_that_changes_while_the_run_goes_on_is_not_stored_under_its_old_key(
    toys, tmp_path, monkeypatch
):
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"some content")
    calls = []
    extract = Sound.extract

    def change(self, clip_):
        calls.append(clip_.id)
        rewrite(clip)
        return extract(self, clip_)

    monkeypatch.setattr(Sound, "extract", change)
    nodes = [Extract("sound", Sound()), Extract("more", toys.Doubled(), {"letters": "sound"})]
    done = go(toys, tmp_path, TEXTS[:1], nodes, media=str(clip))
    assert done.made == {}
    assert [(f.node, f.error, f.transient) for f in done.failures] == [
        ("sound", "MediaChanged", True)
    ]
    message = f"'{clip}' changed while the run went on; run again to take it as it is now"
    assert done.failures[0].message == message
    assert len(calls) == 1  # another try under the same key would fail again
    assert not list((tmp_path / "cache").rglob("*.h5"))
    monkeypatch.setattr(Sound, "extract", extract)
    again = go(toys, tmp_path, TEXTS[:1], nodes, media=str(clip))
    assert again.ok
    assert again.made == {"sound": 1, "more": 1}


def test_a_file_of_the_same_size_that_changed_before_its_turn_is_seen(toys, tmp_path, monkeypatch):
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"some content")
    make = worker.make_batch

    def late(batch):
        rewrite(clip, b"same  length")
        return make(batch)

    monkeypatch.setitem(worker_functions(), Batch, late)
    done = go(toys, tmp_path, TEXTS[:1], [Extract("sound", Sound())], media=str(clip))
    assert [f.error for f in done.failures] == ["MediaChanged"]


def test_a_failure_of_a_file_that_changed_is_laid_to_the_change(toys, tmp_path, monkeypatch):
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"some content")

    def half_written(self, clip_):
        rewrite(clip)
        raise BadMedia("truncated")

    monkeypatch.setattr(Sound, "extract", half_written)
    done = go(toys, tmp_path, TEXTS[:1], [Extract("sound", Sound())], media=str(clip))
    assert [(f.error, f.transient) for f in done.failures] == [("MediaChanged", True)]


def test_text_is_made_though_the_media_beside_it_change(toys, tmp_path, monkeypatch):
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"some content")
    extract = Loud.extract

    def change(self, clip_):
        rewrite(clip)
        return extract(self, clip_)

    monkeypatch.setattr(Loud, "extract", change)
    assert go(toys, tmp_path, TEXTS[:1], [Extract("loud", Loud())], media=str(clip)).ok


@dataclass(frozen=True)
class Pictures(Loud):
    """How many pictures the clip says to decode ahead."""

    name: ClassVar[str] = "pictures"

    @property
    def needs(self):
        return Needs(frames=10)

    def extract(self, clip):
        return Features(np.array([[clip.ahead]], np.float32), no_times(1))


@pytest.mark.parametrize(("device", "ahead"), [("cpu", 0), ("cuda", worker.AHEAD)])
def test_pictures_are_decoded_ahead_for_a_gpu(
    toys, tmp_path, clip_path, monkeypatch, device, ahead
):
    monkeypatch.setattr("affectflow.workflows.run.check_device", lambda device: None)
    made = toys.recipe(tmp_path, ["a"], [Extract("x", Pictures())], media=str(clip_path))
    done = run(made, tmp_path / "cache", scheduler="sync", device=device)
    assert done.table("x").values.tolist() == [[ahead]]


def worker_functions():
    from affectflow.workflows import driver

    return driver._FUNCTIONS
