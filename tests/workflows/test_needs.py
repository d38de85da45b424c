import numpy as np
import pytest

from affectflow.cache.corpus import Corpus
from affectflow.cache.errors import BadCall
from affectflow.cache.joined import joined
from affectflow.workflows.needs import needed_of
from affectflow.workflows.recipe import build
from affectflow.workflows.run import run

FIT = {"fit": "sf", "seeds": 1, "epochs": 1}
NODES = {
    "words": {"extract": "vader"},
    "masked": {"extract": "mask-sentiment"},
    "hidden": {"extract": "vader", "on": "masked"},
    "alone": {"extract": "vader"},
    "first": {**FIT, "on": ["hidden"], "tasks": ["masked_valence"], "labels_from": "masked",
              "corpora": ["vox"]},
    "second": {**FIT, "on": ["words"], "tasks": ["M"], "corpora": ["mosi"]},
    "given": {"encode": "first"},
}  # fmt: skip


def corpus_of(name, **columns):
    ids = {"id": [f"v/{i}" for i in range(3)], "split": ["train", "valid", "test"]}
    return Corpus.from_columns({**ids, **columns}, name=name, family="mosi")


@pytest.fixture
def corpora():
    mosi = corpus_of("mosi", text=["good", "bad day", "so sad"], M=[1.0, -1.0, 0.5])
    return {"mosi": mosi, "vox": corpus_of("vox", text=["great", "awful", "nice"])}


def needs(corpora, **changed):
    nodes = {**NODES, **changed}
    kept = {name: node for name, node in nodes.items() if node}
    workflow = build({"name": "w", "nodes": kept}, "w").workflow
    corpus = joined(corpora)
    return {
        name: "".join(sorted({str(d) for d in corpus.domains[own]}))
        for name, own in needed_of(workflow, corpus).items()
    }


def test_a_node_is_needed_of_the_corpora_that_fits_behind_it_learn_from(corpora):
    assert needs(corpora, given=None) == {
        "words": "mosi",
        "masked": "vox",
        "hidden": "vox",
        "alone": "mosivox",  # nobody reads it: it is wanted for itself
        "first": "vox",
        "second": "mosi",
    }


def test_what_an_encode_is_applied_to_is_needed_of_whoever_reads_it(corpora):
    assert needs(corpora)["hidden"] == "mosivox"  # nobody reads the encode
    read = {**FIT, "on": ["given"], "tasks": ["M"], "corpora": ["mosi"]}
    found = needs(corpora, third=read)
    assert (found["given"], found["hidden"], found["masked"]) == ("mosi", "mosivox", "mosivox")
    started = {**NODES["second"], "on": ["hidden"], "start": "first"}
    assert needs(corpora, second=started, given=None)["masked"] == "mosivox"
    assert needs(corpora, second=started, given=None)["first"] == "vox"


def test_of_a_corpus_of_its_own_everything_is_needed(corpora):
    workflow = build({"name": "w", "nodes": NODES}, "w").workflow
    found = needed_of(workflow, corpora["mosi"])
    assert set(found) == set(NODES)
    assert all(own.all() for own in found.values())


def test_what_is_not_needed_is_neither_made_nor_missed(corpora, tmp_path):
    corpora["vox"] = corpus_of("vox", text=["great", "awful", "..."])
    silent = corpus_of("mosi", text=["...", "!", "--"], M=[1.0, -1.0, 0.5])
    roots = {}
    for name, corpus in {**corpora, "silent": silent}.items():
        corpus.write(tmp_path / name)
        roots[name] = {"root": str(tmp_path / name)}
    nodes = {name: NODES[name] for name in ("words", "second")}
    source = {"name": "w", "corpus": {"several": roots}, "nodes": nodes}
    done = run(build(source, "w"), tmp_path / "cache", scheduler="sync")
    assert done.errors == {}
    assert done.failures == []  # of six transcripts without a word
    assert done.made == {"words": 3, "second": 1}
    state = done.states["words"]
    assert (state.n_cached, state.n) == (3, 3)
    assert np.flatnonzero(state.cached).tolist() == [0, 1, 2]


def test_a_reduction_is_of_the_whole_training_split_whoever_reads_it(corpora):
    few = {"reduce": "pca", "on": "words", "columns": 2}
    found = needs(corpora, few=few, third={**NODES["second"], "on": ["few"]})
    assert (found["few"], found["words"], found["third"]) == ("mosivox", "mosivox", "mosi")


def test_before_a_fit_that_is_searched_is_made_what_it_will_read(corpora):
    third = {**NODES["second"], "on": ["hidden"], "start": "first"}
    nodes = {**NODES, "third": third}
    workflow = build({"name": "w", "nodes": nodes}, "w").workflow
    part = workflow.before(workflow["third"])
    assert "third" not in part.nodes
    found = needed_of(part, joined(corpora))
    assert found["hidden"].all()  # of both: the fit that it starts from learns from the other one


def test_an_extract_of_some_corpora_is_run_on_no_others_nor_is_what_reads_it(corpora):
    both = {**FIT, "on": ["hidden", "words"], "tasks": ["M"]}
    found = needs(
        corpora,
        masked={"extract": "mask-sentiment", "corpora": ["vox"]},
        words={"extract": "vader", "corpora": ["mosi"]},
        first=None,
        given=None,
        second=both,
    )
    assert (found["masked"], found["hidden"], found["words"]) == ("vox", "vox", "mosi")
    of_reader = {"hidden": {"extract": "vader", "on": "masked", "corpora": ["mosi"]}}
    assert needs(corpora, first=None, given=None, second=both, **of_reader)["masked"] == "mosi"


def test_utterances_of_other_corpora_are_no_failures_and_masked(corpora, tmp_path):
    nodes = {
        "words": {"extract": "vader", "corpora": ["mosi"]},
        "fit": {**FIT, "on": ["words"], "tasks": ["M"]},
    }
    for name, corpus in corpora.items():
        corpus.write(tmp_path / name)
    roots = {name: {"root": str(tmp_path / name)} for name in corpora}
    source = {"name": "w", "corpus": {"several": roots}, "nodes": nodes}
    done = run(build(source, "w"), tmp_path / "cache", scheduler="sync")
    assert done.ok
    assert done.made == {"words": 3, "fit": 1}
    assert done.table("words").present.tolist() == [True] * 3 + [False] * 3
    nodes["words"]["corpora"] = ["mosey"]
    with pytest.raises(BadCall, match="node 'words': unknown corpus to be run on 'mosey'. Did you"):
        run(build(source, "w"), tmp_path / "cache", scheduler="sync")
    source["corpus"] = roots["mosi"]
    with pytest.raises(BadCall, match="node 'words': it is run on mosey, and this corpus is one"):
        run(build(source, "w"), tmp_path / "cache", scheduler="sync")
