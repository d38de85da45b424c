from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from affectflow.cache import checkpoints
from affectflow.cache.errors import BadCall, BadInput, BadRecipe, NotCached
from affectflow.cache.leases import Lease
from affectflow.cache.records import ArraySpec, Features, frame_times
from affectflow.extract.base import Extractor, Needs
from affectflow.workflows import driver
from affectflow.workflows.assign import Assignment
from affectflow.workflows.bundle import Bundle, pack_model
from affectflow.workflows.console_run import show_plan
from affectflow.workflows.corpora import CorpusSpec
from affectflow.workflows.nodes import Extract
from affectflow.workflows.recipe import Recipe, build
from affectflow.workflows.reducing import BasisTask, make_basis
from affectflow.workflows.run import plan_run, run

TEXTS = [f"{'word ' * (i % 9 + 1)}- n{i} {'x' * (i % 5)}yz" for i in range(30)]
PCA = {"few": {"reduce": "pca", "on": "wide", "columns": 2}}
FIT = {"f": {"fit": "lf-dnn", "on": ["few"], "tasks": ["M"], "seeds": 2, "epochs": 2}}


@dataclass(frozen=True)
class Wide(Extractor):
    """Six numbers of each word, 0.1 s apart; ``-`` is a masked row, ``bad`` is refused."""

    name: ClassVar[str] = "wide"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = "vision"

    @property
    def needs(self) -> Needs:
        return Needs(text=True)

    @property
    def spec(self):
        return {"values": ArraySpec((6,), "float16", hop=0.1)}

    def extract(self, clip):
        words = clip.text.split()
        if "bad" in words:
            raise BadInput("a bad word")
        values = np.array([[len(w), i, *(sum(map(ord, w)) % np.array([5, 7, 3])), 1]
                           for i, w in enumerate(words)])  # fmt: skip
        mask = np.array([word != "-" for word in words])
        return Features(np.where(mask[:, None], values, 50), frame_times(len(words), 0.1), (), mask)


def made(toys, folder, texts=TEXTS, nodes=PCA, **given):
    return toys.recipe(folder, texts, nodes=[Extract("wide", Wide())], fits=nodes, **given)


def go(toys, folder, texts=TEXTS, nodes=PCA, fields=None, **given):
    recipe = made(toys, folder, texts, nodes, **(fields or {}))
    return run(recipe, folder / "cache", scheduler="sync", **given)


def real_rows(table, numbers):
    return np.concatenate([table[i].values[table[i].mask] for i in numbers]).astype(np.float64)


def test_is_the_svd_of_the_training_splits_real_rows_and_keeps_rows_times_and_mask(toys, tmp_path):
    done = go(toys, tmp_path)
    wide, few = done.table("wide"), done.table("few")
    x = real_rows(wide, range(0, 30, 3))
    _, _, v = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    v *= np.sign(v[np.arange(6), np.abs(v).argmax(axis=1)])[:, None]
    expected = (wide.values.astype(np.float64) - x.mean(axis=0)) @ v[:2].T
    np.testing.assert_allclose(few.values[few.mask], expected[wide.mask], atol=1e-5)
    assert not few.values[~few.mask].any()
    assert few.columns == ("pca_0", "pca_1")
    for part in ("offsets", "times", "mask"):
        np.testing.assert_array_equal(getattr(few, part), getattr(wide, part))
    assert 0 < (~few.mask).sum() < len(few.mask)
    assert done.states["few"].basis.meta["rows"] == len(x)


def test_a_second_run_makes_nothing(toys, tmp_path):
    first = go(toys, tmp_path)
    assert (first.n_features_made, first.made) == (60, {"wide": 30, "few": 30})
    again = go(toys, tmp_path)
    assert again.made == {}
    assert not again.changed
    assert again.states["few"].fingerprint == first.states["few"].fingerprint


def test_what_is_not_of_the_training_split_does_not_matter(toys, tmp_path):
    first = go(toys, tmp_path)
    other = [
        text if i % 3 == 0 else f"quite another text {i} 99999" for i, text in enumerate(TEXTS)
    ]
    again = go(toys, tmp_path, other)
    assert again.states["few"].fingerprint == first.states["few"].fingerprint
    assert again.made == {"wide": 20, "few": 20}


def test_the_order_of_the_corpus_does_not_matter(toys, tmp_path):
    first = go(toys, tmp_path)
    turned = {"splits": ["test", "valid", "train"] * 10}
    assert go(toys, tmp_path, TEXTS[::-1], fields=turned).made == {}
    (tmp_path / "other").mkdir()
    other = go(toys, tmp_path / "other", TEXTS[::-1], fields=turned)
    assert other.states["few"].basis.digest == first.states["few"].basis.digest


def test_another_training_split_or_number_of_columns_is_another_reduction(toys, tmp_path):
    marks = {go(toys, tmp_path).states["few"].fingerprint}
    splits = ["valid", "train", "test"] * 10
    marks.add(go(toys, tmp_path, fields={"splits": splits}).states["few"].fingerprint)
    nodes = {"few": {**PCA["few"], "columns": 3}}
    done = go(toys, tmp_path, nodes=nodes)
    assert len(marks | {done.states["few"].fingerprint}) == 3
    assert done.made == {"few": 30}
    assert done.table("few").values.shape[1] == 3


def test_each_utterance_is_reduced_alone(toys, tmp_path):
    whole = go(toys, tmp_path).table("few")
    fields = {"splits": [*["train", "valid", "test"] * 10, "test"], "labels": [0.5] * 31}
    grown = go(toys, tmp_path, [*TEXTS, "one more"], fields=fields)
    assert grown.made == {"wide": 1, "few": 1}
    np.testing.assert_array_equal(grown.table("few").values[: len(whole.values)], whole.values)


def test_a_failed_utterance_is_left_out_and_the_rest_goes_on(toys, tmp_path):
    done = go(toys, tmp_path, [*TEXTS[:28], "bad", "bad words"])
    assert done.states["few"].failed[29].error == "UpstreamFailed"
    assert done.made["few"] == 28
    assert done.n_failures == 2


def test_components_that_another_driver_fitted_meanwhile_are_taken(toys, tmp_path, monkeypatch):
    real = Assignment.reduces
    fitted = []

    def fitted_elsewhere(self, state, node):
        tasks = list(real(self, state, node))
        if isinstance(tasks[0], BasisTask):
            fitted.append(make_basis(tasks[0]).digest)
        return tasks

    monkeypatch.setattr(Assignment, "reduces", fitted_elsewhere)
    monkeypatch.setitem(driver._FUNCTIONS, BasisTask, None)  # it is not fitted again
    with Lease(tmp_path / "cache"):
        done = go(toys, tmp_path)
    assert done.made == {"wide": 30, "few": 30}
    assert fitted == [done.states["few"].basis.digest]


@pytest.mark.parametrize(
    ("texts", "splits", "columns", "told"),
    [
        (TEXTS, ["test"] * 30, 2, "none of its utterances has 'wide'. Give the corpus a split"),
        (["- -"] * 30, None, 2, "need more than 2 real rows in the training split, it has 0"),
        (["one word"] * 30, None, 2, "vary in 1 directions only: ask for 1 columns at most"),
    ],
)
def test_what_cannot_be_reduced_is_an_error_of_the_run(
    toys, tmp_path, texts, splits, columns, told
):
    nodes = {"few": {**PCA["few"], "columns": columns}, **FIT}
    fields = {"splits": splits} if splits else {}
    done = go(toys, tmp_path, texts, nodes, fields, kinds=("extract",))
    assert told in done.errors["few"]
    assert done.states["f"].waits_for == ("few",)
    assert not done.ok


@dataclass(frozen=True)
class Films(Wide):
    """A picture for each word."""

    @property
    def spec(self):
        return {"values": ArraySpec((2, 3), "float16", hop=0.1)}


@pytest.mark.parametrize(
    ("extractor", "columns", "told"),
    [
        (Wide(), 7, r"'few': 7 .* of 'wide' \(wide\), which has 6 columns: set 'columns' to 6 at"),
        (Films(), 2, r"'few': .* rows of numbers, a row of 'wide' \(wide\) has the shape \(2, 3\)"),
    ],
)
def test_what_no_rows_can_be_reduced_to_is_said_before_anything_runs(
    toys, tmp_path, extractor, columns, told
):
    nodes = {"few": {**PCA["few"], "columns": columns}}
    recipe = toys.recipe(tmp_path, TEXTS, nodes=[Extract("wide", extractor)], fits=nodes)
    for look in (plan_run, run):
        with pytest.raises(BadCall, match=told):
            look(recipe, tmp_path / "cache")
    assert not (tmp_path / "cache" / "shards").exists()


def test_extraction_needs_no_labels_and_training_no_extraction(toys, tmp_path):
    nodes = {**PCA, **FIT}
    with pytest.raises(NotCached, match="node 'wide'"):
        go(toys, tmp_path, nodes=nodes, kinds=("fit", "encode"))
    labels = [float("nan")] * 30
    done = go(toys, tmp_path, nodes=nodes, fields={"labels": labels}, kinds=("extract",))
    assert done.made == {"wide": 30, "few": 30}
    done = go(toys, tmp_path, nodes=nodes, kinds=("fit", "encode"))
    assert done.made == {"f": 1}
    assert done.states["f"].checkpoint.meta["inputs"][0]["width"] == 2
    assert done.states["f"].checkpoint.meta["inputs"][0]["modality"] == "vision"
    assert [state.node.name for state in done.states.values() if state.checkpoint] == ["f"]
    assert "columns=2 (" in done.report().read_text()


def test_the_plan_says_that_components_come_first(toys, tmp_path, capsys):
    recipe = made(toys, tmp_path)
    run(recipe, tmp_path / "cache", scheduler="sync", until=["wide"])
    show_plan(plan_run(recipe, tmp_path / "cache"))
    assert "its components come first: nothing of 'pca' is cached" in capsys.readouterr().out
    assert go(toys, tmp_path).made == {"few": 30}
    show_plan(plan_run(recipe, tmp_path / "cache"))
    assert "components" not in capsys.readouterr().out


def test_lost_features_are_made_again_from_the_same_components(toys, tmp_path):
    first = go(toys, tmp_path)
    before = first.table("few").values
    basis = first.states["few"].basis
    for path in (tmp_path / "cache" / "shards" / first.states["few"].fingerprint[:32]).rglob("*"):
        if path.suffix == ".h5":
            path.unlink()
    again = go(toys, tmp_path)
    assert again.made == {"few": 30}
    np.testing.assert_array_equal(again.table("few").values, before)
    there = checkpoints.load(tmp_path / "cache", basis.fingerprint)
    assert there.digest == basis.digest


def test_a_packed_model_reduces_as_the_run_did(toys, tmp_path, tone_wav):
    words = ["good", "bad", "great", "awful", "fine"]
    texts = [f"{a} {b} day" for a in words for b in words]
    toys.corpus(texts, media=str(tone_wav)).write(tmp_path / "corpus.parquet")
    nodes = {
        "text": {"extract": "vader"},
        "few": {"reduce": "pca", "on": "text", "columns": 1},
        "f": {**FIT["f"], "normalize": "none"},
    }
    source = {"name": "r", "nodes": nodes}
    recipe = Recipe("r", build(source, "r").workflow, CorpusSpec(str(tmp_path)), source)
    done = run(recipe, tmp_path / "cache", scheduler="sync")
    bundle = Bundle.read(pack_model(recipe, tmp_path / "cache", "f", tmp_path / "f.zip"))
    table = done.states["f"].checkpoint.predictions()
    mean = table[table["id"] == done.corpus.ids[7]]["prediction"].mean()
    assert bundle.score(None, texts[7]).values["M"] == pytest.approx(mean, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"reduce": "pcb"}, "unknown reduction 'pcb'. Did you mean 'pca'?"),
        ({"columns": 0}, "'columns' must be a whole number of at least 1, got 0"),
        ({"columns": True}, "'columns' must be a whole number of at least 1, got True"),
        ({"on": ["wide", "f"]}, "'on' must name the one node whose features are reduced"),
        ({"whiten": True}, "unknown key in a reduction 'whiten'"),
        ({"on": "none"}, "'none'"),
        ({"on": "h"}, "a reduction reads the features of one extract, 'h' (encode f) is none"),
        ({"on": "f"}, "reads 'f', which is a fit and makes no features"),
    ],
)
def test_a_recipe_that_cannot_be_reduced_is_refused(change, told):
    fit = {**FIT["f"], "on": ["wide"]}
    nodes = {"wide": {"extract": "vader"}, "f": fit, "h": {"encode": "f"}}
    with pytest.raises(BadRecipe) as caught:
        build({"name": "r", "nodes": {**nodes, "few": {**PCA["few"], **change}}}, "r")
    assert told in str(caught.value)
