import math
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from affectflow.cache import checkpoints
from affectflow.cache.errors import BadCall, BadInput, UnknownName
from affectflow.cache.runs import write_record
from affectflow.train.compare import holm
from affectflow.train.metrics import scores
from affectflow.train.outcome import target_scores
from affectflow.train.targets import Target, as_meta
from affectflow.workflows.standings import compare_runs, video_numbers
from affectflow.workflows.tables import as_csv, explained

FITS = {"good": ("tfn", 0.3), "poor": ("sf", 0.9), "a_b": ("mult", 0.32)}
DRAWS = 1024  # all ways to flip the 10 test videos


@pytest.fixture
def store(tmp_path, write_run):
    write_run(tmp_path, "ours-1", FITS)
    return tmp_path


@pytest.fixture
def found(store):
    return compare_runs(["ours-1"], store, draws=DRAWS)


def errors_of(found, label):
    system = next(one for one in found.systems if one.label == label)
    _, p, y = system.predicted("M", "test")
    return np.abs(p[..., 0] - y[None, :, 0]).mean(axis=0), p[..., 0], y[:, 0]


def test_scores_are_means_and_deviations_over_seeds_of_the_fields_metrics(found):
    _, p, y = errors_of(found, "poor")
    for metric, cell in found.cells["poor"].items():
        values = [scores("mosi", one, y)[metric] for one in p]
        assert cell.over_seeds.mean == pytest.approx(np.mean(values))
        assert cell.over_seeds.std == pytest.approx(np.std(values, ddof=1))
        assert cell.low <= cell.over_seeds.mean <= cell.high


def test_the_tests_are_scipys_on_errors_averaged_over_seeds(found):
    assert found.reference == "good"  # best on validation
    ours, p, y = errors_of(found, "poor")
    theirs, q, _ = errors_of(found, "good")
    versus = found.cells["poor"]["MAE"].versus
    expected = stats.ttest_rel(ours, theirs)
    assert (versus.t, versus.p_t) == pytest.approx((expected.statistic, expected.pvalue))
    seeds = [[scores("mosi", one, y)["MAE"] for one in runs] for runs in (p, q)]
    assert versus.p_welch == pytest.approx(stats.ttest_ind(*seeds, equal_var=False).pvalue)
    assert versus.difference == pytest.approx(ours.mean() - theirs.mean())
    right = [((v >= 0) == (y >= 0)).mean(axis=0) for v in (p, q)]
    expected = stats.ttest_rel(1 - right[0], 1 - right[1])
    assert found.cells["poor"]["Acc2_has0"].versus.p_t == pytest.approx(expected.pvalue)


def test_p_values_are_adjusted_for_every_test_of_the_table(found):
    tested = [v for v in found.all_versus() if math.isfinite(v.p_t)]
    assert len(tested) == found.n_tests == 2 * 5  # MAE, Acc7, Acc5, Acc2 twice
    assert [v.p_holm for v in tested] == pytest.approx(holm([v.p_groups for v in tested]))
    assert found.cells["poor"]["MAE"].versus.differs
    assert not found.cells["a_b"]["MAE"].versus.differs
    corr = found.cells["poor"]["Corr"].versus
    assert math.isnan(corr.p_t)
    assert math.isnan(corr.p_permutation)
    assert math.isnan(corr.p_groups)
    assert corr.high < 0
    assert not corr.differs


def test_whole_videos_are_drawn_where_there_are_enough(found):
    assert (found.n, found.groups, found.drawn) == (40, 10, "10 whole videos")
    assert list(video_numbers(["a/1", "a/2", "b/1"])) == [0, 1, 2]
    assert list(video_numbers([f"u{i}" for i in range(20)])) == list(range(20))


def test_the_name_of_a_joined_corpus_is_no_video():
    ids = [*(f"flat/{i}" for i in range(4)), *(f"deep/v{i // 2}/{i % 2}" for i in range(4))]
    assert list(video_numbers(ids, {"flat", "deep"}, least=1)) == [2, 3, 4, 5, 0, 0, 1, 1]


def test_the_test_that_marks_flips_whole_videos(found):
    videos = [name.rpartition("/")[0] for name in found.systems[0].predicted("M", "test")[0]]
    delta = errors_of(found, "a_b")[0] - errors_of(found, "good")[0]
    sums = [delta[np.array(videos) == video].sum() for video in sorted(set(videos))]
    ways = np.array(list(product([-1, 1], repeat=10))) @ sums
    versus = found.cells["a_b"]["MAE"].versus
    assert versus.p_groups == np.mean(np.abs(ways) >= abs(delta.sum()) - 1e-9)
    assert versus.p_groups != versus.p_permutation


def test_the_interval_of_a_difference_is_that_of_its_utterances(found):
    apart = errors_of(found, "poor")[0] - errors_of(found, "good")[0]
    each = apart.reshape(10, 4).mean(axis=1)  # videos of four, sorted
    rng = np.random.default_rng(3)
    drawn = each[rng.integers(0, 10, (20_000, 10))].mean(axis=1)
    versus = found.cells["poor"]["MAE"].versus
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert (versus.low, versus.high) == pytest.approx((low, high), abs=0.1 * (high - low))


def test_the_reference_is_the_best_on_validation_also_where_another_is_on_test(tmp_path, write_run):
    apart = {"train": 0.1, "valid": 0.3, "test": 0.9}
    fits = {"late": ("tfn", {**apart, "valid": 0.5, "test": 0.2}), "early": ("sf", apart)}
    fits["fitted"] = ("mult", {"train": 0.01, "valid": 0.9, "test": 0.6})
    write_run(tmp_path, "ours-1", fits)
    found = compare_runs(["ours-1"], tmp_path, metrics=["MAE", "Corr"], draws=DRAWS)
    means = {name: row["MAE"].over_seeds.mean for name, row in found.cells.items()}
    assert max(means, key=means.get) == found.reference == "early"
    assert found.chosen
    assert found.cells["late"]["MAE"].versus.difference < 0  # and that is no reason to choose it


def test_the_same_call_gives_the_same_numbers(store, found):
    again = compare_runs(["ours-1"], store, draws=DRAWS)
    assert as_csv(again) == as_csv(found)
    other = compare_runs(["ours-1"], store, draws=DRAWS, seed=1)
    assert as_csv(other) != as_csv(found)


def test_one_model_of_each_run_and_a_reference_may_be_named(tmp_path, write_run):
    folder = write_run(tmp_path / "here", "ours-1", {"tfn": ("tfn", 0.3)})
    write_run(tmp_path / "there", "theirs-2", {"tfn": ("tfn", 0.31), "sf": ("sf", 0.9)})
    words = [f"{folder}:tfn", "theirs:tfn"]
    found = compare_runs(words, tmp_path / "there", reference="theirs:tfn", draws=DRAWS)
    assert [one.label for one in found.systems] == ["ours:tfn", "theirs:tfn"]
    assert (found.reference, found.chosen) == ("theirs:tfn", False)
    assert "(best on the validation split)" not in " ".join(explained(found))


def test_a_model_that_two_runs_share_stands_once(tmp_path, write_run):
    for run in ("one-1", "two-2"):
        write_run(tmp_path, run, {"same": ("tfn", 0.3), run[:3]: ("sf", 0.1 * len(run))})
    write_run(tmp_path, "two-2", {"same": ("tfn", 0.3), "other": ("sf", 0.4)})
    found = compare_runs(["one", "two"], tmp_path, draws=DRAWS)
    assert [one.label for one in found.systems] == ["same", "one", "other"]


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["ours-1:best"], UnknownName, "unknown trained model 'best' of run 'ours-1'.*good"),
        (
            ["our"],
            BadCall,
            r"'our' names 2 runs with trained models; say which:"
            r"\n  ours-1  20\d\d-\d\d-\d\d \d\d:\d\d UTC, 3 models: good, poor, a_b"
            r"\n  ours-2  20\d\d-\d\d-\d\d \d\d:\d\d UTC, 1 model: \w+$",
        ),
        (["bare"], BadCall, r"'bare' names 2 runs, none of .* \(bare-1, bare-2\): run its recipe"),
        (["nowhere"], UnknownName, "folder, or run of this cache: 'nowhere'.*Known: .*ours-1"),
        (["empty"], BadCall, "'empty' is no run: it has no record of one"),
        (["old-3"], BadCall, "recorded by an older affectflow.* run its recipe 'old' again"),
        (["ours-1:good"], BadCall, "needs two different models, got ours-1:good"),
        (["ours-1:good", "ours-1:good"], BadCall, "needs two different models"),
        (["untrained-4"], BadCall, "'untrained-4' has no trained model: run its recipe"),
    ],
)
def test_a_word_that_names_no_model_is_refused(store, write_run, words, error, message):
    write_run(store, "ours-2", {"x": ("tfn", 0.1)})
    write_run(store, "old-3", {"x": ("tfn", 0.1)}, nodes=False)
    for name in ("untrained-4", "ours-0", "bare-1", "bare-2"):
        write_run(store, name, {})
    (store / "runs" / "empty").mkdir()
    with pytest.raises(error, match=message):
        compare_runs(words, store, draws=DRAWS)


def test_of_several_runs_the_one_that_has_models_is_meant(tmp_path, write_run):
    write_run(tmp_path, "demo-1", {})  # features alone, as a sweep makes them
    write_run(tmp_path, "demo-2", FITS)
    write_run(tmp_path, "demo-3", {})
    found = compare_runs(["demo"], tmp_path, draws=DRAWS)
    assert [(one.label, one.run.id) for one in found.systems] == [(f, "demo-2") for f in FITS]


def test_a_cache_and_a_folder_without_a_run_are_told_apart(store, tmp_path):
    with pytest.raises(BadCall, match="is a cache, and no run; its runs are ours-1: name one"):
        compare_runs([str(store)], tmp_path / "x", draws=DRAWS)
    (tmp_path / "photos").mkdir()
    with pytest.raises(BadCall, match="is no run: it has no record of one. Name the folder"):
        compare_runs([str(tmp_path / "photos")], tmp_path / "x", draws=DRAWS)


IDS = [f"other{i // 4}/{i % 4}" for i in range(120)]
TOY = [f"video{i // 4}/{i % 4}" for i in range(120)]
MOVED = ["train", "valid", "test"][1:] + ["train"]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"family": "sims"}, "no common metric for task 'M': .*family 'mosi', .*family 'sims'"),
        ({"ids": IDS, "corpus": "CH-SIMS"}, "of different corpora: 'toy' and 'CH-SIMS' share no"),
        (
            {"splits": [MOVED[(i // 4) % 3] for i in range(120)]},
            "different splits: 40 in 'train' here and 'valid' there.*Train both on the same split",
        ),
        ({"n": 110}, "different utterances of split .test., task .M.: 4 utterances only of the f"),
        ({"shift": 0.2}, r"different labels of 'M': 40 of 40 differ, the first is 'video11/0'"),
        ({"tasks": ("T",)}, "share no task that is scored on split 'test': 'ours-1' has M; 'th"),
    ],
)
def test_models_that_saw_other_things_are_not_compared(store, write_run, other, message):
    write_run(store, "theirs-2", {"x": ("sf", 0.5)}, **other)
    with pytest.raises(BadInput, match=message):
        compare_runs(["ours-1", "theirs-2"], store, draws=DRAWS)


def test_corpora_that_differ_elsewhere_are_compared_with_a_note(store, write_run):
    write_run(store, "theirs-2", {"x": ("sf", 0.5)}, digest="e" * 64)
    found = compare_runs(["ours-1:good", "theirs-2"], store, draws=DRAWS)
    assert "the corpora of 'good' and 'x' differ" in found.notes[0]


def test_models_whose_checkpoints_are_gone_are_named(store):
    for path in (store / "checkpoints").glob("*/*"):
        path.rename(store / path.name)
    with pytest.raises(BadCall, match="good, poor, a_b were, but their checkpoints are gone"):
        compare_runs(["ours-1"], store, draws=DRAWS)


def test_unknown_metrics_references_and_tasks_are_refused(store):
    with pytest.raises(UnknownName, match="unknown metric 'Acc3' of task 'M'.*Acc7"):
        compare_runs(["ours-1"], store, metrics=["Acc3"], draws=DRAWS)
    with pytest.raises(UnknownName, match="model of this comparison 'goood'. Did you mean 'good'"):
        compare_runs(["ours-1"], store, reference="goood", draws=DRAWS)
    with pytest.raises(UnknownName, match="task 'T' of run 'ours-1', scored on split 'test'"):
        compare_runs(["ours-1"], store, task="T", draws=DRAWS)


def emotions(root, run, fits, names=("angry", "happy", "sad"), n=60):
    """Leave a run whose models name one emotion each; ``fits`` maps names to their noise."""
    rng = np.random.default_rng(0)
    ids, true = [f"v{i // 4}/{i % 4}" for i in range(n)], rng.integers(0, len(names), n)
    splits = [("valid", "test")[(i // 4) % 2] for i in range(n)]
    target = Target("emotion", "class", names)
    y, made = np.eye(len(names))[true], {}
    for place, (name, noise) in enumerate(fits.items()):
        p = np.stack([y + rng.normal(0, noise, y.shape) for _ in range(2)])
        parts = [
            pd.DataFrame(
                {
                    "id": ids,
                    "split": splits,
                    "seed": s,
                    "task": column,
                    "truth": y[:, k],
                    "prediction": p[s, :, k],
                }
            )  # fmt: skip
            for s in range(2)
            for k, column in enumerate(target.columns)
        ]
        own = {split: np.array(splits) == split for split in ("valid", "test")}
        scored = [
            {sp: {"emotion": target_scores(target, "", p[s][k], y[k])} for sp, k in own.items()}
            for s in range(2)
        ]
        meta = {
            "tasks": ["emotion"], "family": "", "targets": as_meta([target]), "rows": {},
            "seeds": [{"seed": s, "scores": found} for s, found in enumerate(scored)],
        }  # fmt: skip
        mark = f"{place:x}" * 64
        stored = checkpoints.publish(root, mark, {"net.w": p[0]}, meta, pd.concat(parts))
        made[name] = {
            "kind": "fit", "what": "sf", "modality": "model", "on": [], "place": place,
            "fingerprint": mark, "digest": stored.digest,
        }  # fmt: skip
    record = {"recipe": {"name": "e"}, "corpus": "d" * 64, "nodes": made, "corpus_name": "MELD"}
    write_record(root, run, "run-1", record)


def test_models_that_name_emotions_are_compared_by_what_they_get_right(tmp_path):
    emotions(tmp_path, "meld-1", {"good": 0.2, "poor": 2.0})
    found = compare_runs(["meld-1"], tmp_path, draws=DRAWS)
    assert (found.task, found.reference) == ("emotion", "good")
    assert found.metrics[:4] == ("Acc", "F1", "MacroF1", "UAR")
    versus = found.cells["poor"]["Acc"].versus
    wrong = []
    for system in found.systems:
        _, p, y = system.predicted("emotion", "test")
        wrong.append((p.argmax(axis=2) != y.argmax(axis=1)).mean(axis=0))
    assert versus.p_t == pytest.approx(stats.ttest_rel(*wrong).pvalue)
    assert versus.differs
    assert found.n_tests == 1
    assert "the classes angry, happy, sad" in explained(found)[0]
