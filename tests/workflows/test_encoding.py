"""What a fit gives to those that come after it, through whole runs."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from affectflow.cache.contents import list_nodes
from affectflow.cache.errors import BadRecipe, UnknownName
from affectflow.cache.records import ArraySpec, Features, no_times
from affectflow.extract.base import Extractor, Needs
from affectflow.train.registry import fit_settings
from affectflow.workflows.bundle import Bundle, pack_model
from affectflow.workflows.descriptions import encode_description
from affectflow.workflows.graph import Workflow
from affectflow.workflows.nodes import Encode, Extract, Fit
from affectflow.workflows.recipe import build
from affectflow.workflows.report.content import node_rows
from affectflow.workflows.run import plan_run, run

TEXTS = [f"word{'s' * (i % 5)} and {'more ' * (i % 7)}" for i in range(18)]
TEXTS[4] = "bad"  # has no features
SHORT = {"seeds": 2, "epochs": 2}


def graph(toys, **settings):
    on = ("letters", "doubled")
    mag = fit_settings("mag", **{**SHORT, "units": 4, "heads": 2, **settings})
    return [
        Extract("letters", toys.Letters()),
        Extract("doubled", toys.Doubled(), {"letters": "letters"}),
        Fit("mag", "mag", *mag, on, ("M",)),
        Fit("one", "unimodal", *fit_settings("unimodal", **SHORT), ("letters",), ("M",)),
        Encode("rows", "mag", on, "rows", "float16"),
        Encode("soft", "one", ("letters",), "scores"),
        Encode("text", "one", ("letters",)),
        Encode("both", "mag", on),
        Fit("last", "sf", *fit_settings("sf", **SHORT), ("rows", "soft", "text"), ("M",)),
    ]


def test_rows_scores_and_hidden_layers_are_features_of_their_own(toys, tmp_path):
    def go(**settings):
        return toys.recipe(tmp_path, TEXTS, graph(toys, **settings))

    first = run(go(), tmp_path / "cache", scheduler="sync")
    assert first.errors == {}
    n = len(TEXTS) - 1
    assert {name: first.made[name] for name in ("rows", "soft", "text", "both")} == dict.fromkeys(
        ("rows", "soft", "text", "both"), len({*TEXTS}) - 1
    )
    rows, letters = first.table("rows"), first.table("letters")
    assert rows.values.dtype == np.float16
    assert rows.values.shape == (letters.offsets[-1], 4)
    np.testing.assert_array_equal(rows.offsets, letters.offsets)
    soft = first.table("soft")
    assert (soft.columns, soft.values.shape) == (("M",), (n, 1))
    told = {name: first.workflow.modality(name) for name in ("rows", "soft", "text", "both")}
    assert told == {"rows": "fused", "soft": "soft", "text": "text", "both": "fused"}
    shown = {row.name: row.settings for row in node_rows(first)}
    assert shown["rows"] == "on=letters,doubled, gives=rows, dtype=float16"
    assert shown["text"] == "on=letters"
    kept = [node.settings for node in list_nodes(first.store.root) if node.name == "encode"]
    digest = {"checkpoint": first.states["mag"].checkpoint.digest[:12]}
    assert {**digest, "gives": "rows", "dtype": "float16"} in kept
    assert digest in kept

    assert run(go(), tmp_path / "cache", scheduler="sync").made == {}
    plan = {state.node.name: state for state in plan_run(go(lr=0.5), tmp_path / "cache")}
    assert plan["mag"].why == "lr: 0.001 -> 0.5"
    assert plan["rows"].why == "unknown until mag is done"
    assert plan["soft"].done
    again = run(go(lr=0.5), tmp_path / "cache", scheduler="sync")
    assert set(again.made) == {"mag", "rows", "both", "last"}


def test_what_an_encode_gives_is_told_only_where_it_is_not_the_hidden_layer():
    def told(**given):
        return encode_description(Encode("h", "f", ("a",), **given), "d" * 64, {"a": "b"})

    plain = {"kind": "encode", "checkpoint": "d" * 64, "inputs": {"a": "b"}}
    assert told() == told(gives="hidden", dtype="float32") == plain
    assert told(gives="rows") == {**plain, "gives": "rows"}
    assert told(gives="scores", dtype="float16") == {**plain, "gives": "scores", "dtype": "float16"}


def test_a_fit_on_a_hidden_layer_of_one_modality_is_another_than_when_all_were_fused(
    toys, tmp_path
):
    done = run(toys.recipe(tmp_path, TEXTS, graph(toys)), tmp_path / "cache", scheduler="sync")
    told = done.states["last"].checkpoint.meta["description"]
    assert told["modalities"] == {"soft": "soft", "text": "text"}  # rows are fused, as all were


@dataclass(frozen=True)
class Heard(Extractor):
    """A row for each word, whatever it is."""

    name: ClassVar[str] = "heard"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = "audio"

    @property
    def needs(self):
        return Needs(text=True)

    @property
    def spec(self):
        return {"values": ArraySpec((1,))}

    def extract(self, clip):
        words = clip.text.split()
        return Features(np.ones((len(words), 1), np.float32), no_times(len(words)))


def test_says_of_whom_there_are_no_rows_to_follow(toys, tmp_path):
    on = ("letters", "heard")
    mag = fit_settings("mag", **{**SHORT, "units": 4, "heads": 2})
    nodes = [
        Extract("letters", toys.Letters()),
        Extract("heard", Heard()),
        Fit("mag", "mag", *mag, on, ("M",)),
        Encode("rows", "mag", on, "rows"),
        Encode("whole", "mag", on),
    ]
    recipe = toys.recipe(tmp_path, TEXTS, nodes)
    done = run(recipe, tmp_path / "cache", scheduler="sync")
    (failure,) = [failure for failure in done.failures if failure.node == "rows"]
    assert failure.utterance == "v/004"  # it was heard, and its letters could not be made
    assert failure.message == "'letters' has no row of it, and those of the model follow them"
    assert len(done.states["whole"].failed) == 0
    assert run(recipe, tmp_path / "cache", scheduler="sync").made == {}


def source(**encode):
    return {
        "name": "w",
        "nodes": {
            "words": {"extract": "vader"},
            "one": {"fit": "unimodal", "on": ["words"], "tasks": ["M"], **SHORT},
            "soft": {"encode": "one", **encode},
            "last": {"fit": "sf", "on": ["words", "soft"], "tasks": ["M"], **SHORT},
        },
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"gives": "rows"}, "model 'unimodal' of 'one' has no rows .* set 'gives: hidden'"),
        ({"gives": "score"}, "'score'. Did you mean 'scores'"),
        ({"gives": ["rows"]}, "unknown thing that an encode gives"),
        ({"give": "rows"}, "unknown key in an encode 'give'. Did you mean 'gives'"),
        ({"dtype": "int8"}, "unknown dtype of an encode 'int8'"),
    ],
)
def test_refuses_what_a_model_cannot_give(given, message):
    with pytest.raises(BadRecipe, match=message):
        build(source(**given), "w")


def test_the_graph_refuses_too_where_it_is_made_in_python():
    with pytest.raises(UnknownName, match="'hiden'. Did you mean 'hidden'"):
        Encode("h", "f", (), "hiden")
    nodes = list(build(source(), "w").workflow)
    nodes[2] = Encode("soft", "one", ("words",), "rows")
    with pytest.raises(BadRecipe, match="node 'soft': model 'unimodal' of 'one' has no rows"):
        Workflow("w", nodes)


def test_a_packed_model_reads_what_another_fit_predicts(toys, tmp_path):
    toys.corpus(["so good", "very bad", "happy day", "sad", "we love it", "the end"] * 3).write(
        tmp_path
    )
    recipe = build({**source(gives="scores"), "corpus": {"root": str(tmp_path)}}, "w")
    done = run(recipe, tmp_path / "cache", scheduler="sync")
    packed = pack_model(recipe, tmp_path / "cache", "last", tmp_path / "w.zip")
    table = done.states["last"].checkpoint.predictions()
    wanted = table[table["id"] == "v/004"]["prediction"].mean()
    found = Bundle.read(packed).score(None, "we love it").values["M"]
    assert found == pytest.approx(wanted, abs=1e-6)
