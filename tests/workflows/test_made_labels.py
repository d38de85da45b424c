"""Fits whose labels a node has made, through whole runs."""

import numpy as np
import pytest

from affectflow.cache.corpus import Corpus
from affectflow.cache.errors import BadCall, BadRecipe
from affectflow.train.metrics import mae
from affectflow.workflows.bundle import Bundle, pack_model
from affectflow.workflows.recipe import build
from affectflow.workflows.run import plan_run, run

TEXTS = ["so good", "very bad", "a happy day", "sad", "we love it", "the end", "bonjour mes amis"]
N = 3 * len(TEXTS)
FIT = {"fit": "sf", "on": ["words"], "seeds": 2, "epochs": 3, "labels_from": "masked"}


@pytest.fixture
def folder(tmp_path):
    """A corpus without any labels."""
    columns = {"id": [f"v/{i:02d}" for i in range(N)], "text": TEXTS * 3}
    splits = ["train"] * (N - 14) + ["valid"] * 7 + ["test"] * 7
    Corpus.from_columns({**columns, "split": splits}, name="vox").write(tmp_path)
    return tmp_path


def source(folder, masked=(), **fit):
    nodes = {
        "words": {"extract": "vader"},
        "masked": {"extract": "mask-sentiment", "language": "en", **dict(masked)},
        "learn": {**FIT, "tasks": ["masked_valence"], **fit},
    }
    return {"name": "w", "corpus": {"root": str(folder)}, "nodes": nodes}


def test_a_fit_learns_what_a_node_has_found_and_is_scored_on_plain_values(folder):
    first = run(build(source(folder), "w"), folder / "cache", scheduler="sync")
    assert first.errors == {}
    assert first.made == {"words": 7, "masked": 7, "learn": 1}
    checkpoint = first.states["learn"].checkpoint
    assert (checkpoint.meta["family"], checkpoint.meta["primary"]) == ("", "masked_valence")
    scored = checkpoint.meta["seeds"][0]["scores"]["test"]["masked_valence"]
    assert set(scored) == {"CCC", "MAE", "Corr", "R2"}
    table = checkpoint.predictions()
    one = table[(table["seed"] == 0) & (table["split"] == "test")].set_index("id")
    found = first.table("masked")
    for i, name in enumerate(found.ids):
        if name in one.index and found.mask[i]:
            assert one.loc[name, "truth"] == found.values[i, 0]
    unlabelled = [name for name in one.index if np.isnan(one.loc[name, "truth"])]
    bare = [name for name, real in zip(found.ids, found.mask, strict=True) if not real]
    assert f"v/{N - 1}" in bare  # not English: no label, and never 0
    assert unlabelled == [name for name in bare if name in one.index]
    known = one.drop(unlabelled)
    assert scored["MAE"] == pytest.approx(mae(*known[["prediction", "truth"]].to_numpy().T))
    rows = checkpoint.meta["rows"]["test"]["masked_valence"]
    assert rows == {"of": 7, **dict.fromkeys(("labelled", *scored), len(known))}
    assert first.report().is_file()

    assert run(build(source(folder), "w"), folder / "cache", scheduler="sync").made == {}
    other = build(source(folder, {"scaled_to": 1.0}), "w")
    plan = {state.node.name: state for state in plan_run(other, folder / "cache")}
    assert plan["masked"].why == "scaled_to: 3.0 -> 1.0"
    assert plan["learn"].why == "unknown until masked is done"
    assert run(other, folder / "cache", scheduler="sync").made == {"masked": 7, "learn": 1}


def test_labels_of_the_corpus_may_stand_beside_and_both_are_told_apart(folder):
    corpus = Corpus.read(folder)
    frame = corpus.to_frame().assign(M=np.linspace(-3, 3, N))
    Corpus.from_columns(frame, name="mosi", family="mosi", label_range=(-3, 3)).write(folder)
    recipe = build(source(folder, tasks=["M", "masked_valence"], labels="M"), "w")
    done = run(recipe, folder / "cache", scheduler="sync")
    meta = done.states["learn"].checkpoint.meta
    assert (done.errors, meta["family"], meta["primary"]) == ({}, "mosi", "M")
    scored = meta["seeds"][0]["scores"]["test"]
    assert "R2" in scored["masked_valence"]
    assert "Acc7" in scored["M"]


def test_what_was_learned_predicts_without_the_node_that_made_its_labels(folder):
    recipe = build(source(folder), "w")
    done = run(recipe, folder / "cache", scheduler="sync")
    packed = Bundle.read(pack_model(recipe, folder / "cache", "learn", folder / "w.zip"))
    assert list(packed.workflow.nodes) == ["words", "learn"]
    table = done.states["learn"].checkpoint.predictions()
    wanted = table[table["id"] == "v/04"]["prediction"].mean()
    found = packed.score(None, TEXTS[4]).values["masked_valence"]
    assert found == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        (
            {"tasks": ["valance"]},
            r"node 'learn': 'masked' \(mask-sentiment\) makes labels for it, but not of its task "
            "'valance': its columns are masked_valence, in_lexicon. Choose tasks among them",
        ),
        ({"tasks": ["M"]}, r"its tasks \[M\] are all labels of the corpus: its columns are masked"),
        ({"labels_from": ""}, "the label column.s. masked_valence, which this corpus has not"),
    ],
)
def test_says_which_labels_a_node_makes(folder, fit, message):
    with pytest.raises(BadCall, match=message):
        run(build(source(folder, **fit), "w"), folder / "cache", scheduler="sync")


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        ({"labels_from": "learn"}, "nodes in a circle: learn -> learn"),
        ({"labels_from": "maskd"}, "unknown node 'maskd'. Did you mean 'masked'"),
        ({"labels_from": 3}, "'labels_from' must name the node that makes its labels, got 3"),
    ],
)
def test_refuses_to_learn_from_what_makes_no_labels(folder, fit, message):
    with pytest.raises(BadRecipe, match=message):
        build(source(folder, **fit), "w")
    nodes = source(folder)["nodes"] | {"h": {"encode": "learn"}}
    nodes["then"] = {**FIT, "tasks": ["x"], "labels_from": "h"}
    with pytest.raises(BadRecipe, match="made by an extract, 'h' .encode learn. is none"):
        build({**source(folder), "nodes": nodes}, "w")


def test_labels_are_one_row_an_utterance(folder):
    recipe = build(source(folder, tasks=["lexicon"], labels_from="words", on=["masked"]), "w")
    done = run(recipe, folder / "cache", scheduler="sync")
    told = "labels are one row an utterance, and 'words' has 2 for 'v/00' (18 utterances have more"
    assert told in done.errors["learn"]
