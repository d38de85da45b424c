import json
import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from affectflow.cache import runs
from affectflow.cache.errors import (
    AffectflowError,
    BadCall,
    BadCorpus,
    BadInput,
    BadMedia,
    MixedVersions,
    NotCached,
    StoreFull,
)
from affectflow.cache.leases import Lease
from affectflow.cache.records import ArraySpec, Features, no_times
from affectflow.cache.store import FeatureStore
from affectflow.extract.base import Extractor, Needs
from affectflow.workflows import batch, driver, worker
from affectflow.workflows.console_run import show_run
from affectflow.workflows.nodes import Extract
from affectflow.workflows.pool import Answer, Here, WorkerDied
from affectflow.workflows.result import Reporter
from affectflow.workflows.run import plan_run, run

TEXTS = [f"{'word ' * (i % 9 + 1)}n{i}" for i in range(24)]
FITS = {
    "f": {"fit": "sf", "on": ["letters", "doubled"], "tasks": ["M"], "seeds": 2, "epochs": 3},
    "h": {"encode": "f"},
    "g": {"fit": "fmlmsn-meta", "on": ["h"], "tasks": ["M"], "seeds": 2, "epochs": 3},
}


class Heard(Reporter):
    def __init__(self):
        self.started, self.done, self.failed, self.notes = {}, {}, {}, []

    def start(self, stage, total):
        self.started[stage] = self.started.get(stage, 0) + total

    def advance(self, stage, done, failed=0):
        self.done[stage] = self.done.get(stage, 0) + done
        self.failed[stage] = self.failed.get(stage, 0) + failed

    def note(self, text):
        self.notes.append(text)


def go(toys, folder, texts=TEXTS, fits=None, **given):
    made = toys.recipe(folder, texts, fits=fits, **given.pop("fields", {}))
    given.setdefault("scheduler", "sync")
    return run(made, folder / "cache", **given)


def test_makes_every_feature_and_reads_it_back(toys, tmp_path):
    done = go(toys, tmp_path)
    assert done.ok
    assert done.made == {"letters": 24, "doubled": 24}
    table = done.table("doubled")
    np.testing.assert_array_equal(table[0].values, done.table("letters")[0].values * 2)
    assert table.ids == tuple(done.corpus.ids)


def test_the_second_run_makes_nothing(toys, tmp_path, monkeypatch):
    go(toys, tmp_path, fits=FITS)
    monkeypatch.setattr(driver, "Lease", None)  # a run that has work to do takes a lease
    again = go(toys, tmp_path, fits=FITS)
    assert (again.made, again.n_features_made, again.n_fits_made) == ({}, 0, 0)
    assert not again.changed


def test_what_two_nodes_make_alike_is_made_and_counted_once(toys, tmp_path, monkeypatch):
    twins = [
        Extract("letters", toys.Letters()),
        Extract("again", toys.Letters()),
        Extract("doubled", toys.Doubled(), {"letters": "letters"}),
        Extract("doubled_again", toys.Doubled(), {"letters": "again"}),
    ]
    heard = Heard()
    texts = ["bad word", *TEXTS]
    done = run(
        toys.recipe(tmp_path, texts, twins), tmp_path / "c", scheduler="sync", reporter=heard
    )
    assert done.made == heard.done == {"letters": 24, "doubled": 24}
    assert done.table("doubled_again").present.tolist() == [False] + [True] * 24
    assert heard.failed == {"letters": 1, "doubled": 1}, "a bad word is not tried twice either"


def test_of_two_fits_that_are_alike_one_is_trained(toys, tmp_path):
    fit = {"fit": "sf", "on": ["letters"], "tasks": ["M"], "seeds": 1, "epochs": 2}
    fits = {"one": fit, "other": fit, "h": {"encode": "other"}}
    done = go(toys, tmp_path, fits=fits)
    assert not done.errors
    assert done.made == {"letters": 24, "doubled": 24, "one": 1, "h": 24}
    assert done.states["other"].checkpoint.digest == done.states["one"].checkpoint.digest


def test_a_changed_setting_makes_the_nodes_below_it_and_nothing_else(toys, tmp_path):
    go(toys, tmp_path)
    nodes = [
        Extract("letters", toys.Letters()),
        Extract("scaled", toys.Letters(scale=2)),
        Extract("doubled", toys.Doubled(), {"letters": "scaled"}),
    ]
    plan = plan_run(toys.recipe(tmp_path, TEXTS, nodes), tmp_path / "cache")
    assert [(s.node.name, s.n_cached, len(s.todo)) for s in plan] == [
        ("letters", 24, 0),
        ("scaled", 0, 24),
        ("doubled", 0, 24),
    ]
    assert plan[1].why == "scale: 1.0 -> 2.0"
    assert plan[2].why == "input letters: scale: 1.0 -> 2.0"


def test_one_more_utterance_makes_one_more_feature(toys, tmp_path):
    go(toys, tmp_path)
    assert go(toys, tmp_path, [*TEXTS, "one more"]).made == {"letters": 1, "doubled": 1}


def test_a_corrected_transcript_is_made_anew_and_only_it(toys, tmp_path):
    go(toys, tmp_path)
    assert go(toys, tmp_path, ["corrected", *TEXTS[1:]]).made == {"letters": 1, "doubled": 1}


def test_failures_are_recorded_masked_and_not_tried_again(toys, tmp_path):
    texts = ["bad word", "", *TEXTS]
    media = {"fields": {"media": "clip.mp4"}}
    done = go(toys, tmp_path, texts, **media)
    assert not done.ok
    assert {f.utterance: f.message for f in done.failures} == {
        "v/000": "a bad word",
        "v/001": "'v/001' has an empty transcript",
    }
    assert done.table("doubled").present.tolist() == [False] * 2 + [True] * 24
    again = go(toys, tmp_path, texts, **media)
    assert again.made == {}
    assert again.failures == done.failures


def test_utterances_that_are_alike_share_one_feature(toys, tmp_path):
    done = go(toys, tmp_path, ["same", "same", "bad", "bad"], kinds=("extract",))
    assert done.made == {"letters": 1, "doubled": 1}
    assert [f.utterance for f in done.failures] == ["v/002", "v/003"]
    assert done.table("letters").present.tolist() == [True, True, False, False]


def test_retry_failed_tries_again(toys, tmp_path, monkeypatch):
    texts = ["bad word", *TEXTS]
    go(toys, tmp_path, texts)
    monkeypatch.setattr(toys.Letters, "extract", lambda self, clip: toys_answer(clip))
    again = go(toys, tmp_path, texts, retry_failed=True)
    assert again.ok
    assert again.made == {"letters": 1, "doubled": 1}


def toys_answer(clip):
    return Features(np.ones((1, 1), np.float32), no_times(1), ("letters",))


def test_a_bug_in_an_extractor_is_recorded_with_its_traceback(toys, tmp_path):
    failed = go(toys, tmp_path, ["boom", *TEXTS]).failures
    assert [(f.error, f.message) for f in failed] == [("RuntimeError", "a bug")]
    assert "raise RuntimeError" in failed[0].traceback


def test_strict_stops_at_the_first_failure(toys, tmp_path):
    with pytest.raises(AffectflowError, match="--strict.: 'v/000' at node 'letters': a bad word"):
        go(toys, tmp_path, ["bad word", *TEXTS], strict=True)


def test_a_full_disk_ends_the_run_with_a_clear_error_and_loses_nothing(toys, tmp_path, monkeypatch):
    texts = TEXTS
    written = FeatureStore.write
    calls = []

    def full(self, *args, **kwargs):
        calls.append(args)
        if len(calls) > 2:
            raise StoreFull("no room left on the device of 'cache': free some and run again")
        return written(self, *args, **kwargs)

    monkeypatch.setattr(FeatureStore, "write", full)
    with pytest.raises(StoreFull, match="no room left .* run again"):
        go(toys, tmp_path, texts)
    monkeypatch.setattr(FeatureStore, "write", written)
    done = go(toys, tmp_path, texts)
    assert done.ok
    assert 0 < sum(done.made.values()) < 48


def test_an_operating_system_error_is_tried_again(toys, tmp_path, monkeypatch):
    tries = []
    extract = toys.Letters.extract

    def flaky(self, clip):
        if clip.id == "v/003":
            tries.append(clip.id)
            if len(tries) < 2:
                raise OSError("the network folder went away")
        return extract(self, clip)

    monkeypatch.setattr(toys.Letters, "extract", flaky)
    done = go(toys, tmp_path)
    assert done.ok
    assert len(tries) == 2


def test_an_error_that_stays_is_a_failure_now_and_tried_in_the_next_run(
    toys, tmp_path, monkeypatch
):
    extract = toys.Letters.extract

    def broken(self, clip):
        if clip.id == "v/003":
            raise OSError("the network folder went away")
        return extract(self, clip)

    monkeypatch.setattr(toys.Letters, "extract", broken)
    done = go(toys, tmp_path, fits=FITS)
    assert [f.message for f in done.failures] == ["the network folder went away"]
    assert done.n_fits_made == 2
    monkeypatch.setattr(toys.Letters, "extract", extract)
    again = go(toys, tmp_path, fits=FITS)
    assert again.ok
    assert again.made["letters"] == 1


class Deadly(Here):
    """A pool whose worker dies of one utterance."""

    def submit(self, function, task):
        if isinstance(task, batch.Batch) and any(clip.id == "v/005" for clip in task.clips):
            self._answers.append(Answer(task, error=WorkerDied("signal 11")))
        else:
            super().submit(function, task)


def test_a_clip_that_kills_its_worker_is_found_by_bisection(toys, tmp_path, monkeypatch):
    monkeypatch.setattr("affectflow.workflows.run.open_pool", lambda *_: Deadly())
    done = go(toys, tmp_path)
    assert {(f.utterance, f.error) for f in done.failures} == {("v/005", "WorkerDied")}
    assert "worker process died on 'v/005'" in done.failures[0].message
    assert done.made["letters"] == 23


def test_fits_and_encodes_run_on_cached_features(toys, tmp_path):
    done = go(toys, tmp_path, fits=FITS)
    assert done.made == {"letters": 24, "doubled": 24, "f": 1, "h": 24, "g": 1}
    assert done.table("h").values.shape == (24, 128)
    scores = done.scores()
    assert set(scores.fit) == {"f", "g"}
    assert set(scores.seed) == {0, 1}


def changed_by(toys, tmp_path, **fields):
    go(toys, tmp_path, fits=FITS)
    return go(toys, tmp_path, fits=FITS, fields=fields).made


def test_a_corrected_label_fits_again_and_extracts_nothing(toys, tmp_path):
    labels = [0.5] * 24
    assert changed_by(toys, tmp_path, labels=labels) == {"f": 1, "h": 24, "g": 1}


def test_a_changed_split_fits_again_and_extracts_nothing(toys, tmp_path):
    splits = (["train", "valid", "test"] * 8)[::-1]
    assert changed_by(toys, tmp_path, splits=splits) == {"f": 1, "h": 24, "g": 1}


def test_a_retried_clip_fits_again(toys, tmp_path, monkeypatch):
    texts = ["bad word", *TEXTS[1:]]
    first = go(toys, tmp_path, texts, fits=FITS)
    assert first.n_fits_made == 2
    monkeypatch.setattr(toys.Letters, "extract", lambda self, clip: toys_answer(clip))
    again = go(toys, tmp_path, texts, fits=FITS, retry_failed=True)
    assert again.made == {"letters": 1, "doubled": 1, "f": 1, "h": 24, "g": 1}


def test_what_depends_on_a_fit_is_unknown_until_it_is_done(toys, tmp_path):
    plan = plan_run(toys.recipe(tmp_path, TEXTS, fits=FITS), tmp_path / "cache")
    whys = {s.node.name: s.why for s in plan}
    assert whys["f"] == "unknown until letters, doubled is done"
    assert whys["h"] == "unknown until f, letters, doubled is done"
    assert all(not s.fingerprint for s in plan[2:])


def test_train_alone_refuses_to_extract(toys, tmp_path):
    with pytest.raises(NotCached, match="'letters': features of 24 utterances are not cached; run"):
        go(toys, tmp_path, fits=FITS, kinds=("fit", "encode"))


def test_extract_alone_trains_nothing(toys, tmp_path):
    done = go(toys, tmp_path, fits=FITS, kinds=("extract",))
    assert done.made == {"letters": 24, "doubled": 24}
    assert go(toys, tmp_path, fits=FITS, kinds=("fit", "encode")).n_fits_made == 2


def test_until_runs_a_part_of_the_graph(toys, tmp_path):
    assert go(toys, tmp_path, fits=FITS, until=("letters",)).made == {"letters": 24}


def test_a_label_column_that_is_missing_is_said_before_anything_runs(toys, tmp_path):
    fits = {"f": {**FITS["f"], "tasks": ["T", "M"]}}
    message = r"node 'f' learns from the label column\(s\) T, .* it has M.* --set f.labels=M"
    with pytest.raises(BadCall, match=message):
        go(toys, tmp_path, fits=fits)
    assert not (tmp_path / "cache" / "shards").exists()


@pytest.mark.parametrize("tasks", [["emotion"], ["T", "emotion"]])
def test_a_column_of_classes_that_is_missing_is_not_said_to_be_learned_from_m(
    toys, tmp_path, tasks
):
    fits = {"f": {**FITS["f"], "tasks": tasks}}
    message = r"emotion, which this corpus has not; it has M\. Give its table such a column, or"
    with pytest.raises(BadCall, match=message) as caught:
        go(toys, tmp_path, fits=fits)
    assert "labels=M" not in str(caught.value)


def test_an_empty_split_is_said_before_anything_runs(toys, tmp_path):
    with pytest.raises(BadCorpus, match="valid"):
        go(toys, tmp_path, fits=FITS, fields={"splits": ["train", "test"] * 12})


def test_a_fit_that_fails_leaves_the_others_alone(toys, tmp_path):
    labels = [0.1, 0.2, 0.3] * 8
    fits = {
        "f": {**FITS["f"], "lr": 1e30, "epochs": 50},
        "ok": {**FITS["f"]},
    }
    done = go(toys, tmp_path, fits=fits, fields={"labels": labels})
    assert not done.ok
    assert list(done.errors) == ["f"]
    assert "loss" in done.errors["f"]
    assert done.states["ok"].checkpoint is not None


def test_what_needs_a_fit_that_failed_says_that_it_was_skipped(toys, tmp_path, capsys):
    bad = {**FITS["f"], "lr": 1e30, "epochs": 50}
    done = go(toys, tmp_path, fits={**FITS, "f": bad}, fields={"labels": [0.1, 0.2, 0.3] * 8})
    assert list(done.errors) == ["f"]
    assert done.skipped == {"h": "f", "g": "f"}
    show_run(done)
    assert "g: skipped, for it needs 'f', which failed" in capsys.readouterr().err
    assert "<dt>g</dt><dd>skipped, for it needs f</dd>" in done.report().read_text()


def test_a_batch_that_another_driver_has_claimed_is_waited_for(toys, tmp_path, monkeypatch):
    made = toys.recipe(tmp_path, TEXTS)
    slept = []
    with Lease(tmp_path / "cache") as other:
        taken = []
        claim = Lease.claim

        def first_is_taken(self, name):
            if not taken:
                taken.append(name)
                other.claim(name)
            return claim(self, name)

        def wait(seconds):
            slept.append(seconds)
            other.release(taken[0])

        monkeypatch.setattr(Lease, "claim", first_is_taken)
        monkeypatch.setattr(time, "sleep", wait)
        done = run(made, tmp_path / "cache", scheduler="sync")
    assert slept
    assert done.made == {"letters": 24, "doubled": 24}


def test_reports_progress_by_node(toys, tmp_path):
    heard = Heard()
    go(toys, tmp_path, ["bad", *TEXTS], reporter=heard)
    assert heard.started == {"letters": 25, "doubled": 25}
    assert heard.done == {"letters": 24, "doubled": 24}
    assert heard.failed["letters"] == 1


def test_interrupted_between_publishing_and_indexing_loses_nothing(toys, tmp_path, monkeypatch):
    add = FeatureStore.add

    def killed(self, shards):
        raise KeyboardInterrupt

    monkeypatch.setattr(FeatureStore, "add", killed)
    with pytest.raises(KeyboardInterrupt):
        go(toys, tmp_path)
    monkeypatch.setattr(FeatureStore, "add", add)
    made = go(toys, tmp_path).made
    assert sum(made.values()) < 48


def test_the_same_recipe_and_corpus_have_one_run_folder(toys, tmp_path):
    first, second = go(toys, tmp_path), go(toys, tmp_path)
    assert first.id == second.id
    assert go(toys, tmp_path, [*TEXTS, "x"]).id != first.id


def test_what_a_run_did_is_recorded(toys, tmp_path):
    done = go(toys, tmp_path)
    records = list(runs.read_records(done.store.root, done.id, "run").values())
    assert len(records) == 1
    assert records[0]["made"] == {"letters": 24, "doubled": 24}
    assert json.dumps(records[0])


@pytest.mark.slow
def test_workers_give_the_same_bits_as_this_process(tmp_path, toys):
    from affectflow.workflows.corpora import CorpusSpec
    from affectflow.workflows.recipe import Recipe, build

    toys.corpus(TEXTS).write(tmp_path / "corpus.parquet")
    source = {"name": "r", "nodes": {"text": {"extract": "vader"}}}
    recipe = Recipe("r", build(source, "r").workflow, CorpusSpec(str(tmp_path)), source)
    here = run(recipe, tmp_path / "a", scheduler="sync")
    there = run(recipe, tmp_path / "b", workers=2)
    assert here.made == there.made == {"text": 24}
    np.testing.assert_array_equal(here.table("text").values, there.table("text").values)


def test_features_of_two_library_versions_are_joined_only_when_allowed(toys, tmp_path, monkeypatch):
    from affectflow.workflows.nodes import Extract

    monkeypatch.setattr(Extract, "libraries", lambda self: {"toolbox": "1.0"})
    go(toys, tmp_path, TEXTS[:12])
    monkeypatch.setattr(Extract, "libraries", lambda self: {"toolbox": "2.0"})
    with pytest.raises(MixedVersions, match=r"toolbox"):
        go(toys, tmp_path, fits=FITS)
    assert go(toys, tmp_path, fits=FITS, allow_mixed=True).n_fits_made == 2


def test_refuses_a_scheduler_that_is_none(toys, tmp_path):
    with pytest.raises(
        BadCall, match="scheduler must be sync, processes, cluster .* not 'threads'"
    ):
        go(toys, tmp_path, scheduler="threads")


def test_strict_stops_at_media_that_are_missing_and_at_failures_of_earlier_runs(toys, tmp_path):
    texts = ["bad word", *TEXTS]
    go(toys, tmp_path, texts)
    with pytest.raises(AffectflowError, match="--strict.: 'v/000' at node 'letters': a bad word"):
        go(toys, tmp_path, texts, strict=True)


def test_paths_that_go_to_workers_are_absolute(toys, tmp_path, monkeypatch):
    roots = []
    make = worker.make_batch

    def elsewhere(task):
        roots.append(task.root)
        return make(task)

    monkeypatch.setitem(driver._FUNCTIONS, batch.Batch, elsewhere)
    monkeypatch.chdir(tmp_path)
    run(toys.recipe(tmp_path, TEXTS), "relative", scheduler="sync")
    assert set(roots) == {str(tmp_path / "relative")}


def test_an_encode_masks_an_input_that_none_of_its_utterances_has(toys, tmp_path, monkeypatch):
    monkeypatch.setattr("affectflow.workflows.assign.ENCODE_PARTITION", 1)
    nodes = [Extract("letters", toys.Letters()), Extract("sums", Sums())]
    fits = {
        "f": {"fit": "sf", "on": ["letters", "sums"], "tasks": ["M"], "seeds": 1, "epochs": 2},
        "h": {"encode": "f"},
    }
    made = toys.recipe(tmp_path, ["no sum here", *TEXTS], nodes, fits)
    done = run(made, tmp_path / "cache", scheduler="sync")
    assert done.errors == {}
    assert [(f.utterance, f.node) for f in done.failures] == [("v/000", "sums")]
    assert done.made == {"letters": 25, "sums": 24, "f": 1, "h": 25}


def test_an_utterance_with_masked_rows_only_is_not_encoded_and_the_rest_goes_on(
    toys, tmp_path, monkeypatch
):
    fits = {
        "f": {"fit": "unimodal", "on": ["sums"], "tasks": ["M"], "seeds": 1, "epochs": 2},
        "h": {"encode": "f"},
        "g": {"fit": "fmlmsn-meta", "on": ["h"], "tasks": ["M"], "seeds": 1, "epochs": 2},
    }
    made = toys.recipe(tmp_path, ["mask me", *TEXTS], [Extract("sums", Sums())], fits)
    done = run(made, tmp_path / "cache", scheduler="sync")
    assert [(f.utterance, f.node) for f in done.failures] == [("v/000", "h")]
    assert "none of sums has a real row" in done.failures[0].message
    assert done.made == {"sums": 25, "f": 1, "h": 24, "g": 1}
    assert run(made, tmp_path / "cache", scheduler="sync").made == {}


def test_what_a_batched_extractor_cannot_open_is_tried_again_and_blames_no_clip(
    toys, tmp_path, monkeypatch
):
    tries = []
    many = toys.Letters.many

    def flaky(self, clips, device="cpu"):
        tries.append(len(clips))
        if len(tries) == 1:
            raise OSError("the folder of weights went away")
        return many(self, clips, device)

    monkeypatch.setattr(toys.Letters, "batched", True)
    monkeypatch.setattr(toys.Letters, "many", flaky)
    done = go(toys, tmp_path)
    assert done.ok
    assert tries[0] > 1


def test_a_file_that_vanished_after_it_was_digested_is_tried_again_in_the_next_run(
    toys, tmp_path, monkeypatch
):
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"x")

    def vanish(self, clip_):
        clip.unlink(missing_ok=True)
        raise BadMedia("no media file")

    answer = Sums.extract
    monkeypatch.setattr(Sums, "extract", vanish)
    monkeypatch.setattr(Sums, "needs", property(lambda self: Needs(audio=16000)))
    made = toys.recipe(tmp_path, TEXTS[:1], [Extract("sums", Sums())], media=str(clip))
    assert [f.transient for f in run(made, tmp_path / "cache", scheduler="sync").failures] == [True]
    clip.write_bytes(b"x")
    monkeypatch.setattr(Sums, "extract", answer)
    assert run(made, tmp_path / "cache", scheduler="sync").ok


def test_media_that_go_away_are_recorded_once(toys, tmp_path):
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"x")
    made = toys.recipe(tmp_path, TEXTS[:3], [Extract("sound", Sounds())], media=str(clip))
    assert run(made, tmp_path / "cache", scheduler="sync").ok
    clip.unlink()
    gone = run(made, tmp_path / "cache", scheduler="sync")
    assert (len(gone.failures), gone.changed) == (3, True)
    assert not run(made, tmp_path / "cache", scheduler="sync").changed
    *_, last = runs.read_records(gone.store.root, gone.id, "run-").values()
    assert last["missing"]["v/000"] == f"cannot read '{clip}': No such file or directory"


@dataclass(frozen=True)
class Sums(Extractor):
    """A number; refuses the word ``sum``, masks the word ``mask``."""

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
        if "sum" in clip.text:
            raise BadInput("a sum")
        values = np.array([[len(clip.text)]], np.float32)
        return Features(values, no_times(1), mask=np.array(["mask" not in clip.text]))


class Sounds(Sums):
    """The same, read of the sound."""

    name: ClassVar[str] = "sounds"

    @property
    def needs(self):
        return Needs(audio=16000)


def test_a_deadly_clip_is_found_beside_another_driver(toys, tmp_path, monkeypatch):
    monkeypatch.setattr("affectflow.workflows.run.open_pool", lambda *_: Deadly())
    with Lease(tmp_path / "cache"):
        done = go(toys, tmp_path)
    assert {(f.utterance, f.error) for f in done.failures} == {("v/005", "WorkerDied")}
    assert done.made["letters"] == 23


def test_what_another_driver_made_or_failed_at_meanwhile_is_not_made_again(
    toys, tmp_path, monkeypatch
):
    texts = ["bad word", *TEXTS]
    real = driver.Driver._tasks

    def plan_then_another_runs(self, states):
        found = real(self, states)
        monkeypatch.setattr(driver.Driver, "_tasks", real)
        assert go(toys, tmp_path, texts).made == {"letters": 24, "doubled": 24}
        return found

    monkeypatch.setattr(driver.Driver, "_tasks", plan_then_another_runs)
    with Lease(tmp_path / "cache"):
        done = go(toys, tmp_path, texts)
    assert done.made == {}
    assert [(f.utterance, f.message) for f in done.failures] == [("v/000", "a bad word")]
    assert done.table("doubled").present.tolist() == [False] + [True] * 24
    records = (tmp_path / "cache" / "runs").rglob("failures-*.json")
    assert len(list(records)) == 1


def test_what_was_given_up_is_an_error_and_never_silence(toys, tmp_path, monkeypatch):
    monkeypatch.setattr(driver.Driver, "_drive", lambda self, tasks: None)
    done = go(toys, tmp_path)
    assert done.errors["letters"] == "24 of its results were not made; run again"
    assert not done.ok


def test_a_model_that_cannot_be_loaded_ends_the_run_in_one_line(toys, tmp_path):
    @dataclass(frozen=True)
    class Weightless(toys.Letters):
        name: ClassVar[str] = "weightless"
        batched: ClassVar[bool] = True

        def many(self, clips, device="cpu"):
            raise BadCall("the model in weights cannot be loaded: header too short")
            yield

    nodes = [Extract("letters", toys.Letters()), Extract("broken", Weightless())]
    made = toys.recipe(tmp_path, TEXTS, nodes)
    with pytest.raises(BadCall, match="^the model in weights cannot be loaded: header too short$"):
        run(made, tmp_path / "cache", scheduler="sync")
    assert runs.read_failures(tmp_path / "cache") == {}
    done = run(toys.recipe(tmp_path, TEXTS, nodes[:1]), tmp_path / "cache", scheduler="sync")
    assert 0 < done.made["letters"] < len(TEXTS)  # what the broken one's batch had made is kept
