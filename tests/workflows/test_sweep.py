import pickle

import numpy as np
import pytest

pytest.importorskip("optuna")

from affectflow.cache.checkpoints import checkpoint_names
from affectflow.cache.errors import BadCall, TrainingError
from affectflow.cache.store import FeatureStore
from affectflow.train.loop import Loop
from affectflow.workflows import sweep_study, sweep_trials
from affectflow.workflows.fitting import FitTask
from affectflow.workflows.search import Choice, Range
from affectflow.workflows.sweep import sweep
from affectflow.workflows.sweep_trials import Searcher, error_of, without_test

TEXTS = [" ".join(["ab" * (1 + i % 5)] * (1 + i % 5)) for i in range(30)]
FIT = {"fit": "sf", "on": ["letters"], "tasks": ["M"], "seeds": 2, "epochs": 4, "batch_size": 8}
SPACE = {"lr": Range(1e-4, 1e-1, log=True), "units": Choice((4, 8))}


@pytest.fixture
def toy(tmp_path, toys):
    return toys.recipe(tmp_path, TEXTS, fits={"m": FIT})


def swept(toy, folder, trials=3, space=SPACE, **options):
    return sweep(
        toy,
        FeatureStore(folder / "cache"),
        "m",
        trials=trials,
        space=space,
        scheduler="sync",
        **options,
    )


def test_chooses_by_validation_and_fits_the_best_on_the_whole_corpus(toy, tmp_path):
    done = swept(toy, tmp_path)
    assert [row.state for row in done.trials] == ["complete"] * 3
    assert done.best.value == min(row.value for row in done.trials)
    assert set(done.best.settings) == {"lr", "units"}
    checkpoint = done.run.states["m"].checkpoint
    assert checkpoint.meta["training"]["lr"] == done.best.settings["lr"]
    assert checkpoint.meta["settings"]["units"] == done.best.settings["units"]
    assert checkpoint.meta["summary"]["test"]["M"]
    # the same fit with and without test labels: the same validation error
    assert error_of(checkpoint) == pytest.approx(done.best.value, rel=1e-6)


def test_an_utterance_that_failed_for_now_is_masked_as_in_a_run(toy, toys, tmp_path, monkeypatch):
    extract = toys.Letters.extract

    def flaky(self, clip):
        if clip.text == TEXTS[3]:
            raise OSError("the network folder went away")
        return extract(self, clip)

    monkeypatch.setattr(toys.Letters, "extract", flaky)
    failed = [f"v/{i:03d}" for i in range(3, 30, 5)]  # all that say this
    alone = swept(toy, tmp_path, trials=1, test=False)
    assert [f.utterance for f in alone.last.failures] == failed
    done = swept(toy, tmp_path, trials=1)
    assert done.last is done.run
    assert [f.utterance for f in done.run.failures] == failed
    checkpoint = done.run.states["m"].checkpoint
    assert error_of(checkpoint) == pytest.approx(done.best.value, rel=1e-6)


def test_says_why_a_fit_that_is_read_was_not_trained(tmp_path, toys):
    below = {**FIT, "lr": 1e30}
    fits = {"f": below, "h": {"encode": "f"}, "m": {**FIT, "on": ["h"]}}
    toy = toys.recipe(tmp_path, TEXTS, fits=fits)
    with pytest.raises(TrainingError, match="'m' cannot be searched: h is not done; 'f': .*lr"):
        swept(toy, tmp_path, trials=1)


def test_no_trial_sees_a_test_label(toy, tmp_path, monkeypatch):
    seen = []
    make_fit = sweep_study.make_fit

    def watched(task, progress=None):
        seen.append(task)
        return make_fit(task, progress)

    monkeypatch.setattr(sweep_study, "make_fit", watched)
    corpus = toy.corpus.open()
    test = np.array([u.split == "test" for u in corpus])
    swept(toy, tmp_path, trials=2, test=False)
    assert len(seen) == 2
    for task in seen:
        assert isinstance(task, FitTask)
        assert "test" not in task.splits
        assert np.isnan(task.labels["M"][test]).all()
        assert not np.isnan(task.labels["M"][~test]).any()


def test_settings_that_do_not_go_together_fail_a_trial_and_not_the_sweep(
    toy, tmp_path, monkeypatch
):
    set_on = sweep_trials.set_on

    def together(node, settings):
        if settings["units"] == 8:
            raise BadCall("5 heads must divide 8 units")
        return set_on(node, settings)

    monkeypatch.setattr(sweep_trials, "set_on", together)
    done = swept(toy, tmp_path, trials=5, space={"units": Choice((4, 8))}, test=False)
    assert [row.state for row in done.trials] == [
        "fail" if row.settings["units"] == 8 else "complete" for row in done.trials
    ]
    assert {row.settings["units"] for row in done.trials} == {4, 8}


def test_an_error_that_ends_a_sweep_does_not_end_the_next_one(toy, tmp_path, monkeypatch):
    make_fit = sweep_study.make_fit

    def breaks(task, progress=None):
        if task.settings.units == 8:
            raise RuntimeError("no memory")
        return make_fit(task, progress)

    monkeypatch.setattr(sweep_study, "make_fit", breaks)
    space = {"units": Choice((4, 8))}
    for _ in range(8):
        try:
            done = swept(toy, tmp_path, trials=4, space=space, test=False)
        except RuntimeError:
            continue
        break
    assert {row.state for row in done.trials} == {"complete", "fail"}


def test_hiding_the_test_split_leaves_the_others(toys):
    corpus = without_test(toys.corpus(TEXTS, emotion="happy"))
    assert set(corpus.splits) == {"train", "valid", ""}
    assert set(corpus.labels("emotion")[corpus.splits == ""]) == {""}
    assert set(corpus.labels("emotion")[corpus.splits != ""]) == {"happy"}


def test_goes_on_where_it_was_stopped(toy, tmp_path, monkeypatch):
    first = swept(toy, tmp_path, trials=2, test=False)
    made = []
    epoch = Loop.epoch

    def counted(loop):
        made.append(loop)
        if len(made) == 6:
            raise KeyboardInterrupt
        return epoch(loop)

    monkeypatch.setattr(Loop, "epoch", counted)
    with pytest.raises(KeyboardInterrupt):
        swept(toy, tmp_path, trials=4, test=False)
    again = swept(toy, tmp_path, trials=4, test=False)
    assert again.trials[:2] == first.trials
    ended = [row for row in again.trials if row.state == "complete"]
    broken = [row for row in again.trials if row.state == "fail"]
    assert (len(ended), len(broken)) == (4, 1)
    assert broken[0].settings in [row.settings for row in ended]  # tried once more
    assert len({str(row.settings) for row in ended}) == 4  # and no value drawn twice


def test_a_bad_trial_is_ended_early(tmp_path, toys, monkeypatch):
    toy = toys.recipe(tmp_path, TEXTS, fits={"m": {**FIT, "epochs": 20}})
    monkeypatch.setattr(sweep_study, "STARTUP", 2)
    space = {"lr": Range(1e-7, 1e-1, log=True)}
    done = swept(toy, tmp_path, trials=8, space=space, test=False)
    complete, pruned = (
        [row for row in done.trials if row.state == state] for state in ("complete", "pruned")
    )
    assert pruned
    assert all(row.value is None for row in pruned)
    assert done.best in complete
    store = FeatureStore(tmp_path / "cache")
    assert len(checkpoint_names(store.root)) == len(complete)


def test_the_same_setting_is_fitted_once(toy, tmp_path, monkeypatch):
    made = []
    make_fit = sweep_study.make_fit

    def watched(task, progress=None):
        made.append(task.fingerprint)
        return make_fit(task, progress)

    monkeypatch.setattr(sweep_study, "make_fit", watched)
    swept(toy, tmp_path, trials=4, space={"units": Choice((4, 8))}, test=False, prune=False)
    assert len(made) == len(set(made)) <= 2


def test_says_when_the_test_split_was_looked_at_for_another_setting(toy, tmp_path):
    class Notes(sweep_trials.Reporter):
        said = []

        def note(self, text):
            self.said.append(text)

    swept(toy, tmp_path, trials=1, reporter=Notes(), space={"lr": Choice((1e-6, 1e-7))})
    swept(toy, tmp_path, trials=1, reporter=Notes(), space={"lr": Choice((1e-6, 1e-7))})
    assert not [note for note in Notes.said if "test split" in note]
    swept(toy, tmp_path, trials=1, reporter=Notes(), space={"lr": Choice((0.1, 0.01))})
    assert any("was looked at before for 1 other setting(s) of 'm'" in n for n in Notes.said)


def test_a_trial_that_diverges_fails_and_the_others_go_on(toy, tmp_path):
    space = {"lr": Choice((1e30, 0.01)), "units": Choice((4, 8, 16))}
    done = swept(toy, tmp_path, trials=5, space=space, test=False, prune=False)
    assert {row.state for row in done.trials if row.settings["lr"] == 1e30} == {"fail"}
    assert done.best.settings["lr"] == 0.01
    with pytest.raises(TrainingError, match="none of 1 trials of 'm' came to an end"):
        swept(toy, tmp_path, trials=1, space={"lr": Choice((1e30, 1e29))}, test=False)


def test_refuses_what_cannot_be_searched(toy, tmp_path):
    with pytest.raises(BadCall, match="only the settings of a fit can be searched, 'letters' is"):
        sweep(toy, tmp_path / "cache", "letters", scheduler="sync")
    with pytest.raises(BadCall, match=r"node 'm' says not what to search; in the recipe: search:"):
        sweep(toy, tmp_path / "cache", "m", scheduler="sync")
    with pytest.raises(BadCall, match="trials must be at least 1, not 0"):
        swept(toy, tmp_path, trials=0)


def test_two_drivers_do_not_search_the_same_node_at_once(toy, tmp_path, monkeypatch):
    go = Searcher.go

    def meets(searcher, *args):
        monkeypatch.setattr(Searcher, "go", go)
        with pytest.raises(BadCall, match="another sweep of 'm' runs on this store"):
            swept(toy, tmp_path, trials=1, test=False)
        return go(searcher, *args)

    monkeypatch.setattr(Searcher, "go", meets)
    swept(toy, tmp_path, trials=1, test=False)


def test_a_trial_travels_to_a_worker(toy, tmp_path, monkeypatch):
    made = []
    make_trial = sweep_trials.make_trial

    def elsewhere(task):
        made.append(pickle.loads(pickle.dumps(task)))
        return pickle.loads(pickle.dumps(make_trial(made[-1])))

    monkeypatch.setattr(sweep_trials, "make_trial", elsewhere)
    done = swept(toy, tmp_path, trials=1, test=False)
    assert len(made) == 1
    assert done.best.value is not None
