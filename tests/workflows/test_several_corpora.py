"""One recipe on several corpora, through whole runs."""

import json

import numpy as np
import pytest

from affectflow.cache.corpus import Corpus
from affectflow.cache.errors import BadCall, BadCorpus, BadRecipe
from affectflow.workflows.bundle import Bundle, pack_model
from affectflow.workflows.corpora import CorpusSpec
from affectflow.workflows.learning import faults_of, lesson_of, missing_labels
from affectflow.workflows.recipe import build, load_recipe
from affectflow.workflows.run import plan_run, run
from affectflow.workflows.search import Choice
from affectflow.workflows.sweep import sweep
from affectflow.workflows.sweep_trials import error_of

WORDS = ["so good", "very bad", "happy day", "sad", "we love it", "the end"]
SPLITS = ["train", "valid", "test"] * 4
MOODS = ["joy"] * 6 + ["anger"] * 6
SHORT = {"fit": "sf", "on": ["words"], "seeds": 2, "epochs": 2}


def write(folder, family="", texts=WORDS * 2, **labels):
    columns = {"id": [f"v/{i}" for i in range(12)], "text": texts, "split": SPLITS, **labels}
    Corpus.from_columns(columns, name=folder.name, family=family).write(folder)
    return {"root": str(folder)}


@pytest.fixture
def several(tmp_path):
    """MOSI- and SIMS-like sentiment, MELD-like emotions; the last one has no labels."""
    values = np.linspace(-1, 1, 12)
    return {
        "mosi": write(tmp_path / "mosi", "mosi", M=values),
        "sims": write(tmp_path / "sims", "sims", M=np.roll(values, 3)),
        "meld": write(tmp_path / "meld", emotion=MOODS),
        "vox": write(tmp_path / "vox", texts=[f"{w} again" for w in WORDS * 2]),
    }


def source(several, **fits):
    nodes = {"words": {"extract": "vader"}, **{n: {**SHORT, **own} for n, own in fits.items()}}
    return {"name": "w", "corpus": {"several": several}, "nodes": nodes}


def test_fits_learn_from_the_corpora_they_name_and_features_are_made_for_all(several, tmp_path):
    recipe = build(
        source(
            several,
            all={"tasks": ["polarity", "emotion"]},
            mosi={"tasks": ["M"], "corpora": ["mosi"]},
        ),
        "w",
    )
    first = run(recipe, tmp_path / "cache", scheduler="sync")
    assert first.errors == {}
    assert first.made == {"words": 12, "all": 1, "mosi": 1}  # a text is one feature in all corpora
    own = first.states["mosi"].checkpoint.predictions()
    assert {name.partition("/")[0] for name in own["id"]} == {"mosi"}
    assert first.states["mosi"].checkpoint.meta["family"] == "mosi"
    assert first.states["mosi"].checkpoint.meta["sizes"] == {"train": 4, "valid": 4, "test": 4}
    meta = first.states["all"].checkpoint.meta
    assert meta["sizes"]["train"] == 16
    assert [target["names"] for target in meta["targets"]] == [
        ["negative", "positive"],
        ["anger", "joy"],
    ]
    assert meta["rows"]["test"]["polarity"]["labelled"] == 8
    assert meta["rows"]["test"]["emotion"]["labelled"] == 4
    assert first.report().is_file()

    assert run(recipe, tmp_path / "cache", scheduler="sync").made == {}
    write(tmp_path / "mosi", "mosi", M=np.linspace(1, -1, 12))
    plan = {state.node.name: state for state in plan_run(recipe, tmp_path / "cache")}
    changed = "the labels, splits or features at hand have changed"
    assert [plan[name].why for name in ("all", "mosi")] == [changed] * 2
    write(tmp_path / "mosi", "mosi", M=np.linspace(-1, 1, 12))
    write(tmp_path / "meld", emotion=MOODS[::-1])
    again = run(recipe, tmp_path / "cache", scheduler="sync")
    assert again.errors == {}
    assert again.made == {"all": 1}  # the other never read it


def test_a_fit_on_one_of_several_sees_what_it_would_see_of_it_alone(several, tmp_path):
    one = source(several, f={"tasks": ["M"], "corpora": ["mosi"]})
    alone = {**source({}, f={"tasks": ["M"]}), "corpus": several["mosi"]}
    made = [run(build(s, "w"), tmp_path / "cache", scheduler="sync") for s in (one, alone)]
    assert made[0].scores().equals(made[1].scores())


def test_polarity_follows_from_sentiment_only_where_a_corpus_has_it_not(tmp_path):
    values = np.array([-1.0, 0, 1] * 4)
    own = ["positive", "", "negative"] * 4
    corpora = {
        "a": write(tmp_path / "a", "mosi", M=values),
        "b": write(tmp_path / "b", "mosi", M=values, polarity=own),
    }
    recipe = build(source(corpora, f={"tasks": ["polarity"]}), "w")
    lesson = lesson_of(recipe.workflow["f"], recipe.corpus.open())
    signs = ["negative", "neutral", "positive"] * 4
    assert lesson.labels["polarity"].tolist() == [*signs, *own]
    assert lesson.domains == ("a",) * 12 + ("b",) * 12


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        (
            {"tasks": ["M"]},
            r"node 'f': its corpora have sentiment labels of different metric families.* \(mosi: "
            r"mosi; sims: sims\). Choose with 'corpora' .* or the task 'polarity'",
        ),
        ({"tasks": ["M"], "corpora": ["mosy"]}, "'mosy'. Did you mean 'mosi'. Known: meld"),
        (
            {"tasks": ["M"], "corpora": ["mosi", "vox"]},
            r"corpus 'vox' has labels of none of its tasks \(M\): leave it out of 'corpora'",
        ),
        ({"tasks": ["M", "emotion"], "corpora": ["mosi"]}, "the label column.s. emotion, which"),
        ({"tasks": ["polarity"], "corpora": ["meld"]}, "'meld' has labels of none of its tasks"),
        ({"tasks": ["valence"]}, "the label column.s. valence, which this corpus has not"),
    ],
)
def test_says_which_corpora_cannot_be_learned_from(several, tmp_path, fit, message):
    recipe = build(source(several, f=fit), "w")
    with pytest.raises(BadCall, match=message):
        run(recipe, tmp_path / "cache", scheduler="sync")
    (state,) = [s for s in plan_run(recipe, tmp_path / "cache") if s.node.name == "f"]
    assert state.waits_for  # a plan says so too, and goes on
    assert state.why


def test_a_corpus_of_its_own_says_that_several_are_wanted(several, tmp_path):
    alone = source({}, f={"tasks": ["M"], "corpora": ["vox"]})
    recipe = build({**alone, "corpus": several["mosi"]}, "w")
    message = (
        "learns from vox, and this corpus is one of its own: .* corpus.several.vox.root=FOLDER"
    )
    with pytest.raises(BadCall, match=message):
        run(recipe, tmp_path / "cache", scheduler="sync")
    node, corpus = recipe.workflow["f"], recipe.corpus.open()
    assert len(faults_of(node, corpus)) == 1
    assert missing_labels(node, corpus) == []


@pytest.mark.parametrize(
    ("corpus", "message"),
    [
        ({"several": {}}, "corpus: 'several' must map names to corpora, got {}"),
        ({"several": ["a"]}, r"'several' must map names to corpora, got \['a'\]"),
        ({"several": {"a": {}}, "root": "x"}, r"'several' stands alone, .* got \['root'\]"),
        ({"several": {"a/b": {"root": "x"}}}, "goes before a '/' in its ids; got 'a/b'"),
        ({"several": {"a": {"several": {}}}}, "corpus 'a' cannot itself be several"),
        ({"several": {"a": {"kind": "tabel"}}}, "'a': .*'tabel'. Did you mean 'table'"),
        (
            {"several": {"a": {"without": ["emotio"]}}},
            "'emotio' in 'without'. Did you mean 'emot",
        ),
        ({"without": "M"}, "'without' must be a list of label columns, got 'M'"),
    ],
)
def test_refuses_several_corpora_that_are_none(corpus, message):
    with pytest.raises(BadRecipe, match=message):
        build({**source({}), "corpus": corpus}, "w")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"corpora": 3}, "'corpora' must be a list of names, got 3"),
        ({"corpora": ["a", "a"]}, "'corpora' names a twice"),
        ({"corpus": ["a"]}, "unknown setting 'corpus' of 'sf'. Did you mean 'corpora'"),
        (
            {"label_from": "words"},
            "unknown setting 'label_from' of 'sf'. Did you mean 'labels_from",
        ),
    ],
)
def test_refuses_names_of_corpora_that_are_none(given, message):
    with pytest.raises(BadRecipe, match=message):
        build(source({"a": {"root": "x"}}, f={"tasks": ["M"], **given}), "w")


def test_each_corpus_is_given_by_an_override(several, tmp_path):
    path = tmp_path / "w.yaml"
    path.write_text(
        "name: w\ncorpus: {several: {mosi: {}, sims: {kind: affectflow}}}\n"
        "nodes: {words: {extract: vader}}\n"
    )
    with pytest.raises(BadCorpus, match="corpus 'mosi' is not given. .* corpus.several.mosi.root="):
        load_recipe(path).corpus.open()
    told = [f"corpus.several.{name}.root={several[name]['root']}" for name in ("mosi", "sims")]
    spec = load_recipe(path, told).corpus
    assert spec.several["sims"].kind == "affectflow"
    assert len(spec.open()) == 24
    with pytest.raises(BadCorpus, match="corpus 'sims': no corpus at 'gone'"):
        load_recipe(path, [told[0], "corpus.several.sims.root=gone"]).corpus.open()


def test_label_columns_that_nothing_is_to_learn_from_are_left_out(several):
    spec = CorpusSpec.from_mapping({**several["meld"], "without": ["emotion", "M"]})
    assert spec.open().label_columns == ()
    assert CorpusSpec.from_mapping(several["meld"]).open().label_columns == ("emotion",)


def test_a_sweep_and_a_packed_model_of_a_fit_on_some_of_several(several, tmp_path):
    pytest.importorskip("optuna")
    fits = {
        "before": {"tasks": ["M"], "corpora": ["sims"]},  # another one than the fit reads
        "f": {"tasks": ["M"], "corpora": ["mosi"], "start": "before"},
    }
    recipe = build(source(several, **fits), "w")
    space = {"lr": Choice((1e-3, 1e-2))}
    found = sweep(recipe, tmp_path / "cache", "f", trials=2, space=space, scheduler="sync")
    assert [row.state for row in found.trials] == ["complete"] * 2
    checkpoint = found.run.states["f"].checkpoint
    assert error_of(checkpoint) == pytest.approx(found.best.value, rel=1e-6)
    assert set(checkpoint.meta["sizes"].values()) == {4}
    chosen = [f"f.lr={found.best.settings['lr']}"]
    path = tmp_path / "w.yaml"
    path.write_text(json.dumps(recipe.source))
    packed = pack_model(path, tmp_path / "cache", "f", tmp_path / "f.zip", overrides=chosen)
    table = checkpoint.predictions()
    wanted = table[table["id"] == "mosi/v/0"]["prediction"].mean()
    given = Bundle.read(packed).score(None, WORDS[0]).values["M"]
    assert given == pytest.approx(wanted, abs=1e-6)
