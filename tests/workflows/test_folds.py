"""A recipe on folds: what is shared, what is trained once a fold, scores of all together."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from affectflow.cache.corpus import Corpus
from affectflow.cache.errors import BadCall, BadCorpus, BadRecipe, UnknownName
from affectflow.cache.folds import Fold, Folds, in_fold
from affectflow.train.metrics import scores
from affectflow.workflows.blocks import Block, fits_of, primary_blocks, trained
from affectflow.workflows.bundle import pack_model
from affectflow.workflows.console_run import show_run
from affectflow.workflows.corpora import CorpusSpec
from affectflow.workflows.folding import folded, meant, plain_name
from affectflow.workflows.recipe import build, load_recipe
from affectflow.workflows.report.folds import fold_sentence, fold_tables
from affectflow.workflows.report.page import render
from affectflow.workflows.results import results, trace
from affectflow.workflows.run import plan_run, run
from affectflow.workflows.run_records import read_runs
from affectflow.workflows.standings import compare_runs
from affectflow.workflows.sweep import sweep

TEXTS = ["what a lovely day", "I hate this awful rain", "it is a table", "good and bad", "fine"]
NODES = {
    "text": {"extract": "vader"},
    "pca": {"reduce": "pca", "on": "text", "columns": 2},
    "one": {"fit": "unimodal", "on": ["pca"], "tasks": ["M"], "seeds": 2, "epochs": 2},
    "h": {"encode": "one"},
    "late": {"fit": "unimodal", "on": ["h"], "tasks": ["M"], "seeds": 2, "epochs": 2},
}


def corpus(folder, n=18, splits=None, speakers=None):
    """Three utterances a video, two videos a speaker."""
    rng = np.random.default_rng(1)
    columns = {
        "id": [f"v{i // 3}/{i % 3}" for i in range(n)],
        "text": [f"{TEXTS[i % 5]} {i}" for i in range(n)],
        "speaker": speakers or [f"s{i // 6}" for i in range(n)],
        "split": splits or [""] * n,
        "M": np.round(rng.uniform(-1, 1, n), 1).tolist(),
    }
    made = Corpus.from_columns(columns, name="toy", family="sims", label_range=(-1, 1))
    made.write(folder / "corpus")
    return made


@pytest.fixture
def go(tmp_path, monkeypatch):
    """Run the recipe on folds."""
    monkeypatch.chdir(tmp_path)
    corpus(tmp_path)

    def start(folds, nodes=NODES, name="onfolds", **options):
        source = {"name": name, "corpus": {"root": "corpus", "folds": folds}, "nodes": nodes}
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(source, sort_keys=False))
        return run(f"{name}.yaml", "cache", scheduler="sync", **options)

    return start


def test_features_are_shared_and_each_fold_has_fits_of_its_own(go):
    done = go({"kind": "speakers", "k": 3})
    assert done.ok
    assert [name for name in done.states if name.startswith("text")] == ["text"]
    for name in ("pca", "one", "h", "late"):
        states = [done.states[f"{name}-fold{k}"] for k in (1, 2, 3)]
        assert len({state.fingerprint for state in states}) == 3
    assert done.n_fits_made == 6
    for k in (1, 2, 3):  # the whole chain stays inside its fold
        node = done.workflow[f"late-fold{k}"]
        assert node.on == (f"h-fold{k}",)
        assert done.workflow[f"h-fold{k}"].of == f"one-fold{k}"
        assert done.workflow[f"one-fold{k}"].on == (f"pca-fold{k}",)
        table = done.states[node.name].checkpoint.predictions().drop_duplicates("id")
        of_fold = in_fold(done.corpus, Fold(Folds("speakers", 3), k, 3))
        want = dict(zip(of_fold.ids, of_fold.splits, strict=True))
        assert dict(zip(table["id"], table["split"], strict=True)) == want


def test_the_second_run_makes_nothing_and_another_seed_makes_fits_alone(go):
    first = go({"kind": "videos", "k": 3})
    again = go({"kind": "videos", "k": 3})
    assert (again.n_features_made, again.n_fits_made, again.id) == (0, 0, first.id)
    assert not again.changed
    other = go({"kind": "videos", "k": 3, "seed": 1})
    assert other.made.get("text", 0) == 0
    assert other.n_fits_made == 6
    assert other.id != first.id


def test_scores_are_of_all_test_predictions_together(go):
    done = go({"kind": "random", "k": 3}, until=["one"])
    (fit,) = fits_of(done)
    assert (fit.name, [part.name for part in fit.folds]) == (
        "one", ["one-fold1", "one-fold2", "one-fold3"]
    )  # fmt: skip
    tables = [part.checkpoint.predictions() for part in trained(done)]
    tested = pd.concat([table[table["split"] == "test"] for table in tables])
    assert sorted(tested[tested["seed"] == 1]["id"]) == sorted(done.corpus.ids)
    mine = tested[tested["seed"] == 1]
    want = scores("sims", mine["prediction"].to_numpy(), mine["truth"].to_numpy())
    for metric, value in want.items():
        assert fit.values("M", metric)[1] == pytest.approx(value, rel=1e-6, nan_ok=True)
    assert fit.rows("M")["of"] == fit.rows("M", "valid")["of"] == 18
    (scored,) = done.test_scores()
    assert [row.name for row in scored.rows] == ["one", "constant"]
    assert set(done.scores()["fit"]) == {"one"}


def test_the_constant_answer_is_each_folds_own_and_scored_over_all_of_them(go):
    done = go({"kind": "random", "k": 3}, until=["one"])
    folds = [in_fold(done.corpus, Fold(Folds("random", 3), k, 3)) for k in (1, 2, 3)]
    errors = [
        np.abs(fold.labels("M")[fold.splits == "test"] - np.median(train))
        for fold in folds
        if len(train := fold.labels("M")[fold.splits == "train"])
    ]
    (block,) = primary_blocks(fits_of(done))
    assert block.constant["MAE"] == pytest.approx(np.concatenate(errors).mean(), rel=1e-6)
    assert block.usual == "median training label of each fold"
    assert '<tr class="constant">\n        <th scope="row">constant</th>' in render(done)


def test_the_report_tells_each_fold_and_their_spread(go):
    done = go({"kind": "speakers", "k": 3}, until=["one"])
    (table,) = fold_tables(done, Block("M", fits_of(done)))
    means = [np.mean(part.values("M", "MAE")) for part in table.fit.folds]
    assert [(number, n, who) for number, n, who, _ in table.rows] == [(k, 6, 1) for k in (1, 2, 3)]
    assert table.over["MAE"].mean == pytest.approx(np.mean(means))
    assert table.over["MAE"].std == pytest.approx(np.std(means, ddof=1))
    assert fold_sentence(done).startswith("3 folds (speakers: no speaker in two splits)")
    page = render(done)
    assert '<section id="folds"' in page
    assert "one-fold2" in page  # its learning curve


def test_folds_that_learned_other_classes_are_named_and_not_pooled(go, tmp_path, capsys):
    made = Corpus.read(tmp_path / "corpus").to_frame().drop(columns="M")
    made["emotion"] = ["happy", "sad"] * 6 + ["happy", "sad", "angry"] * 2  # the last speaker's
    Corpus.from_columns(made, name="toy").write(tmp_path / "corpus")
    nodes = {
        "text": {"extract": "vader"},
        "one": {"fit": "unimodal", "on": ["text"], "tasks": ["emotion"], "seeds": 1, "epochs": 1},
    }
    done = go({"kind": "speakers", "k": 3}, nodes)
    assert done.n_fits_made == 3
    assert fits_of(done) == []
    show_run(done)
    for told in (capsys.readouterr().out, fold_sentence(done)):
        said = " ".join(told.split())
        assert "'one' stands in no table: only some of its folds learned angry. Say which" in said
    named = go({"kind": "speakers", "k": 3}, nodes, overrides=["one.classes=[happy, sad]"])
    assert [fit.name for fit in fits_of(named)] == ["one"]
    assert "stands in no table" not in fold_sentence(named)


def test_without_folds_the_report_says_nothing_of_them(go):
    done = go("official", until=["text"])
    assert list(done.states) == ["text"]
    assert fold_sentence(done) == ""
    assert 'id="folds"' not in render(done)


def test_runs_on_folds_are_compared_utterance_by_utterance(go):
    go({"kind": "speakers", "k": 3}, name="ours")
    found = compare_runs(["ours"], Path("cache"), "M", "test", "", (), 100, 0)
    assert [system.label for system in found.systems] == ["one", "late"]
    assert not any("folds" in note for note in found.notes)
    go({"kind": "random", "k": 3}, name="theirs", until=["one"])
    found = compare_runs(["ours:one", "theirs:one"], Path("cache"), "M", "test", "", (), 100, 0)
    (note,) = [note for note in found.notes if "other folds" in note]
    assert note.startswith("'ours:one' and 'theirs:one' were tested on other folds")


def test_results_list_a_fit_once_and_trace_all_of_its_folds(go, tmp_path):
    go({"kind": "speakers", "k": 3}, until=["one"])
    (one,) = results(read_runs(tmp_path / "cache"))
    assert one.fit.name == "one"
    told = [value for what, value in trace(one) if what == "fit"]
    assert [line.split(" ")[0] for line in told] == ["one-fold1", "one-fold2", "one-fold3"]


def test_one_fold_alone_is_not_pooled(go, tmp_path):
    done = go({"kind": "speakers", "k": 3}, until=["one-fold2"])
    assert "one-fold1" not in done.states
    assert done.n_fits_made == 1
    assert fits_of(done) == []
    (record,) = read_runs(tmp_path / "cache")
    assert (record.fits, record.gone) == ({}, [])


def test_until_means_a_node_on_all_folds(go):
    done = go({"kind": "speakers", "k": 3}, until=["h"], kinds=("extract",))
    names = [name for name in done.workflow.nodes if name.startswith("h")]
    assert names == ["h-fold1", "h-fold2", "h-fold3"]
    assert meant(done.workflow, ["h-fold1", "text"]) == ["h-fold1", "text"]
    assert {plain_name(node) for node in done.workflow} == {"text", "pca", "one", "h"}


def test_what_is_made_of_one_model_is_refused(go, tmp_path):
    go({"kind": "speakers", "k": 3}, until=["one"])
    message = "trains one a fold .folds: speakers.. Take .*--set corpus.folds=official"
    with pytest.raises(BadCall, match=f"a packed model .*{message}"):
        pack_model("onfolds.yaml", "cache", "one", tmp_path / "m.zip")
    with pytest.raises(BadCall, match=f"a search .*{message}"):
        sweep("onfolds.yaml", "cache", node="one", space={"lr": [0.1, 0.2]}, trials=1,
              scheduler="sync")  # fmt: skip


def test_a_run_says_what_folds_there_are(go):
    notes = []

    class Notes:
        def __getattr__(self, name):
            return notes.append if name == "note" else lambda *_: None

    go({"kind": "speakers", "k": 3}, until=["one"], reporter=Notes())
    told = "3 folds (speakers: no speaker in two splits): each tests 6 to 6 of 18 utterances"
    assert told in notes
    assert not any("in more than one split" in note for note in notes)


def test_a_corpus_that_cannot_be_cut_so_stops_the_run(go):
    with pytest.raises(BadCorpus, match="'toy': 4 folds need 4 speakers at least, and there are 3"):
        go({"kind": "speakers", "k": 4})


def test_a_plan_knows_the_folds(go):
    go({"kind": "speakers", "k": 3}, until=["text"])
    text, *rest = plan_run("onfolds.yaml", "cache")
    assert [state.node.name for state in rest][:3] == ["pca-fold1", "pca-fold2", "pca-fold3"]
    assert (text.node.name, text.todo) == ("text", [])


@pytest.mark.parametrize(
    ("folds", "error", "message"),
    [
        (3, BadRecipe, "'folds' must map kind, k, seed to values, got 3"),
        (
            {"kinds": "random"},
            UnknownName,
            "unknown setting 'kinds' of 'folds'. Did you mean 'kind",
        ),
        ("session", UnknownName, "Did you mean 'sessions'"),
        ({"kind": "random", "k": 1}, BadCall, "at least 3"),
    ],
)
def test_a_recipe_whose_folds_cannot_be_is_refused(folds, error, message):
    with pytest.raises(error, match=message):
        CorpusSpec.from_mapping({"root": "x", "folds": folds})


def test_folds_stand_beside_several_corpora(tmp_path):
    spec = CorpusSpec.from_mapping({"several": {"a": {"root": "x"}}, "folds": "random"})
    assert spec.folds == Folds("random")
    with pytest.raises(BadRecipe, match="'folds' are of all corpora together: set them beside"):
        CorpusSpec.from_mapping({"several": {"a": {"root": "x", "folds": "random"}}})


def test_another_corpus_is_cut_into_the_folds_of_the_recipe(tmp_path):
    path = tmp_path / "r.yaml"
    source = {"name": "r", "corpus": {"root": "a", "kind": "mosi", "folds": "videos"}}
    path.write_text(yaml.safe_dump({**source, "nodes": NODES}, sort_keys=False))
    spec = load_recipe(path, corpus="elsewhere").corpus
    assert (spec.root, spec.kind, spec.folds) == ("elsewhere", "", Folds("videos"))
    assert load_recipe(path, ["corpus.folds=official"], "b").corpus.folds.kind == "official"


def test_a_recipe_without_folds_is_itself(tmp_path):
    made = corpus(tmp_path)
    recipe = build({"name": "r", "nodes": NODES}, "r")
    assert folded(recipe, made) is recipe
    on_folds = replace(recipe, corpus=CorpusSpec(folds=Folds("videos", 3)))
    assert len(folded(on_folds, made).workflow.nodes) == 1 + 4 * 3
