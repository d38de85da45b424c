"""Fits that start from others, through whole runs."""

import numpy as np
import pytest

from affectflow.cache.errors import BadRecipe
from affectflow.workflows.bundle import Bundle, pack_model
from affectflow.workflows.recipe import build
from affectflow.workflows.report.content import fit_rows
from affectflow.workflows.run import plan_run, run
from affectflow.workflows.run_records import read_run

TEXTS = ["so good", "very bad", "happy day", "sad", "we love it", "the end"] * 3
SHORT = {"fit": "sf", "on": ["words"], "tasks": ["M"], "seeds": 2, "epochs": 2}


def source(folder, parent=(), **child):
    return {
        "name": "w",
        "corpus": {"root": str(folder)},
        "nodes": {
            "words": {"extract": "vader"},
            "before": {**SHORT, **dict(parent)},
            "then": {**SHORT, "start": "before", **child},
        },
    }


@pytest.fixture
def folder(toys, tmp_path):
    toys.corpus(TEXTS).write(tmp_path)
    return tmp_path


def test_a_fit_goes_on_from_another_and_is_made_anew_when_that_one_is(folder):
    def recipe(**parent):
        return build(source(folder, parent, lr=1e-12, epochs=1), "w")

    plan = {state.node.name: state for state in plan_run(recipe(), folder / "cache")}
    assert plan["then"].why == "unknown until words, before is done"
    first = run(recipe(), folder / "cache", scheduler="sync")
    assert (first.errors, first.made) == ({}, {"words": 6, "before": 1, "then": 1})
    before, then = (first.states[name].checkpoint for name in ("before", "then"))
    assert then.meta["description"]["start"] == before.digest
    place = [seed["seed"] for seed in before.meta["seeds"]].index(before.meta["chosen"])
    for name, value in then.weights().items():
        if name.startswith("net."):
            np.testing.assert_allclose(value[1], before.weights()[name][place], atol=1e-9)
    assert run(recipe(), folder / "cache", scheduler="sync").made == {}

    plan = {state.node.name: state for state in plan_run(recipe(lr=0.1), folder / "cache")}
    assert plan["before"].why == "lr: 0.001 -> 0.1"
    assert plan["then"].why == "unknown until before is done"
    again = run(recipe(lr=0.1), folder / "cache", scheduler="sync")
    assert again.made == {"before": 1, "then": 1}
    other = build(source(folder, {"lr": 0.1}, lr=1e-12, epochs=1, start=""), "w")
    plan = {state.node.name: state for state in plan_run(other, folder / "cache")}
    assert plan["then"].why == "the weights that it starts from have changed"


def test_only_what_is_asked_for_is_made_and_the_parent_is_asked_for(folder):
    recipe = build(source(folder), "w")
    assert list(recipe.workflow.upto(["then"]).nodes) == ["words", "before", "then"]
    assert list(recipe.workflow.upto(["then"], predicting=True).nodes) == ["words", "then"]
    assert [recipe.workflow.level(node) for node in recipe.workflow] == [0, 1, 2]


def test_the_report_the_records_and_a_packed_model_know_what_it_started_from(folder):
    recipe = build(source(folder), "w")
    done = run(recipe, folder / "cache", scheduler="sync")
    rows = {row.name: row for row in fit_rows(done)}
    assert "start=before" in rows["then"].training
    assert "start" not in rows["before"].training
    assert any(note.startswith("starts from seed") for note in rows["then"].notes)
    record = read_run(done.store.root, done.id)
    assert list(record.upstream("then")) == ["words", "before"]
    assert list(record.upstream("then", predicting=True)) == ["words"]
    assert record.fits["then"].letters == "T"

    packed = Bundle.read(pack_model(recipe, folder / "cache", "then", folder / "w.zip"))
    assert set(packed.checkpoints) == {"then"}  # what it started from is not carried along
    table = done.states["then"].checkpoint.predictions()
    wanted = table[table["id"] == "v/004"]["prediction"].mean()
    assert packed.score(None, TEXTS[4]).values["M"] == pytest.approx(wanted, abs=1e-6)
    assert done.report().is_file()


def test_a_parent_of_other_widths_fails_the_fit_and_not_the_run(folder):
    done = run(build(source(folder, units=9), "w"), folder / "cache", scheduler="sync")
    assert set(done.errors) == {"then"}
    assert "model 'sf' cannot start from 'before' (model 'sf')" in done.errors["then"]
    assert done.states["before"].checkpoint is not None


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ("words", "node 'then': only from a fit can one start, 'words' is none"),
        ("befor", "node 'then' reads unknown node 'befor'. Did you mean 'before'"),
        (["before"], r"'start' must name the fit from whose weights it starts, got \['before'\]"),
        ("then", "nodes in a circle: then -> then"),
    ],
)
def test_refuses_to_start_from_what_is_no_fit_before_it(folder, start, message):
    with pytest.raises(BadRecipe, match=message):
        build(source(folder, start=start), "w")
